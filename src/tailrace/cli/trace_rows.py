"""From spans to the branches a person wants to see: labels, notes, folding.

A node that needed one attempt is one line: what hung under the attempt hangs under the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Any

from msgspec import Struct, field

from tailrace.cli.json_text import compact
from tailrace.model.family import parents_of
from tailrace.model.ids import SpanId
from tailrace.model.span import Folded, Span, SpanEvent, Trace
from tailrace.model.states import RunStatus, SpanStatus, SpanType

SIBLINGS = 20
"""Children of one type that are read of each parent, where the trace is a large one."""
STATUS_STYLES = {
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.RUNNING: "cyan",
    RunStatus.INTERRUPTED: "yellow",
    RunStatus.CANCELLED: "yellow",
}
_FOLD_ITERATIONS = 12
_FOLD_OTHERS = 60
_KEPT_FIRST = 5
_KEPT_FAILED = 3
_KEPT_LINKS = 3


class Mark(StrEnum):
    """How a span stands, as one sign. The values are fields of ``terminal.Marks``."""

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    RUNNING = "running"
    PENDING = "pending"
    INTERRUPTED = "interrupted"
    FOLDED = "dot"


class Branch(Struct, kw_only=True):
    """One line of the tree with what hangs under it."""

    label: str
    mark: Mark
    note: str = ""
    span: Span | None = None
    """None for a line that stands for folded siblings."""
    below: list[str] = field(default_factory=list)
    """Further lines under this one: the reason of a failure, events."""
    children: list[Branch] = field(default_factory=list)


class View(Struct, frozen=True, kw_only=True):
    """What of a trace is shown."""

    depth: int | None = None
    """Levels under the run; None: all."""
    errors_only: bool = False
    events: bool = False
    fold: bool = True
    attributes: tuple[str, ...] = ()
    """Names of attributes to show, with or without the ``tailrace.`` prefix."""


def build_branches(trace: Trace, view: View) -> list[Branch]:
    """Return the roots of the tree; a run whose spans are all there has one."""
    alive = not trace.run.status.is_terminal
    return _Builder(view, trace, alive=alive).roots(trace.spans)


class _Builder:
    def __init__(self, view: View, trace: Trace, *, alive: bool) -> None:
        self._view = view
        self._unread: Mapping[SpanId, Sequence[Folded]] = trace.folded
        self._flow = trace.run.flow
        self._alive = alive
        self._children: dict[int, list[Span]] = {}
        """By the identity of the parent: spans from elsewhere may share an id."""
        self._faulty: set[int] = set()

    def roots(self, spans: Sequence[Span]) -> list[Branch]:
        parents = parents_of(spans)
        roots = []
        for span, parent in zip(spans, parents, strict=True):
            if parent >= 0:
                self._children.setdefault(id(spans[parent]), []).append(span)
            else:
                roots.append(span)
        for number, span in enumerate(spans):
            if span.status is SpanStatus.ERROR:
                self._note_fault(number, spans, parents)
        return [self._grown(root) for root in roots]

    def _note_fault(self, number: int, spans: Sequence[Span], parents: Sequence[int]) -> None:
        while number >= 0 and id(spans[number]) not in self._faulty:
            self._faulty.add(id(spans[number]))
            number = parents[number]

    def _grown(self, root: Span) -> Branch:
        """Build level by level, without recursion: a trace may be of any depth."""
        top = self._branch(root)
        level = [top]
        depth = 0
        while level and (self._view.depth is None or depth < self._view.depth):
            following: list[Branch] = []
            for branch in level:
                span = branch.span
                if span is not None:
                    branch.children = self._shown_children(span)
                    following += branch.children
            level = following
            depth += 1
        return top

    def _shown_children(self, span: Span) -> list[Branch]:
        spans = self._children_of(span)
        if self._view.errors_only:
            spans = [child for child in spans if id(child) in self._faulty]
        if not self._view.fold:
            return [self._branch(child) for child in spans]
        groups = [(kind, list(group)) for kind, group in groupby(spans, key=lambda one: one.type)]
        unread = self._unread_children(span)
        shown: list[Branch] = []
        for kind, group in reversed(groups):  # what was not read came last of its kind
            shown[:0] = self._folded(kind, group, unread.pop(kind, None))
        return shown

    def _attempts(self, span: Span) -> list[Span]:
        if span.type is not SpanType.NODE:
            return []
        children = self._children.get(id(span), [])
        return [child for child in children if child.type is SpanType.ATTEMPT]

    def _children_of(self, span: Span) -> list[Span]:
        children = self._children.get(id(span), [])
        attempts = self._attempts(span)
        if len(attempts) != 1:
            return children
        inner = self._children.get(id(attempts[0]), [])
        return [child for child in children if child is not attempts[0]] + inner

    def _unread_children(self, span: Span) -> dict[SpanType, Folded]:
        """Return by type what the reader left out of the children that are shown of a span."""
        attempts = self._attempts(span)
        places = [span, *attempts] if len(attempts) == 1 else [span]
        found: dict[SpanType, Folded] = {}
        for one in (left for place in places for left in self._unread.get(place.span_id, ())):
            count = one.failed if self._view.errors_only else one.count
            known = found.get(one.type, Folded(type=one.type, count=0, failed=0))
            found[one.type] = Folded(
                type=one.type, count=known.count + count, failed=known.failed + one.failed
            )
        return {kind: left for kind, left in found.items() if left.count}

    def _folded(self, kind: SpanType, spans: list[Span], unread: Folded | None) -> list[Branch]:
        limit = _FOLD_ITERATIONS if kind is SpanType.ITERATION else _FOLD_OTHERS
        if unread is None and len(spans) <= limit:
            return [self._branch(span) for span in spans]
        rest = (
            spans[limit - _KEPT_FIRST :] if kind is not SpanType.ITERATION else spans[_KEPT_FIRST:]
        )
        head = spans[: len(spans) - len(rest)]
        faulty = [span for span in rest if id(span) in self._faulty]
        kept = faulty[:_KEPT_FAILED]
        hidden = len(rest) - len(kept) + (unread.count if unread else 0)
        failed = len(faulty) - len(kept) + (unread.failed if unread else 0)
        label = f"… {hidden:,} more {_PLURALS.get(kind, 'spans')}"
        if failed:
            label += f", {failed:,} of them failed"
        fold = Branch(label=label, mark=Mark.FOLDED)
        return [*(self._branch(span) for span in (*head, *kept)), fold]

    def _branch(self, span: Span) -> Branch:
        mark = mark_of(span, alive=self._alive)
        attempts = self._attempts(span)
        note = self._note(span, mark, attempts)
        branch = Branch(label=label_of(span), mark=mark, span=span, note=note)
        if span.status is SpanStatus.ERROR and self._is_origin(span):
            branch.below += reason_lines(span, attempts[-1] if attempts else span)
        branch.below += _links(span)
        if self._view.events:
            branch.below += verdict_lines(attempts[0] if len(attempts) == 1 else span)
            branch.below += [
                event_text(event.name, event.attributes) for event in self._events(span)
            ]
            if span.dropped_events:
                branch.below.append(f"{span.dropped_events:,} more events were not kept")
        return branch

    def _events(self, span: Span) -> list[SpanEvent]:
        attempts = self._attempts(span)
        return span.events + (attempts[0].events if len(attempts) == 1 else [])

    def _is_origin(self, span: Span) -> bool:
        """Return whether the failure began here: nothing under it failed but attempts."""
        if span.type is SpanType.ATTEMPT:
            return False
        if span.message and (span.type is SpanType.FOREIGN or error_type(span) == "error"):
            return True  # what each program says of it is its own
        children = self._children.get(id(span), [])
        return not any(
            id(child) in self._faulty and child.type is not SpanType.ATTEMPT for child in children
        )

    def _note(self, span: Span, mark: Mark, attempts: Sequence[Span]) -> str:
        count = len(attempts) + sum(
            left.count
            for left in self._unread.get(span.span_id, ())
            if left.type is SpanType.ATTEMPT
        )
        parts = [f"{count:,} attempts"] if count > 1 else []
        service = span.resource.get("service.name", self._flow)
        parts += [str(service)] if service != self._flow else []
        parts += facts(span, mark)
        if mark is Mark.RUNNING:
            parts += [text for text in map(progress_text, (span, *attempts[-1:])) if text]
        for name in self._view.attributes:
            key = next((k for k in (name, f"tailrace.{name}") if k in span.attributes), None)
            if key is not None:
                parts.append(f"{name}={value_text(span.attributes[key])}")
        return " · ".join(parts)


_PLURALS = {
    SpanType.ITERATION: "iterations",
    SpanType.NODE: "nodes",
    SpanType.BRANCH: "branches",
    SpanType.CONTAINER: "groups",
    SpanType.ATTEMPT: "attempts",
}


_MARKS = {
    "CANCELLED": Mark.CANCELLED,
    "UNFINISHED": Mark.CANCELLED,
    "INTERRUPTED": Mark.INTERRUPTED,
    "SKIPPED": Mark.SKIPPED,
}


def mark_of(span: Span, *, alive: bool) -> Mark:
    """Return how a span stands; ``alive`` says whether its run still goes on."""
    if span.end_ns is None:
        return Mark.RUNNING if alive else Mark.INTERRUPTED
    state = str(span.attributes.get("tailrace.state") or span.attributes.get("tailrace.status", ""))
    if state in _MARKS:
        return _MARKS[state]
    if span.status is SpanStatus.ERROR:
        return Mark.TIMEOUT if span.attributes.get("timeout") else Mark.FAILED
    return Mark.DONE


def label_of(span: Span) -> str:
    """Return the name a person gave: ``clean`` for ``node clean``, ``attempt 2`` for an attempt."""
    match span.type:
        case SpanType.ATTEMPT:
            return f"attempt {span.attributes.get('tailrace.attempt', '')}".rstrip()
        case SpanType.RUN | SpanType.NODE | SpanType.CONTAINER:
            return span.name.partition(" ")[2] or span.name
        case _:
            return span.name


def facts(span: Span, mark: Mark) -> Iterator[str]:
    """Yield what is worth a word about a span beside its name and duration."""
    get = span.attributes.get
    match span.type:
        case SpanType.CONTAINER:
            yield from _container_facts(span)
        case SpanType.ITERATION if get("tailrace.item") is not None:
            yield value_text(get("tailrace.item"))
        case SpanType.ATTEMPT:
            if span.status is SpanStatus.ERROR:
                yield error_type(span)
            if get("tailrace.delay_s"):
                yield f"after {get('tailrace.delay_s'):g} s"
        case _:
            pass
    if mark is Mark.SKIPPED:
        reason = get("tailrace.skip.reason")
        yield f"skipped: {reason}" if reason else "skipped"
    elif mark in (Mark.CANCELLED, Mark.INTERRUPTED):
        yield mark.value
    yield from _reuse_facts(span)
    if get("tailrace.handled"):
        yield f"handled: {get('tailrace.handled_by', 'yes')}"


def _reuse_facts(span: Span) -> Iterator[str]:
    """Yield which run a node's output is from, or why it was not taken from one."""
    get = span.attributes.get
    if get("tailrace.reused_from"):
        yield f"reused from run {get('tailrace.reused_from')}"
    if get("tailrace.cached_from"):
        yield f"cached from run {get('tailrace.cached_from')}"
    if get("tailrace.not_reused"):
        yield str(get("tailrace.not_reused"))


