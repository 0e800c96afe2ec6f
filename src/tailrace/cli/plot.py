"""Series over time as a plot of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells, cut, pad

STYLES = ("cyan", "yellow", "green", "magenta", "blue", "red")
_SIGNS = "●▲■◆○△□◇"
_ASCII_SIGNS = "ox+*#@%&"
MOST = len(_SIGNS)
"""Series that one plot can tell apart."""
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille sign: by column, then by row."""
_BRAILLE = 0x2800
_LEAST_WIDTH = 8
_MOST_FLOAT = 8e307
"""Beyond it the height of the plot would be infinite."""


class Curve(Struct, frozen=True, kw_only=True):
    """One series. ``values`` are equally far apart in time; None: there is no point."""

    label: str
    values: Sequence[float | None]


class _Frame(Struct, frozen=True, kw_only=True):
    low: float
    high: float
    width: int
    """Cells of the plot itself."""
    height: int


def render_plot(
    curves: Sequence[Curve], times: tuple[str, str], terminal: Terminal, *, height: int = 12
) -> list[str]:
    """Return the lines of a plot with its axes and a legend.

    One series, and several in colour, are drawn in dots of which a cell holds eight; several
    without colour in signs of their own, one a cell.

    Args:
        curves: at most ``MOST``.
        times: what stands under the left and the right end.
        terminal: decides width, signs and colour.
        height: lines of the plot itself.
    """
    known = [v for curve in curves for v in curve.values if v is not None and math.isfinite(v)]
    if not known:
        return ["no points"]
    low, high = _range(known)
    ticks = {0: high, height // 2: high - (high - low) * (height // 2) / (height - 1)}
    ticks[height - 1] = low
    labels = {row: number(value) for row, value in ticks.items()}
    margin = max(map(len, labels.values()))
    frame = _Frame(
        low=low, high=high, width=max(_LEAST_WIDTH, terminal.width - margin - 3), height=height
    )
    dotted = terminal.unicode and (len(curves) == 1 or terminal.color)
    rows = _dotted(curves, frame, terminal) if dotted else _signed(curves, frame, terminal)
    bar = "┤" if terminal.unicode else "|"
    wall = "│" if terminal.unicode else "|"
    lines = [
        f"{pad(labels.get(row, ''), margin, right=True)} {bar if row in labels else wall}{text}"
        for row, text in enumerate(rows)
    ]
    foot = ("└" + "─" * frame.width) if terminal.unicode else ("+" + "-" * frame.width)
    lines.append(f"{' ' * margin} {foot}")
    lines.append(f"{' ' * (margin + 2)}{_between(times, frame.width)}")
    return [line.rstrip() for line in (*lines, *_legend(curves, terminal, dotted=dotted))]


def number(value: float) -> str:
    """Return a number in few signs: ``0.25``, ``1,204``, ``3.2e+09``."""
    if not math.isfinite(value):
        return str(value)
    if value == round(value) and abs(value) < 1e7:
        return f"{round(value):,}"
    return f"{value:,.2f}" if 100 <= abs(value) < 1e7 else f"{value:.4g}"


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis: what is never below 0 stands on 0."""
    low, high = max(-_MOST_FLOAT, min(0.0, *values)), min(_MOST_FLOAT, max(0.0, *values))
    if low == high:
        return low, low + 1.0
    return low, high


def _between(times: tuple[str, str], width: int) -> str:
    first, last = times
    gap = width - len(first) - len(last)
    return f"{first}{' ' * gap}{last}" if gap > 0 else first


def _points(curve: Curve, columns: int, rows: int, frame: _Frame) -> Iterator[tuple[int, int]]:
    """Yield the dots (column, row from above) of a curve, its jumps filled in between."""
    count = len(curve.values)
    height = frame.high - frame.low
    before: tuple[int, int] | None = None
    for place, value in enumerate(curve.values):
        if value is None or not math.isfinite(value):
            before = None
            continue
        x = 0 if count == 1 else round(place * (columns - 1) / (count - 1))
        above = min(frame.high, max(frame.low, value)) - frame.low
        y = rows - 1 - round(above / height * (rows - 1))
        if before is not None:
            yield from _line(before, (x, y))
        yield x, y
        before = x, y


def _line(first: tuple[int, int], last: tuple[int, int]) -> Iterator[tuple[int, int]]:
    (x0, y0), (x1, y1) = first, last
    steps = max(abs(x1 - x0), abs(y1 - y0))
    for step in range(1, steps):
        yield x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)


def _dotted(curves: Sequence[Curve], frame: _Frame, terminal: Terminal) -> list[str]:
    bits = [[0] * frame.width for _ in range(frame.height)]
    owners = [[-1] * frame.width for _ in range(frame.height)]
    for place, curve in enumerate(curves):
        for x, y in _points(curve, 2 * frame.width, 4 * frame.height, frame):
            row, column = y // 4, x // 2
            if owners[row][column] not in (-1, place):
                bits[row][column] = 0  # the later series is in front
            owners[row][column] = place
            bits[row][column] |= _DOTS[x % 2][y % 4]
    return [
        "".join(
            terminal.style(chr(_BRAILLE + bit), STYLES[owner % len(STYLES)]) if bit else " "
            for bit, owner in zip(line, owned, strict=True)
        )
        for line, owned in zip(bits, owners, strict=True)
    ]


def _signed(curves: Sequence[Curve], frame: _Frame, terminal: Terminal) -> list[str]:
    grid = [[" "] * frame.width for _ in range(frame.height)]
    for place, curve in enumerate(curves):
        sign = _sign(place, terminal)
        for x, y in _points(curve, frame.width, frame.height, frame):
            grid[y][x] = terminal.style(sign, STYLES[place % len(STYLES)])
    return ["".join(line) for line in grid]


def _sign(place: int, terminal: Terminal) -> str:
    signs = _SIGNS if terminal.unicode else _ASCII_SIGNS
    return signs[place % len(signs)]


def _legend(curves: Sequence[Curve], terminal: Terminal, *, dotted: bool) -> Iterator[str]:
    for place, curve in enumerate(curves):
        known = [value for value in curve.values if value is not None and math.isfinite(value)]
        facts = f"last {number(known[-1])}  max {number(max(known))}" if known else "no points"
        sign = "━━" if dotted else _sign(place, terminal)
        room = terminal.width - cells(sign) - 1
        label = cut(curve.label, max(8, room - len(facts) - 2), ellipsis=terminal.marks.ellipsis)
        facts = cut(facts, max(0, room - cells(label) - 2), ellipsis=terminal.marks.ellipsis)
        shown = terminal.style(sign, STYLES[place % len(STYLES)])
        yield f"{shown} {label}  {terminal.style(facts, 'dim')}"
