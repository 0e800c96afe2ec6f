"""Reading what the runs of a lineage have finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from tailrace.engine.reuse import Pending, Reuse, Stored
from tailrace.errors import NotFound
from tailrace.model import Checkpoint, RunId, Span, SpanType, Trace
from tailrace.runtime.inputs import RunInputs, decode_inputs

_PATH = "tailrace.node.path"
_BRANCH = "executed_branch_key"


class LineageReader(Protocol):
    """The part of a store's read side that resuming needs."""

    def trace(self, run_id: RunId, *, events: bool = True) -> Trace:
        """Return a run with its spans."""
        ...

    def fingerprints(self, run_id: RunId) -> dict[str, str]:
        """Return what each node of the run's flow did, by static path; empty when not known."""
        ...

    def checkpoints(self, run_id: RunId) -> Iterator[Checkpoint]:
        """Return the checkpoints of a run; the one with an empty path is what it started with."""
        ...


def load_inputs(reader: LineageReader, run_id: str) -> RunInputs:
    """Return what a run was started with.

    Raises:
        NotFound: there is no such run, or nothing was kept of its inputs.
        StoreError: they could not be kept, or cannot be read.
    """
    for checkpoint in reader.checkpoints(RunId(run_id)):
        if not checkpoint.path:
            return decode_inputs(checkpoint)
    raise NotFound(
        f"run {run_id} has no inputs in the store; it ran before they were kept",
        hint="start it again by hand",
    )


def load_reuse(reader: LineageReader, run_id: str) -> Reuse:
    """Return what a run, and those it went on with, have finished.

    Raises:
        NotFound: there is no such run.
    """
    stored: dict[str, Stored] = {}
    decisions: dict[str, str] = {}
    pending: dict[str, Pending] = {}
    for run, trace in reversed(list(_lineage(reader, run_id))):
        for kept in reader.checkpoints(RunId(run)):
            if kept.path:
                stored[kept.path] = Stored(run, kept.codec, kept.body, kept.extra)
        decisions.update(_decisions(trace.spans))
        pending = dict(_pending(trace.spans))
    return Reuse(run_id, stored, pending, decisions)


def _lineage(reader: LineageReader, run_id: str) -> Iterator[tuple[str, Trace]]:
    """Yield the run and those it went on with, newest first."""
    seen: set[str] = set()
    while run_id and run_id not in seen:
        seen.add(run_id)
        trace = reader.trace(RunId(run_id), events=False)
        yield run_id, trace
        run_id = str(trace.spans[0].attributes.get("tailrace.resumed_from", ""))


def _decisions(spans: Iterable[Span]) -> Iterator[tuple[str, str]]:
    containers: dict[str, str] = {}
    for span in spans:
        if span.type is SpanType.CONTAINER:
            path = str(span.attributes[_PATH])
            containers[span.span_id] = path if span.name.startswith("switch ") else ""
            if f"tailrace.{_BRANCH}" in span.attributes:
                yield path, str(span.attributes[f"tailrace.{_BRANCH}"])
        elif span.type is SpanType.BRANCH and containers.get(span.parent_id or ""):
            yield containers[span.parent_id or ""], str(span.attributes["tailrace.branch_key"])


def _pending(spans: Iterable[Span]) -> Iterator[tuple[str, Pending]]:
    """Yield the nodes that had been tried when their process died, with their last attempt."""
    nodes: dict[str, str] = {}
    for span in spans:
        if span.type is SpanType.NODE and span.attributes.get("tailrace.state") == "INTERRUPTED":
            nodes[span.span_id] = str(span.attributes[_PATH])
        elif span.type is SpanType.ATTEMPT:
            parent, state = span.parent_id or "", span.attributes.get("tailrace.state")
            if state in {"FAILED", "INTERRUPTED"} and parent in nodes:
                retry_at = int(span.attributes.get("tailrace.retry_at_ns", 0))
                yield nodes[parent], Pending(int(span.attributes["tailrace.attempt"]), retry_at)
