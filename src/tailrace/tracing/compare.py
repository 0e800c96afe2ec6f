"""What differs between two runs, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tailrace.model.span import RunSummary
from tailrace.model.states import SpanType
from tailrace.tracing.account import ABSENT, OUTPUT, Account, Place

_LEAST_NS = 10_000_000
_FACTOR = 1.5
"""Times are different when they are further apart than both."""
_ITEM = "tailrace.item"
_BRANCH = "executed_branch_key"
_COUNT = "tailrace.count"
_decode = msgspec.json.Decoder().decode


class Aspect(StrEnum):
    """In what two runs can differ."""

    PRESENCE = "presence"
    """Only one of them came there."""
    STATE = "state"
    ERROR = "error"
    BRANCH = "branch"
    ITERATIONS = "iterations"
    ATTEMPTS = "attempts"
    DURATION = "duration"
    """By more than half, and by more than 10 ms."""
    INPUT = "input"
    OUTPUT = "output"
    CODE = "code"
    POLICY = "policy"
    PARAM = "param"
    DEFINITION = "definition"


class Difference(msgspec.Struct, frozen=True):
    """One thing that differs. None stands for what is not there; durations are nanoseconds."""

    aspect: Aspect
    name: str
    """Which input, param or field of a policy; empty where there is one only."""
    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the flow, and what differs there."""

    path: str
    kind: SpanType
    differences: tuple[Difference, ...]
    loop: str = ""
    """Path without indices of the loop right around it; empty: none."""
    below: int = 0
    """Nodes inside, when only one of the runs came there."""


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """How the iterations of a loop compare; ``path`` is without indices."""

    path: str
    equal: int
    different: int
    only_before: int
    only_after: int


class Reused(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that a run did not do again."""

    path: str
    """Without indices."""
    run_id: str
    """The run whose result was taken."""
    by_after: bool
    """Whether it was the later of the two runs that reused them."""
    count: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two runs; nothing does when ``is_equal``."""

    before: RunSummary
    after: RunSummary
    run: tuple[Difference, ...]
    """About the runs as a whole."""
    definitions: tuple[Change, ...]
    """Code and policies, by path without indices."""
    nodes: tuple[Change, ...]
    """What happened, by path, in the order of the flow."""
    loops: tuple[Loop, ...]
    reused: tuple[Reused, ...]
    equal: int
    """Nodes that both runs came to and in which nothing differs."""
    code_known: bool
    """False when the code of one of the runs was not kept."""

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.run or self.definitions or self.nodes)


def compare(before: Account, after: Account, *, ignore: Collection[Aspect] = ()) -> Comparison:
    """Return what differs between two runs, but for the aspects to ignore."""
    ignored = frozenset(ignore)
    walk = _Walk(before.places, after.places, ignored)
    walk.go()
    return Comparison(
        before=before.run,
        after=after.run,
        run=tuple(one for one in _of_runs(before, after) if one.aspect not in ignored),
        definitions=tuple(_definitions(before, after, ignored)),
        nodes=tuple(walk.changes),
        loops=tuple(walk.loops()),
        reused=tuple(_reused(before.places, after.places)),
        equal=walk.equal,
        code_known=bool(before.fingerprints and after.fingerprints),
    )


def _of_runs(before: Account, after: Account) -> Iterator[Difference]:
    old, new = before.run, after.run
    yield from _one(Aspect.DEFINITION, "flow", old.flow, new.flow)
    yield from _one(Aspect.DEFINITION, "hash", old.flow_hash, new.flow_hash)
    yield from _one(Aspect.CODE, "version", old.code_version or None, new.code_version or None)
    yield from _differing(Aspect.PARAM, before.params, after.params)
    yield from _one(Aspect.STATE, "", str(old.status), str(new.status))
    yield from _one(Aspect.ERROR, "", old.reason or None, new.reason or None)
    if ABSENT not in (before.output, after.output):
        yield from _one(Aspect.OUTPUT, "", before.output, after.output)
    if old.end_ns is not None and new.end_ns is not None:
        yield from _durations(old.end_ns - old.start_ns, new.end_ns - new.start_ns)


