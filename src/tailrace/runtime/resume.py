"""Reading what the runs of a lineage have finished."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from tailrace.codecs import LOST
from tailrace.engine.reuse import Pending, Reuse, Stored
from tailrace.errors import NotFound, StoreError
from tailrace.model import Checkpoint, RunId, Span, SpanType, Trace
from tailrace.runtime.fingerprint import static_path
from tailrace.runtime.inputs import RunInputs, decode_inputs

T = TypeVar("T")
_PATH = "tailrace.node.path"
_BRANCH = "executed_branch_key"
_WAITS = "tailrace.waits_for_attempt"


class LineageReader(Protocol):
    """The part of a store's read side that resuming needs."""

    def turning_points(self, run_id: RunId) -> Trace:
        """Return a run with those of its spans that say which way it went, and how far.

        They are its own, its containers and branches, and what failed or was cut off.
        """
        ...

    def inputs(self, run_id: RunId) -> Checkpoint | None:
        """Return what a run was started with; None: it was not kept."""
        ...

    def fingerprints(self, run_id: RunId) -> dict[str, str]:
        """Return what each node of the run's flow did, by static path; empty when not known."""
        ...

    def checkpoints(self, run_id: RunId) -> Iterator[Checkpoint]:
        """Return the checkpoints of a run; the one with an empty path is what it started with."""
        ...

    def lost_outputs(self, run_id: RunId) -> list[str]:
        """Return the paths of nodes whose output was stored and is there no more."""
        ...


def load_inputs(reader: LineageReader, run_id: str) -> RunInputs:
    """Return what a run was started with.

    Raises:
        NotFound: there is no such run, or nothing was kept of its inputs.
        StoreError: they could not be kept, or cannot be read.
    """
    checkpoint = reader.inputs(RunId(run_id))
    if checkpoint is not None:
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
    root = ""
    for run, trace in reversed(list(_lineage(reader, run_id))):
        gone = _taken_back(reader.inputs(RunId(run)))
        if gone:
            stored, decisions = without(stored, gone), without(decisions, gone)
        for path in reader.lost_outputs(RunId(run)):
            stored[path] = Stored(run, LOST, b"")
        for kept in reader.checkpoints(RunId(run)):
            if kept.path:
                stored[kept.path] = Stored(run, kept.codec, kept.body, kept.extra)
        decisions.update(_decisions(trace.spans))
        pending = dict(_pending(trace.spans))
        root = trace.spans[0].span_id
    return Reuse(run_id, stored, pending, decisions, root)


def without(found: Mapping[str, T], gone: Collection[str]) -> dict[str, T]:
    """Return what is left by path when these static paths are gone."""
    return {path: one for path, one in found.items() if static_path(path) not in gone}


def _taken_back(inputs: Checkpoint | None) -> frozenset[str]:
    """Return the nodes whose results in earlier runs a run did not want."""
    if inputs is None:
        return frozenset()
    try:
        return frozenset(decode_inputs(inputs).taken_back)
    except StoreError:  # said by whoever wants to go on with that very run
        return frozenset()


def _lineage(reader: LineageReader, run_id: str) -> Iterator[tuple[str, Trace]]:
    """Yield the run and those it went on with, newest first; those deleted since are left out."""
    seen: set[str] = set()
    while run_id and run_id not in seen:
        try:
            trace = reader.turning_points(RunId(run_id))
        except NotFound:
            if not seen:
                raise
            return
        seen.add(run_id)
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
            path = nodes[span.span_id] = str(span.attributes[_PATH])
            if _WAITS in span.attributes:
                retry_at = int(span.attributes["tailrace.retry_at_ns"])
                yield path, Pending(int(span.attributes[_WAITS]) - 1, retry_at)
        elif span.type is SpanType.ATTEMPT:
            parent, state = span.parent_id or "", span.attributes.get("tailrace.state")
            if state in {"FAILED", "INTERRUPTED"} and parent in nodes:
                retry_at = int(span.attributes.get("tailrace.retry_at_ns", 0))
                yield nodes[parent], Pending(int(span.attributes["tailrace.attempt"]), retry_at)