def _container_facts(span: Span) -> Iterator[str]:
    get = span.attributes.get
    construct = span.name.partition(" ")[0]
    if construct != label_of(span):
        yield construct
    if get("executed_branch_key") is not None:
        yield f"branch {get('executed_branch_key')}"
    count = get("tailrace.count")
    if count is not None:
        yield f"{count:,} iteration{'' if count == 1 else 's'}"


def progress_text(span: Span) -> str:
    """Return ``71/120``, ``71`` or nothing."""
    done = span.attributes.get("tailrace.progress.done")
    total = span.attributes.get("tailrace.progress.total")
    if done is None:
        return ""
    return f"{done:g}/{total:g}" if total is not None else f"{done:g}"


def error_type(span: Span) -> str:
    """Return the error's class name without its module, or ``error``."""
    name = span.attributes.get("error.type") or span.attributes.get("exception.type") or "error"
    return "error" if name == "_OTHER" else str(name).rpartition(".")[2]


def _links(span: Span) -> Iterator[str]:
    """Yield a line for each link that a program has set; a run's say where it comes from."""
    if span.type is SpanType.RUN:
        return
    for link in span.links[:_KEPT_LINKS]:
        yield f"linked to span {link.span_id} of {link.trace_id}"
    if len(span.links) > _KEPT_LINKS:
        yield f"… and {len(span.links) - _KEPT_LINKS:,} more links"