def _differing(
    aspect: Aspect, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Difference]:
    for name in {**before, **after}:
        yield from _one(aspect, name, before.get(name), after.get(name))


def _durations(before: int, after: int) -> Iterator[Difference]:
    shorter, longer = sorted((before, after))
    if longer - shorter > _LEAST_NS and longer > _FACTOR * shorter:
        yield Difference(Aspect.DURATION, "", before, after)


def _definitions(before: Account, after: Account, ignored: Collection[Aspect]) -> Iterator[Change]:
    old_code, new_code = before.fingerprints, after.fingerprints
    for path in {**old_code, **new_code, **before.tasks, **after.tasks}:
        found: list[Difference] = []
        (old_task, old_policy), (new_task, new_policy) = (
            one.tasks.get(path, ("", "")) for one in (before, after)
        )
        old, new = old_code.get(path), new_code.get(path)
        is_told = old_task if new is None else new_task if old is None else ""
        if old_code and new_code and not is_told:  # where a run came to is told with its places
            found += _one(Aspect.CODE, "", old, new)
        if old_task and new_task:
            found += _differing(Aspect.CODE, {"task": old_task}, {"task": new_task})
        if old_policy != new_policy and old_policy and new_policy:
            found += _differing(Aspect.POLICY, _fields(old_policy), _fields(new_policy))
        kept = tuple(one for one in found if one.aspect not in ignored)
        if kept:
            yield Change(path=path, kind=SpanType.NODE, differences=kept)


def _fields(policy: str) -> dict[str, Any]:
    """Return the fields of a policy by their dotted names."""
    flat: dict[str, Any] = {}
    rest: list[tuple[str, Any]] = [("", _decode(policy))]
    while rest:
        name, value = rest.pop()
        if isinstance(value, dict):
            rest += [(f"{name}.{key}" if name else key, value[key]) for key in reversed(value)]
        else:
            flat[name] = value
    return flat


def _reused(before: Mapping[str, Place], after: Mapping[str, Place]) -> Iterator[Reused]:
    for by_after, places in ((False, before), (True, after)):
        counts = Counter(
            (one.static, one.reused_from) for one in places.values() if one.reused_from
        )
        for (path, run_id), count in counts.items():
            yield Reused(path=path, run_id=run_id, by_after=by_after, count=count)


