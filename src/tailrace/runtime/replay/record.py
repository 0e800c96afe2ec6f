"""What was recorded of each node of a run."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from tailrace.engine import Reuse
from tailrace.engine.reuse import Extra
from tailrace.model import RunId, Span, SpanType
from tailrace.model.span import RunSummary, Trace
from tailrace.runtime.replay.missing import Missing
from tailrace.runtime.resume import LineageReader, load_reuse

_INPUT = "tailrace.input."
_STORED = "stored"
_WORDS = {
    "": "still ran when this was read",
    "RUNNING": "still ran when this was read",
    "INTERRUPTED": "was running when its process died",
    "CANCELLED": "was cancelled",
    "SKIPPED": "was skipped",
    "UNFINISHED": "had not finished when the run ended",
}


class RecordReader(LineageReader, Protocol):
    """The part of a store's read side that replays need."""

    def trace(self, run_id: RunId, *, events: bool = True) -> Trace:
        """Return a run with its spans."""
        ...


class RecordedFailure(Struct, frozen=True, kw_only=True):
    """How a node failed, as its span tells it."""

    type: str
    message: str
    category: str = ""
    fingerprint: str = ""
    failure_id: str = ""
    location: str = ""
    """``file:line`` of the user's own code; empty when not known."""
    stack: str = ""


class NodeRecord(Struct, frozen=True, kw_only=True):
    """What was recorded of one node."""

    path: str
    run_id: str
    """The run in which it ran: that of the replay, or one that it went on with."""
    state: str
    """SUCCEEDED, FAILED, SKIPPED, CANCELLED, INTERRUPTED, …"""
    span: Span
    failure: RecordedFailure | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """Summaries of the inputs by parameter name."""
        attributes = self.span.attributes
        return {
            name.removeprefix(_INPUT): value
            for name, value in attributes.items()
            if name.startswith(_INPUT)
        }

    @property
    def handled_by(self) -> str:
        """What ``on_error`` did about the failure; empty when nothing."""
        return str(self.span.attributes.get("tailrace.handled_by", ""))

    @property
    def skip_reason(self) -> str:
        """Why it did not start; empty when it did."""
        return str(self.span.attributes.get("tailrace.skip.reason", ""))

    @property
    def cached_from(self) -> str:
        """The run of which a cached task's output was taken; empty when it ran itself."""
        return str(self.span.attributes.get("tailrace.cached_from", ""))

    @property
    def attempt(self) -> int:
        """Number of the last attempt, from 1."""
        return int(self.span.attributes.get("tailrace.attempt", 1))

    def why_without_output(self, trouble: str = "") -> str:
        """Return why there is no output to be had; ``trouble`` is what reading it came upon."""
        if self.state != "SUCCEEDED":
            return f"{self.path} {_WORDS.get(self.state, f'ended as {self.state}')}"
        kept = str(self.span.attributes.get("tailrace.checkpoint", ""))
        if kept in {"", _STORED}:
            more = f": {trouble}" if trouble else ""
            return f"what {self.path} gave cannot be read from the store any more{more}"
        if kept == "none":
            return f"what {self.path} gave was not kept"
        return f"what {self.path} gave could not be kept: {kept}"