def reason_lines(span: Span, attempt: Span) -> list[str]:
    """Return why a span failed, and where; ``attempt`` is its last attempt, or the span itself."""
    message = span.message or str(span.attributes.get("exception.message", ""))
    kind = error_type(span)
    if not message:
        headline = kind
    elif kind == "error" or message.startswith(kind):
        headline = message
    else:
        headline = f"{kind}: {message}"
    location = attempt.attributes.get("tailrace.location")
    if not location:
        return [headline]
    source = attempt.attributes.get("tailrace.source_line", "")
    return [headline, f"at {location}  {source}".rstrip()]


def verdict_lines(span: Span) -> list[str]:
    """Return what a failed attempt was taken for, and the names of it and its group."""
    get = span.attributes.get
    category = get("tailrace.category")
    if span.type is not SpanType.ATTEMPT or not category:
        return []
    finer = get("tailrace.class")
    words = str(category) if finer in {None, "unknown", category} else f"{category} ({finer})"
    facts = {"rule": get("tailrace.rule"), "fingerprint": get("tailrace.fingerprint")}
    named = [f"{name} {value}" for name, value in facts.items() if value]
    failure = get("tailrace.failure_id")
    return [", ".join([words, *named, *([str(failure)] if failure else [])])]


def value_text(value: Any) -> str:
    """Return an attribute as it is if it is a text, else as JSON writes it."""
    return value if isinstance(value, str) else compact(value)


def event_text(name: str, attributes: dict[str, Any]) -> str:
    """Return an event on one line."""
    rest = dict(attributes)
    message = str(rest.pop("message", ""))
    level = str(rest.pop("level", ""))
    rest.pop("logger", None)
    tail = " ".join(f"{key}={value_text(value)}" for key, value in rest.items())
    return " ".join(part for part in (f"{name}:", level, message.rstrip(), tail) if part)