class _Walk:
    """Goes through the places of both runs at once, in the order of the flow."""

    def __init__(
        self,
        before: Mapping[str, Place],
        after: Mapping[str, Place],
        ignored: Collection[Aspect],
    ) -> None:
        self.changes: list[Change] = []
        self.equal = 0
        self._before = before
        self._after = after
        self._ignored = ignored
        self._children: dict[str, list[str]] = {}
        self._different: set[str] = set()
        for path, place in before.items():
            self._children.setdefault(place.parent, []).append(path)
        for path, place in after.items():
            if path not in before:
                self._children.setdefault(place.parent, []).append(path)

    def go(self) -> None:
        """Visit every place from the top, without recursion: a flow may be of any depth."""
        waiting = self._inside("")
        while waiting:
            path = waiting.pop()
            if self._visit(path):
                waiting += self._inside(path)

    def _inside(self, path: str) -> list[str]:
        return self._children.get(path, [])[::-1]

    def _visit(self, path: str) -> bool:
        """Note what differs at a path; return whether what is inside is to be visited."""
        old, new = self._before.get(path), self._after.get(path)
        place = old or new
        if place is None:
            return False
        if old is None or new is None or old.kind is not new.kind:
            if place.kind is SpanType.BRANCH:
                return True
            pair = (_stands(old), _stands(new))
            self._note(path, place, (Difference(Aspect.PRESENCE, "", *pair),))
            return False
        found = tuple(one for one in _of_places(old, new) if one.aspect not in self._ignored)
        if found:
            self._note(path, place, found)
        elif place.kind is SpanType.NODE:
            self.equal += 1
        return True

    def _note(self, path: str, place: Place, found: tuple[Difference, ...]) -> None:
        is_absent = found[0].aspect is Aspect.PRESENCE
        if is_absent and Aspect.PRESENCE in self._ignored:
            return
        below = self._nodes_inside(path) if is_absent else 0
        self.changes.append(
            Change(path=path, kind=place.kind, differences=found, loop=place.loop, below=below)
        )
        around = path if not is_absent else place.parent
        while around and around not in self._different:
            self._different.add(around)
            known = self._before.get(around) or self._after.get(around)
            around = "" if known is None else known.parent

    def _nodes_inside(self, path: str) -> int:
        count = 0
        waiting = self._inside(path)
        while waiting:
            inner = waiting.pop()
            place = self._before.get(inner) or self._after[inner]
            count += place.kind is SpanType.NODE
            waiting += self._inside(inner)
        return count

    def loops(self) -> Iterator[Loop]:
        """Yield how the iterations of each loop compare."""
        counts: dict[str, Counter[str]] = {}
        for path, place in {**self._before, **self._after}.items():
            if place.kind is not SpanType.ITERATION:
                continue
            if path not in self._after:
                how = "only_before"
            elif path not in self._before:
                how = "only_after"
            else:
                how = "different" if path in self._different else "equal"
            counts.setdefault(place.static, Counter())[how] += 1
        for path, found in counts.items():
            yield Loop(
                path=path,
                equal=found["equal"],
                different=found["different"],
                only_before=found["only_before"],
                only_after=found["only_after"],
            )


def _stands(place: Place | None) -> str | None:
    return None if place is None else place.state or str(place.kind)


def _of_places(old: Place, new: Place) -> Iterator[Difference]:
    if old.kind is SpanType.BRANCH:
        return
    mine, other = old.span.attributes, new.span.attributes
    if mine == other and old.state == new.state and old.attempts == new.attempts:
        if old.kind is not SpanType.ITERATION and old.ran:
            yield from _of_times(old, new)
        return
    if old.kind is SpanType.ITERATION:
        yield from _one(Aspect.INPUT, "item", mine.get(_ITEM), other.get(_ITEM))
        return
    yield from _one(Aspect.STATE, "", old.state, new.state)
    if old.kind is SpanType.CONTAINER:
        yield from _one(Aspect.BRANCH, "", mine.get(_BRANCH), other.get(_BRANCH))
        yield from _one(Aspect.ITERATIONS, "", mine.get(_COUNT), other.get(_COUNT))
    else:
        yield from _one(Aspect.ERROR, "", old.error or None, new.error or None)
    if (old.ran or old.origin) and (new.ran or new.origin):
        yield from _of_values(old, new)
    if old.ran and new.ran:
        yield from _of_work(old, new)


def _of_values(old: Place, new: Place) -> Iterator[Difference]:
    mine, other = old.values, new.values
    if mine is not other and mine != other:
        yield from _differing(Aspect.INPUT, old.inputs, new.inputs)
        if OUTPUT in mine and OUTPUT in other:
            yield from _one(Aspect.OUTPUT, "", mine[OUTPUT], other[OUTPUT])


def _of_work(old: Place, new: Place) -> Iterator[Difference]:
    """Yield what differs where both runs did the work themselves."""
    yield from _one(Aspect.ATTEMPTS, "", old.attempts, new.attempts)
    yield from _of_times(old, new)


def _of_times(old: Place, new: Place) -> Iterator[Difference]:
    if old.duration is not None and new.duration is not None:
        yield from _durations(old.duration, new.duration)


def _one(aspect: Aspect, name: str, before: Any, after: Any) -> Iterator[Difference]:
    if before != after:
        yield Difference(aspect, name, before, after)
