"""Traces as the older pipeline tool handled them, under their old names.

``TraceManager`` builds the tree of a run in memory, ``SQLiteBackend`` keeps traces by run id,
``StateManager`` saves the tree of a result. Traces that are saved are traces like all others:
they are listed, shown, searched and pruned.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from tailrace.errors import NotFound
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span as StoredSpan
from tailrace.model.states import SpanStatus, SpanType
from tailrace.model.when import instant_ns
from tailrace.store import SqliteTraceReader
from tailrace.store.foreign import ForeignWriter

__all__ = ["SQLiteBackend", "Span", "StateManager", "TraceManager"]

_NS = 1_000_000_000
_RUN, _SPAN, _PARENT = "flujo.run_id", "flujo.span_id", "flujo.parent_span_id"
_STATUS = "flujo.status"
_FAILED = frozenset({"failed", "error"})


@dataclass
class Span:
    """One span of the tree. Times are seconds since the epoch."""

    span_id: str
    name: str
    start_time: float
    end_time: float | None = None
    parent_span_id: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    children: list[Span] = field(default_factory=list)
    status: str = "running"
    """``running``, ``completed`` or ``failed``."""


class TraceManager:
    """Builds the tree of a run while it happens, and keeps it in memory.

    It is a tracer of ours (``flow.run(tracers=[manager])``) and a hook of the older tool
    (``hooks=[manager.hook]``); ``trace_tree`` is the root of the newest run.
    """

    def __init__(self) -> None:
        self.trace_tree: Span | None = None
        self._span_stack: list[Span] = []
        self._open: dict[SpanId, Span] = {}
        self._lock = threading.Lock()

    def on_start(self, span: StoredSpan) -> None:
        """Hang the span under its parent."""
        made = Span(
            span_id=span.span_id,
            name=span.name,
            start_time=span.start_ns / _NS,
            parent_span_id=span.parent_id,
            attributes=dict(span.attributes),
        )
        with self._lock:
            self._open[span.span_id] = made
            parent = None if span.parent_id is None else self._open.get(span.parent_id)
            if parent is not None:
                parent.children.append(made)
            elif span.type is SpanType.RUN:
                self.trace_tree = made

    def on_end(self, span: StoredSpan) -> None:
        """Note how the span ended."""
        with self._lock:
            known = self._open.pop(span.span_id, None)
        if known is not None:
            known.end_time = None if span.end_ns is None else span.end_ns / _NS
            known.status = "failed" if span.status is SpanStatus.ERROR else "completed"
            known.attributes = dict(span.attributes)

    def close(self) -> None:
        """The run is over; its tree stays in ``trace_tree``."""

    async def hook(self, payload: Any) -> None:
        """Take an event of the older tool: ``pre_run``, ``pre_step``, ``post_step`` and so on.

        ``post_run`` puts the tree into ``payload.pipeline_result.trace_tree``.
        """
        match getattr(payload, "event_name", ""):
            case "pre_run":
                self._span_stack = []
                self._push("pipeline_root", {})
                self.trace_tree = self._span_stack[0]
            case "pre_step":
                step = getattr(payload, "step", None)
                self._push(str(getattr(step, "name", "step")), {"step_type": type(step).__name__})
            case "post_step":
                self._pop(payload, failed=False)
            case "on_step_failure":
                self._pop(payload, failed=True)
            case "post_run":
                while self._span_stack:
                    _end(self._span_stack.pop(), failed=False)
                result = getattr(payload, "pipeline_result", None)
                if result is not None:
                    result.trace_tree = self.trace_tree
            case _:
                pass

    def _push(self, name: str, attributes: dict[str, Any]) -> None:
        above = self._span_stack[-1] if self._span_stack else None
        span = Span(
            span_id=uuid4().hex[:16],
            name=name,
            start_time=time.time(),
            parent_span_id=None if above is None else above.span_id,
            attributes=attributes,
        )
        if above is not None:
            above.children.append(span)
        self._span_stack.append(span)

    def _pop(self, payload: Any, *, failed: bool) -> None:
        if len(self._span_stack) < 2:  # the root waits for the end of the run
            return
        span = self._span_stack.pop()
        result = getattr(payload, "step_result", None)
        success = getattr(result, "success", None)
        known = {
            "success": success,
            "attempts": getattr(result, "attempts", None),
            "latency_s": getattr(result, "latency_s", None),
            "feedback": getattr(result, "feedback", None),
        }
        span.attributes |= {name: value for name, value in known.items() if value is not None}
        span.attributes |= dict(getattr(result, "metadata_", None) or {})
        _end(span, failed=failed or success is False)


class SQLiteBackend:
    """Keeps traces in a database of ours.

    Args:
        db_path: the file; made by the first write.
    """

    def __init__(self, db_path: Path | str) -> None:
        self._path = Path(db_path)

    async def save_trace(
        self,
        trace_data: Sequence[Mapping[str, Any]] | str,
        trace: Mapping[str, Any] | Span | None = None,
    ) -> None:
        """Save a trace; saving it again changes nothing.

        Args:
            trace_data: rows with ``span_id``, ``run_id``, ``parent_span_id``, ``name``,
                ``start_time``, ``end_time`` and ``attributes_json`` (or ``attributes``); or the
                run id, with ``trace`` as its tree.
            trace: the root, with its ``children``.

        Raises:
            StoreError: the file cannot be written.
            ValueError: a row lacks its name or its start.
        """
        if isinstance(trace_data, str):
            rows = [] if trace is None else [*_rows_of(trace_data, trace)]
        else:
            rows = [dict(row) for row in trace_data]
        await asyncio.to_thread(self._save, [_span_of(row) for row in rows])

    def _save(self, spans: list[StoredSpan]) -> None:
        with closing(ForeignWriter(self._path)) as writer:
            writer.write(spans)

    async def get_trace(self, run_id: str) -> list[dict[str, Any]]:
        """Return the rows of a trace, parents before children; none where there is no such run.

        It may be a trace that was saved, or any run of the database.

        Raises:
            StoreError: the file cannot be read.
        """
        return await asyncio.to_thread(self._load, run_id)

    def _load(self, run_id: str) -> list[dict[str, Any]]:
        with closing(SqliteTraceReader(self._path)) as reader:
            try:
                found = reader.trace(_trace_id(run_id), events=False)
            except NotFound:
                return []
        return [_row(run_id, span) for span in found.spans]


class StateManager:
    """Saves what a run leaves."""

    def __init__(self, backend: SQLiteBackend) -> None:
        self.backend = backend

    async def record_run_end(self, run_id: str, result: Any) -> None:
        """Save the ``trace_tree`` of a result, where it has one.

        Raises:
            StoreError: it cannot be written.
        """
        tree = getattr(result, "trace_tree", None)
        if tree is not None:
            await self.backend.save_trace(run_id, tree)


def _end(span: Span, *, failed: bool) -> None:
    span.end_time = time.time()
    span.status = "failed" if failed else "completed"


def _rows_of(run_id: str, root: Mapping[str, Any] | Span) -> Iterator[dict[str, Any]]:
    """Yield a row for each span of a tree, parents before children."""
    waiting: list[tuple[Any, Any]] = [(root, None)]
    while waiting:
        node, parent = waiting.pop()
        body = dict(node) if isinstance(node, Mapping) else dict(vars(node))
        children = body.pop("children", None) or []
        row = {**body, "run_id": run_id, "parent_span_id": body.get("parent_span_id") or parent}
        yield row
        waiting += [(child, row.get("span_id")) for child in reversed(children)]


def _span_of(row: Mapping[str, Any]) -> StoredSpan:
    for name in ("name", "start_time"):
        if row.get(name) is None:
            raise ValueError(f"a row of a trace has no {name}: {dict(row)!r}"[:300])
    run_id, span_id = str(row.get("run_id", "")), str(row.get("span_id") or uuid4().hex[:16])
    parent = row.get("parent_span_id")
    given = row.get("attributes_json", row.get("attributes")) or {}
    attributes: dict[str, Any] = dict(json.loads(given) if isinstance(given, str) else given)
    kept = {_RUN: (run_id, _trace_id(run_id)), _SPAN: (span_id, _span_id(span_id))}
    if parent is not None:
        kept[_PARENT] = (str(parent), _span_id(str(parent)))
    attributes |= {name: was for name, (was, now) in kept.items() if was != now}
    status = str(row.get("status") or "")
    if status:
        attributes[_STATUS] = status
    end = row.get("end_time")
    return StoredSpan(
        trace_id=_trace_id(run_id),
        span_id=_span_id(span_id),
        parent_id=None if parent is None else _span_id(str(parent)),
        name=str(row["name"]),
        type=SpanType.FOREIGN,
        start_ns=_ns(row["start_time"]),
        end_ns=None if end is None else _ns(end),
        status=SpanStatus.ERROR if status in _FAILED else SpanStatus.UNSET,
        attributes=attributes,
        resource={"service.name": "flujo"},
    )


def _row(run_id: str, span: StoredSpan) -> dict[str, Any]:
    attributes = dict(span.attributes)
    attributes.pop(_RUN, None)
    failed = span.status is SpanStatus.ERROR
    status = "running" if span.end_ns is None else "failed" if failed else "completed"
    return {
        "span_id": attributes.pop(_SPAN, span.span_id),
        "run_id": run_id,
        "parent_span_id": attributes.pop(_PARENT, span.parent_id),
        "name": span.name,
        "start_time": _text(span.start_ns),
        "end_time": None if span.end_ns is None else _text(span.end_ns),
        "status": attributes.pop(_STATUS, status),
        "attributes_json": json.dumps(attributes, ensure_ascii=False, default=str),
    }


def _trace_id(run_id: str) -> RunId:
    """Return the id of a trace: the run's own where it is one, with or without its dashes."""
    plain = run_id.replace("-", "").lower()
    if re.fullmatch(r"[0-9a-f]{32}", plain) and set(plain) != {"0"}:
        return RunId(plain)
    return RunId(hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:32])


def _span_id(span_id: str) -> SpanId:
    if re.fullmatch(r"[0-9a-f]{16}", span_id) and set(span_id) != {"0"}:
        return SpanId(span_id)
    return SpanId(hashlib.sha256(span_id.encode("utf-8", "surrogatepass")).hexdigest()[:16])


def _ns(value: Any) -> int:
    """Return ns since the epoch for seconds, an ISO text (UTC without a zone) or a datetime."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * _NS)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise TypeError(f"{value!r} is no time")
    return instant_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _text(ns: int) -> str:
    return datetime.fromtimestamp(ns / _NS, tz=UTC).isoformat()
