"""A trace as lines of text: a tree with notes, or with bars along the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from tailrace.cli.clock_text import duration
from tailrace.cli.terminal import Terminal
from tailrace.cli.trace_rows import Branch, Mark
from tailrace.cli.width import cells, clean, cut, pad

_DURATION_CELLS = 9
_STEP_CELLS = 3
"""Cells per level; beyond half the terminal the outermost strokes are left out."""
MARK_STYLES = {
    Mark.DONE: "green",
    Mark.FAILED: "red",
    Mark.TIMEOUT: "red",
    Mark.SKIPPED: "dim",
    Mark.CANCELLED: "yellow",
    Mark.RUNNING: "cyan",
    Mark.PENDING: "dim",
    Mark.INTERRUPTED: "yellow",
    Mark.FOLDED: "dim",
}


class _Line(Struct, frozen=True, kw_only=True):
    guide: str
    """The tree's own strokes before the branch."""
    below: str
    """The strokes before what stands under it."""
    branch: Branch


class _Span(Struct, frozen=True, kw_only=True):
    """The time that the bars of a waterfall cover, in ns since the epoch."""

    start: int
    end: int


def render_tree(
    roots: Sequence[Branch], terminal: Terminal, *, now_ns: int, bars: bool = False
) -> list[str]:
    """Return one line per branch, and under a failure its reason.

    Args:
        roots: the branches, as ``build_branches`` gives them.
        terminal: decides width, signs and colour.
        now_ns: the present, for spans still open.
        bars: draw where each span lies in the time of the run (a waterfall).
    """
    lines = list(_walk(roots, terminal))
    widest = max(
        (cells(line.guide) + 2 + cells(clean(line.branch.label)) for line in lines), default=0
    )
    room = terminal.width - _DURATION_CELLS - 2
    label_width = min(widest, max(16, room * (1 if not bars else 2) // (1 if not bars else 3)))
    time = _extent(roots, now_ns) if bars else None
    return [
        text for line in lines for text in _render(line, terminal, label_width, time, now_ns=now_ns)
    ]


def _walk(roots: Sequence[Branch], terminal: Terminal) -> Iterator[_Line]:
    marks = terminal.marks
    deepest = max(1, terminal.width // 6) * _STEP_CELLS
    stack = [(root, "", "") for root in reversed(roots)]
    while stack:
        branch, guide, under = stack.pop()
        yield _Line(
            guide=guide, below=under + (marks.bar[:2] if branch.children else "  "), branch=branch
        )
        last = len(branch.children) - 1
        for place in range(last, -1, -1):
            corner, rest = (marks.corner, "   ") if place == last else (marks.tee, marks.bar)
            kept = under[-deepest:]
            stack.append((branch.children[place], kept + corner, kept + rest))


def _extent(roots: Sequence[Branch], now_ns: int) -> _Span:
    spans = [root.span for root in roots if root.span is not None]
    start = min((span.start_ns for span in spans), default=0)
    end = max((span.end_ns or now_ns for span in spans), default=start)
    return _Span(start=start, end=max(end, start + 1))


def _render(
    line: _Line, terminal: Terminal, label_width: int, time: _Span | None, *, now_ns: int
) -> Iterator[str]:
    branch = line.branch
    ellipsis = terminal.marks.ellipsis
    mark = getattr(terminal.marks, branch.mark)
    text_width = max(4, label_width - cells(line.guide) - 2)
    text = branch.label if terminal.unicode else branch.label.replace("…", "...")
    label = cut(clean(text), text_width, ellipsis=ellipsis)
    took = _took(branch, now_ns)
    parts = [
        f"{terminal.style(line.guide, 'dim')}{terminal.style(mark, MARK_STYLES[branch.mark])} ",
        pad(label, text_width),
        "  ",
        pad(took, _DURATION_CELLS, right=True),
    ]
    used = cells(line.guide) + 2 + text_width + 2 + _DURATION_CELLS
    if time is not None:
        bar_width = max(0, min(60, terminal.width - used - 2 - (20 if terminal.width > 90 else 0)))
        parts += ["  ", _bar(branch, time, bar_width, terminal, now_ns=now_ns)]
        used += 2 + bar_width
    note = cut(_note(branch, terminal), max(0, terminal.width - used - 2), ellipsis=ellipsis)
    if note:
        parts += ["  ", terminal.style(note, "dim")]
    yield "".join(parts).rstrip()
    room = max(20, terminal.width - cells(line.below))
    for text in branch.below:
        shown = cut(clean(text), room, ellipsis=ellipsis)
        style = "red" if branch.mark in (Mark.FAILED, Mark.TIMEOUT) else "dim"
        yield f"{terminal.style(line.below, 'dim')}{terminal.style(shown, style)}"


def _note(branch: Branch, terminal: Terminal) -> str:
    return clean(branch.note if terminal.unicode else branch.note.replace(" · ", " - "))


def _took(branch: Branch, now_ns: int) -> str:
    span = branch.span
    if span is None or branch.mark is Mark.SKIPPED:
        return ""
    if span.end_ns is None and branch.mark is Mark.RUNNING:
        return duration(max(0, now_ns - span.start_ns))
    return duration(span.duration_ns)


def _bar(branch: Branch, time: _Span, width: int, terminal: Terminal, *, now_ns: int) -> str:
    span = branch.span
    if span is None or width < 1:
        return ""
    total = time.end - time.start
    end = span.end_ns if span.end_ns is not None else now_ns
    first = min(width - 1, max(0, (span.start_ns - time.start) * width // total))
    last = min(width, max(first + 1, -(-(end - time.start) * width // total)))
    marks = terminal.marks
    if branch.mark is Mark.SKIPPED:
        return terminal.style(marks.empty * width, "dim")
    return (
        terminal.style(marks.empty * first, "dim")
        + terminal.style(marks.full * (last - first), MARK_STYLES[branch.mark])
        + terminal.style(marks.empty * (width - last), "dim")
    )
