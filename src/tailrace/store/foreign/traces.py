"""Reading traces from elsewhere as whole traces."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from tailrace.model.family import parents_of
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import InstrumentationScope, RunSummary, Span, Trace
from tailrace.model.states import RunStatus, SpanStatus
from tailrace.store.foreign.bodies import read_resource, read_scope, spans_of
from tailrace.store.foreign.restore import to_span
from tailrace.store.keys import STATUS
from tailrace.store.tenants import of_run, of_sent

FOREIGN = "elsewhere"
"""``RunSummary.source`` of a trace that is no run of this store."""
NO_SERVICE = "(no root span)"
"""``RunSummary.flow`` of a trace whose root has not come."""
_COLUMNS = """no, trace_id, start, "end", spans, errors, root_name, root_service, root_status,
reason"""
_SELECT = f"SELECT {_COLUMNS} FROM foreign_trace AS t"  # noqa: S608 - constant columns
_ALONE = "NOT EXISTS (SELECT 1 FROM run WHERE run_id = t.trace_id)"
_ERROR = STATUS.index(SpanStatus.ERROR)
_FAILED = f"iif(root_name = '' AND root_status = 0, errors > 0, root_status = {_ERROR})"


class ForeignTraces:
    """Traces from elsewhere in one file. The caller holds a read transaction where it matters.

    Spans whose trace is a run belong to that run: ``spans`` finds them, ``summaries`` does not.
    """

    def __init__(self, db: sqlite3.Connection, *, tenant: str | None = None) -> None:
        """Read from a connection.

        Args:
            db: the connection.
            tenant: of an index: whose traces are the only ones; None: all.
        """
        self._db = db
        self._tenant = tenant
        self._resources: dict[int, Mapping[str, Any]] = {}
        self._scopes: dict[int, InstrumentationScope] = {}

    def summaries(
        self,
        *,
        limit: int,
        status: str | None = None,
        flow: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> list[RunSummary]:
        """Return traces, newest first. ``flow`` is the service of the root span."""
        conditions: list[str] = [_ALONE]
        values: list[Any] = []
        if self._tenant is not None:
            conditions.append(of_sent("t.trace_id"))
            values.append(self._tenant)
        if status is not None:
            if status not in {RunStatus.COMPLETED, RunStatus.FAILED}:
                return []
            conditions.append(_FAILED if status == RunStatus.FAILED else f"NOT {_FAILED}")
        for condition, value in (
            ("root_service = ?", flow),
            ("start >= ?", since_ns),
            ("start < ?", until_ns),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        query = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY start DESC, no DESC LIMIT ?"
        return [_summary(row) for row in self._db.execute(query, (*values, limit))]

    def matching(self, prefix: str, limit: int) -> list[str]:
        """Return the ids that begin so, ascending; those of runs too."""
        own, values = self._own()
        query = f"""SELECT trace_id FROM foreign_trace AS t
            WHERE trace_id >= ? AND trace_id < ?{own} ORDER BY trace_id LIMIT ?"""  # noqa: S608 - constant text
        rows = self._db.execute(query, (prefix, prefix + "g", *values, limit))
        return [row[0] for row in rows]

    def _own(self) -> tuple[str, tuple[str, ...]]:
        """Return the condition that a trace may be seen, and its parameters."""
        if self._tenant is None:
            return "", ()
        own = f" AND ({of_sent('t.trace_id')} OR {of_run('t.trace_id')})"
        return own, (self._tenant, self._tenant)

    def summary(self, trace_id: str) -> RunSummary | None:
        """Return a trace as one line of a list; None when there is none."""
        row = self._row(trace_id)
        return None if row is None else _summary(row)

    def trace(self, trace_id: str, *, events: bool = True) -> Trace | None:
        """Return a trace; None when there is none.

        Its spans are in order of start, but parents before their children. What has no parent
        here, or would be its own ancestor, stands at the top.

        Raises:
            ValueError: a body is damaged.
        """
        row = self._row(trace_id)
        if row is None:
            return None
        spans = arranged(self._spans(row[0], trace_id, events=events))
        return Trace(run=_detailed(_summary(row), spans), spans=spans)

    def spans(self, trace_id: str, *, events: bool = True) -> list[Span]:
        """Return the spans that came from elsewhere under a trace id, in order of start."""
        row = self._row(trace_id)
        return [] if row is None else self._spans(row[0], trace_id, events=events)

    def _row(self, trace_id: str) -> Sequence[Any] | None:
        own, values = self._own()
        row: Sequence[Any] | None = self._db.execute(
            f"{_SELECT} WHERE trace_id = ?{own}", (trace_id, *values)
        ).fetchone()
        return row

    def _spans(self, no: int, trace_id: str, *, events: bool) -> list[Span]:
        found = []
        for stored in spans_of(self._db, no):
            resource, scope = self.resource(stored.resource), self.scope(stored.scope)
            span = to_span(stored, RunId(trace_id), resource, scope)
            if not events:
                span.events = []
            found.append(span)
        return found

    def resource(self, number: int) -> Mapping[str, Any]:
        """Return the attributes of a row of ``resource``; none where it is gone."""
        found = self._resources.get(number)
        if found is None:
            body = self._body("resource", number)
            found = self._resources[number] = read_resource(body) if body else {}
        return found

    def scope(self, number: int) -> InstrumentationScope:
        """Return the library of a row of ``scope``; a nameless one where it is gone."""
        found = self._scopes.get(number)
        if found is None:
            body = self._body("scope", number)
            found = self._scopes[number] = read_scope(body) if body else InstrumentationScope()
        return found

    def _body(self, table: str, number: int) -> str:
        query = f"SELECT body FROM {table} WHERE id = ?"  # noqa: S608 - one of two names
        row = self._db.execute(query, (number,)).fetchone()
        return "" if row is None else str(row[0])


def _summary(row: Sequence[Any]) -> RunSummary:
    _, trace_id, start, end, spans, errors, root_name, root_service, root_status, reason = row
    has_root = bool(root_name or root_status)
    failed = root_status == _ERROR if has_root else errors > 0
    return RunSummary(
        run_id=RunId(trace_id),
        flow=root_service or root_name or NO_SERVICE,
        status=RunStatus.FAILED if failed else RunStatus.COMPLETED,
        start_ns=start,
        end_ns=end,
        spans=spans,
        reason=reason,
        source=FOREIGN,
        handled_failures=0 if failed else errors,
    )


def _detailed(run: RunSummary, spans: Iterable[Span]) -> RunSummary:
    """Name the span that failed first among those that failed: what the others may come of."""
    if run.status is RunStatus.FAILED:
        failed = [span for span in spans if span.status is SpanStatus.ERROR]
        if failed:
            first = min(failed, key=lambda span: (span.end_ns or span.start_ns, -span.start_ns))
            run.failed_node = first.name
            run.reason = run.reason or first.message
    return run


def arranged(spans: list[Span]) -> list[Span]:
    """Return the spans in order of start, but parents before their children.

    A span whose parent is not among them, or not to be told, is at the top, and so is one of every
    circle; that one has no parent any longer.

    Args:
        spans: in order of start.
    """
    parents = parents_of(spans)
    ids = Counter(span.span_id for span in spans)
    children: dict[int, list[int]] = {}
    ready: list[int] = []
    unclear: list[int] = []
    for number, (span, parent) in enumerate(zip(spans, parents, strict=True)):
        if parent >= 0:
            children.setdefault(parent, []).append(number)
        elif span.parent_id == span.span_id and ids[span.span_id] == 1:
            span.parent_id = None
            ready.append(number)
        elif span.parent_id is None or span.parent_id not in ids:
            ready.append(number)
        else:
            unclear.append(number)
    order: list[Span] = []
    seen: set[SpanId] = set()
    for last in (*unclear, None):
        while ready:
            first = heappop(ready)
            order.append(spans[first])
            seen.add(spans[first].span_id)
            for child in children.get(first, ()):
                heappush(ready, child)
        if last is not None:
            if spans[last].parent_id not in seen:  # in a circle
                spans[last].parent_id = None
            ready.append(last)
    return order
