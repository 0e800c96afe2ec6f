"""What one run did, as far as it is compared with another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from tailrace.model.span import RunSummary
from tailrace.model.states import SpanStatus, SpanType
from tailrace.tracing.state import SpanState

ABSENT = object()
"""Stands for an output that a run does not have."""
OUTPUT = "tailrace.output"
_INPUT = "tailrace.input."
_PARAM = "tailrace.param."
_REUSED = "tailrace.reused_from"
_CACHED = "tailrace.cached_from"
_SCOPES = frozenset({SpanType.CONTAINER, SpanType.ITERATION, SpanType.BRANCH})


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many nodes of a run did what."""

    ran: int
    reused: int
    skipped: int
    failed: int
    """Of those that ran."""


class Place(msgspec.Struct, gc=False):
    """A span at its place in the flow. What it did is read only where it is compared."""

    span: SpanState
    kind: SpanType
    static: str
    """The path without indices."""
    parent: str
    loop: str
    attempts: int = 1
    origin: SpanState | None = None
    """What did the work in the run it was reused from, where that is known."""

    @property
    def values(self) -> dict[str, Any]:
        """What holds the inputs and the output."""
        return (self.origin or self.span).attributes

    @property
    def state(self) -> str:
        """The state it ended in, ``RUNNING`` while it is open."""
        if self.span.end is None:
            return "RUNNING"
        return str(self.span.shape.attributes.get("tailrace.state", ""))

    @property
    def reused_from(self) -> str:
        """The run whose result it took; empty: it did the work, or nothing."""
        return _origin_of(self.span)

    @property
    def inputs(self) -> dict[str, Any]:
        """Summaries of what it was given, by parameter."""
        given = self.values.items()
        return {key.removeprefix(_INPUT): value for key, value in given if key.startswith(_INPUT)}

    @property
    def duration(self) -> int | None:
        """Nanoseconds; None while it is open."""
        return None if self.span.end is None else self.span.end - self.span.start

    @property
    def error(self) -> str:
        """Type and message of its failure; empty: none."""
        if self.span.status is not SpanStatus.ERROR:
            return ""
        name = str(self.span.attributes.get("error.type", "")).rpartition(".")[2]
        return f"{name}: {self.span.message}" if name else self.span.message

    @property
    def ran(self) -> bool:
        """Whether it did work in this run."""
        return self.state != "SKIPPED" and not self.reused_from


def _origin_of(span: SpanState) -> str:
    """Return the run from which a node took its result; empty: it has none of another run."""
    get = span.attributes.get
    return str(get(_REUSED) or get(_CACHED) or "")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did, as far as it is compared."""

    run: RunSummary
    places: Mapping[str, Place]
    """By path, in the order in which the run came there."""
    params: Mapping[str, Any]
    output: Any
    tasks: Mapping[str, tuple[str, str]]
    """Task and policy (JSON) of each node that the run came to, by path without indices."""
    fingerprints: Mapping[str, str]


def tally(spans: Iterable[SpanState]) -> Tally:
    """Return how many nodes ran, were reused, were skipped."""
    ran = reused = skipped = failed = 0
    for span in spans:
        if span.shape.type is not SpanType.NODE:
            continue
        if _origin_of(span):
            reused += 1
        elif span.shape.attributes.get("tailrace.state") == "SKIPPED":
            skipped += 1
        else:
            ran += 1
            failed += span.status is SpanStatus.ERROR
    return Tally(ran=ran, reused=reused, skipped=skipped, failed=failed)


class _Scope(NamedTuple):
    """What the paths inside a span begin with, with and without indices."""

    path: str
    static: str
    prefix: str
    static_prefix: str
    loop: str


_ROOT = _Scope("", "", "", "", "")


class _Reading(msgspec.Struct):
    """Spans on their way to being an account; parents come before their children."""

    places: dict[str, Place] = msgspec.field(default_factory=dict)
    tasks: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    root: Mapping[str, Any] = msgspec.field(default_factory=dict)
    scopes: dict[int, _Scope] = msgspec.field(default_factory=dict)
    nodes: dict[int, Place] = msgspec.field(default_factory=dict)

    def take(self, span: SpanState) -> None:
        kind = span.shape.type
        if kind is SpanType.NODE:
            self._take_node(span)
        elif kind is SpanType.ATTEMPT:
            self._note_attempt(span)
        elif kind is SpanType.RUN:
            self.root = span.attributes
        elif kind in _SCOPES:
            self._take_scope(span, kind)

    def _take_node(self, span: SpanState) -> None:
        path = span.path or span.name
        around = self.scopes.get(span.parent, _ROOT)
        prefix, static_prefix = _prefixes(around, path)
        static = static_prefix + path[len(prefix) :]
        place = Place(span, SpanType.NODE, static, around.path, around.loop)
        place.attempts = span.attributes.get("tailrace.attempt", 1)
        self.places[path] = self.nodes[span.number] = place
        if static not in self.tasks:
            get = span.shape.attributes.get
            self.tasks[static] = str(get("tailrace.task", "")), str(get("tailrace.policy", ""))

    def _take_scope(self, span: SpanState, kind: SpanType) -> None:
        path = span.path or span.name
        around = self.scopes.get(span.parent, _ROOT)
        prefix, static_prefix = _prefixes(around, path)
        static, loop = static_prefix + path[len(prefix) :], around.loop
        if kind is SpanType.ITERATION:
            static = loop = around.static
        self.scopes[span.number] = _Scope(path, static, prefix, static_prefix, loop)
        self.places[path] = Place(span, kind, static, around.path, loop)

    def _note_attempt(self, span: SpanState) -> None:
        node = self.nodes.get(span.parent)
        if node is not None:
            node.attempts = max(node.attempts, span.shape.attributes.get("tailrace.attempt", 1))


def _prefixes(around: _Scope, path: str) -> tuple[str, str]:
    """Return what a path begins with, and the same without indices.

    Loops and sub-flows stand in the paths of what is inside; switches and groups do not.
    """
    if around.path and path.startswith(around.path + "."):
        return around.path + ".", around.static + "."
    return around.prefix, around.static_prefix


def account(
    run: RunSummary, spans: Iterable[SpanState], fingerprints: Mapping[str, str]
) -> Account:
    """Return what a run did.

    Args:
        run: the run.
        spans: its spans, parents before their children.
        fingerprints: the code of its nodes, by path without indices; empty: not known.
    """
    reading = _Reading()
    for span in spans:
        reading.take(span)
    root = reading.root
    params = {
        key.removeprefix(_PARAM): value for key, value in root.items() if key.startswith(_PARAM)
    }
    return Account(
        run=run,
        places=reading.places,
        params=params,
        output=root.get(OUTPUT, ABSENT),
        tasks=reading.tasks,
        fingerprints=fingerprints,
    )


def origins_of(account: Account) -> frozenset[str]:
    """Return the runs whose results a run has reused."""
    return frozenset(one.reused_from for one in account.places.values()) - {""}


def trace_back(account: Account, origin: Account) -> None:
    """Let the nodes that a run reused from another one have the inputs and outputs they had there.

    What a run reused stands in its own trace without them.
    """
    for path, place in account.places.items():
        if place.reused_from != origin.run.run_id or path not in origin.places:
            continue
        span = origin.places[path].span
        if span.shape.task == place.span.shape.task:  # a cache may serve several flows
            place.origin = span
