"""A comparison of two runs as a table, as Markdown, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

from msgspec import Struct

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.listing import counted
from tailrace.cli.table_text import Cell, Column, Row, render_markdown, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.trace_json import run_to_dict
from tailrace.cli.width import clean
from tailrace.model.states import SpanType
from tailrace.tracing.compare import Aspect, Change, Comparison, Difference, Loop, Reused

_HEAD = (
    Column(title=""),
    Column(title="RUN"),
    Column(title="FLOW", drop=2),
    Column(title="STATUS", drop=1),
    Column(title="DURATION", right=True, drop=3),
    Column(title="STARTED", drop=4),
)
_COLUMNS = (
    Column(title="NODE", flex=True, least=9),
    Column(title="WHAT", flex=True, least=9),
    Column(title="A", flex=True, least=8),
    Column(title="B", flex=True, least=8),
)
_ITERATIONS = 5
"""Iterations of a loop that are shown one by one."""
_DIGITS = 12
"""Of a digest."""
_ALIKE = 16
"""Characters two texts may share at their beginning before it is left out."""
_CONTEXT = 6


class _Line(Struct, frozen=True):
    place: str
    what: str
    before: str
    after: str

    def row(self) -> Row:
        return self.place, self.what, Cell(self.before, "red"), Cell(self.after, "green")


def render_comparison(
    found: Comparison, output: str, terminal: Terminal, *, everything: bool
) -> Iterable[str]:
    """Return the lines of a comparison in one of the formats of ``trace diff``.

    Args:
        found: the comparison.
        output: ``table``, ``markdown``, ``json`` or ``jsonl``.
        terminal: decides width, signs and colour.
        everything: show all iterations in tables.
    """
    match output:
        case "json":
            return [pretty(_to_dict(found))]
        case "jsonl":
            return (compact(one) for one in _entries(found))
        case "markdown":
            return _markdown(found, everything=everything)
        case _:
            return _table(found, terminal, everything=everything)


# For people.


def _table(found: Comparison, terminal: Terminal, *, everything: bool) -> list[str]:
    head = render_table(_HEAD, list(_runs(found)), terminal)[1:]
    rows = [_apart(line).row() for line in _lines(found, everything=everything)]
    body = ["", *render_table(_COLUMNS, rows, terminal)] if rows else []
    facts = [
        terminal.style(line, "dim")
        for fact in _facts(found)
        for line in wrap(clean(fact), terminal.width, break_long_words=False)
    ]
    return [*head, *body, "", *facts]


def _markdown(found: Comparison, *, everything: bool) -> list[str]:
    head = render_markdown(_HEAD, list(_runs(found)))
    rows = [line.row() for line in _lines(found, everything=everything)]
    body = ["", *render_markdown(_COLUMNS, rows)] if rows else []
    facts = render_markdown((Column(title="And"),), [[fact] for fact in _facts(found)])
    return [*head, *body, "", *facts]


def _runs(found: Comparison) -> Iterator[Row]:
    for name, run in (("A", found.before), ("B", found.after)):
        took = None if run.end_ns is None else run.end_ns - run.start_ns
        started = local_time(run.start_ns)
        yield name, run.run_id, run.flow, run.status.value, duration(took), started


def _lines(found: Comparison, *, everything: bool) -> Iterator[_Line]:
    for difference in found.run:
        yield _line("(run)", difference)
    yield from _of_definitions(found.definitions)
    shown: dict[str, list[str]] = {}
    for change in found.nodes:
        if everything or not change.loop or _has_room(shown, change):
            for difference in change.differences:
                yield _line(change.path, difference, change)


def _of_definitions(changes: Sequence[Change]) -> Iterator[_Line]:
    """Yield code and policies, nodes together whose policies changed in the same way."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for change in changes:
        for one in change.differences:
            key = (one.aspect, one.name, _text(one, one.before), _text(one, one.after))
            alike.setdefault(key, []).append(change.path)
    for (aspect, name, before, after), paths in alike.items():
        yield _Line(_names(paths), f"{aspect} {name}".rstrip(), before, after)


def _has_room(shown: dict[str, list[str]], change: Change) -> bool:
    """Return whether the iteration a change stands in is one of the first of its loop."""
    iterations = shown.setdefault(change.loop, [])
    own = change.path if change.kind is SpanType.ITERATION else change.path.rpartition("]")[0] + "]"
    if own in iterations:
        return True
    if len(iterations) == _ITERATIONS:
        return False
    iterations.append(own)
    return True