class RunRecord(Struct, frozen=True, kw_only=True):
    """What was recorded of a run, with what it reused of the runs before it."""

    run: RunSummary
    nodes: Mapping[str, NodeRecord]
    """By path, loop indices included."""
    reuse: Reuse
    lineage: str
    fingerprints: Mapping[str, Mapping[str, str]]
    """By run, then by path without indices: what each node did then."""
    _loops: dict[str, dict[str, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in self.nodes:
            for loop, key in iterations_of(path):
                self._loops.setdefault(loop, {})[key] = None

    def output(self, path: str) -> tuple[Any, Extra] | None:
        """Return what a node gave, freshly decoded; None when that was not kept."""
        record, stored = self.nodes.get(path), self.reuse.stored.get(path)
        if record is None or stored is None or stored.run_id != record.run_id:
            return None
        found = self.reuse.value(path)
        return None if found is None else found[:2]

    def why_without_output(self, path: str) -> str:
        """Return why ``output`` gives nothing for a node that was recorded."""
        return self.nodes[path].why_without_output(self.reuse.trouble(path))

    def iterations(self, loop: str) -> list[str]:
        """Return the keys of a loop's iterations in which something was recorded, in order."""
        return list(self._loops.get(loop, ()))

    def items(self, loop: str) -> list[Missing] | dict[Any, Missing]:
        """Return a stand-in for each item of a loop whose items are not known."""
        keys = self.iterations(loop)
        if all(key.isdigit() for key in keys):
            count = 1 + max(map(int, keys), default=-1)
            return [Missing(f"item {index} of {loop} is not known") for index in range(count)]
        return {_key_of(key): Missing(f"item {key} of {loop} is not known") for key in keys}


def read_record(reader: RecordReader, run_id: str) -> RunRecord:
    """Return what a run recorded; of the nodes that it reused, what the run before did.

    Raises:
        NotFound: there is no such run.
    """
    trace = reader.trace(RunId(run_id), events=False)
    nodes = {record.path: record for record in _records(run_id, trace.spans)}
    reused: dict[str, list[str]] = {}
    for record in nodes.values():
        source = record.span.attributes.get("tailrace.reused_from")
        if source:
            reused.setdefault(str(source), []).append(record.path)
    for source, paths in reused.items():
        before = reader.trace(RunId(source), events=False)
        found = {record.path: record for record in _records(source, before.spans)}
        nodes.update({path: found[path] for path in paths if path in found})
    return RunRecord(
        run=trace.run,
        nodes=nodes,
        reuse=load_reuse(reader, run_id),
        lineage=str(trace.spans[0].attributes.get("tailrace.lineage", run_id)),
        fingerprints={run: reader.fingerprints(RunId(run)) for run in (run_id, *reused)},
    )


def _records(run_id: str, spans: Iterable[Span]) -> Iterator[NodeRecord]:
    attempts = {span.parent_id: span.attributes for span in spans if span.type is SpanType.ATTEMPT}
    for span in spans:
        if span.type is not SpanType.NODE:
            continue
        attributes = span.attributes
        yield NodeRecord(
            path=str(attributes["tailrace.node.path"]),
            run_id=run_id,
            state=str(attributes.get("tailrace.state", "")),
            span=span,
            failure=_failure(span, attempts.get(span.span_id, {})),
        )


def _failure(span: Span, attempt: Mapping[str, Any]) -> RecordedFailure | None:
    """Return the failure of a node; where it was raised stands at its last attempt."""
    attributes = span.attributes
    if "error.type" not in attributes or attributes.get("tailrace.state") != "FAILED":
        return None
    return RecordedFailure(
        type=str(attributes["error.type"]),
        message=span.message,
        category=str(attributes.get("tailrace.category", "")),
        fingerprint=str(attributes.get("tailrace.fingerprint", "")),
        failure_id=str(attributes.get("tailrace.failure_id", "")),
        location=str(attempt.get("tailrace.location", "")),
        stack=str(attempt.get("exception.stacktrace", "")),
    )


def iterations_of(path: str) -> Iterator[tuple[str, str]]:
    """Yield (path of the loop, key) for each iteration a path leads through, outermost first."""
    opened, quoted = -1, False
    depth = 0
    for index, character in enumerate(path):
        if depth and character == '"' and path[index - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif character == "[":
            opened = index if depth == 0 else opened
            depth += 1
        elif character == "]" and depth:
            depth -= 1
            if depth == 0:
                yield path[:opened], path[opened + 1 : index]


def _key_of(text: str) -> Any:
    """Return the key of a mapping from what stands of it in a path."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