def _line(place: str, one: Difference, change: Change | None = None) -> _Line:
    before, after = _text(one, one.before), _text(one, one.after)
    what = f"{one.aspect} {one.name}".rstrip()
    if one.aspect is Aspect.PRESENCE:
        what = "only in B" if one.before is None else "only in A"
        if change is not None and change.kind is not SpanType.NODE and change.below:
            place = f"{place} ({counted(change.below, 'node')})"
    return _Line(place, what, before, after)


def _text(one: Difference, value: Any) -> str:
    if value is None:
        return "-"
    if one.aspect is Aspect.DURATION:
        return duration(value)
    if one.name == "hash" or (one.aspect is Aspect.CODE and one.name != "task"):
        return str(value).removeprefix("sha256:")[:_DIGITS]
    return value if isinstance(value, str) else compact(value)


def _apart(line: _Line) -> _Line:
    """Return a line whose texts begin where they differ, if they share a long beginning."""
    alike = 0
    for one, other in zip(line.before, line.after, strict=False):
        if one != other:
            break
        alike += 1
    if alike <= _ALIKE:
        return line
    start = alike - _CONTEXT
    return _Line(line.place, line.what, f"…{line.before[start:]}", f"…{line.after[start:]}")


def _facts(found: Comparison) -> Iterator[str]:
    for loop in found.loops:
        yield _loop_text(loop)
    names: dict[str, str] = {found.before.run_id: "A", found.after.run_id: "B"}
    order = sorted(found.reused, key=lambda one: (one.by_after, one.run_id))
    for (by_after, run_id), group in groupby(order, key=lambda one: (one.by_after, one.run_id)):
        yield _reused_text("B" if by_after else "A", names.get(run_id, ""), list(group))
    if not found.code_known:
        yield "the code of the nodes was not kept for both runs: it is not compared"
    if found.is_equal:
        yield f"nothing differs in {counted(found.equal, 'node')}"
    else:
        yield f"{counted(found.equal, 'node')} without a difference"


def _loop_text(loop: Loop) -> str:
    parts = [counted(loop.equal, "equal iteration")]
    if loop.different:
        parts.append(f"{loop.different:,} {'differs' if loop.different == 1 else 'differ'}")
    if loop.only_before:
        parts.append(f"{loop.only_before:,} only in A")
    if loop.only_after:
        parts.append(f"{loop.only_after:,} only in B")
    return f"{loop.path}: {', '.join(parts)}"


def _reused_text(by: str, name: str, group: Sequence[Reused]) -> str:
    origin = name or f"run {group[0].run_id}"
    paths = [one.path if one.count == 1 else f"{one.path} ({one.count:,} times)" for one in group]
    return f"{by} reused from {origin}: {_names(paths, 12)}"


def _names(paths: Sequence[str], most: int = 3) -> str:
    """Return the paths; of more than ``most`` the first ones and how many more there are."""
    if len(paths) <= most:
        return ", ".join(paths)
    kept = most // 2
    return f"{', '.join(paths[:kept])} and {len(paths) - kept:,} more"


# For programs.


def _to_dict(found: Comparison) -> dict[str, Any]:
    return {
        "a": run_to_dict(found.before),
        "b": run_to_dict(found.after),
        "equal": found.is_equal,
        "differences": list(_entries(found)),
        "loops": [
            {
                "path": loop.path,
                "equal": loop.equal,
                "different": loop.different,
                "only_a": loop.only_before,
                "only_b": loop.only_after,
            }
            for loop in found.loops
        ],
        "reused": [
            {
                "path": one.path,
                "by": "b" if one.by_after else "a",
                "from_run": one.run_id,
                "count": one.count,
            }
            for one in found.reused
        ],
        "equal_nodes": found.equal,
        "code_known": found.code_known,
    }


def _entries(found: Comparison) -> Iterator[dict[str, Any]]:
    """Yield each difference alone; durations are nanoseconds."""
    for one in found.run:
        yield _entry("run", "", one)
    for change in found.definitions:
        for one in change.differences:
            yield _entry("definition", change.path, one)
    for change in found.nodes:
        for one in change.differences:
            entry = _entry(change.kind.value, change.path, one)
            yield entry | {"nodes": change.below} if change.below else entry


def _entry(kind: str, path: str, one: Difference) -> dict[str, Any]:
    return {
        "kind": kind,
        "path": path,
        "what": one.aspect.value,
        "name": one.name or None,
        "a": one.before,
        "b": one.after,
    }
