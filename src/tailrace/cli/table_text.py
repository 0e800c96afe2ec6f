"""Tables: aligned columns for people, Markdown for reports.

A column keeps its width (ids are never cut) unless it is ``flex``; columns with a ``drop`` number
leave a narrow terminal, the highest number first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells, clean, cut, pad

_GAP = "  "
_FLEX_MINIMUM = 12
_LONGEST_ID = 80
"""Characters; digests have 71."""


class Column(NamedTuple):
    """How one column behaves when space is short."""

    title: str
    right: bool = False
    flex: bool = False
    least: int = _FLEX_MINIMUM
    """Cells of a flex column; it gets fewer only when no other can be dropped."""
    drop: int = 0
    """0: never dropped."""


class Cell(NamedTuple):
    """A text with styles, such as ``"bold red"``."""

    text: str
    styles: str = ""


Row = Sequence[str | Cell]


def render_table(columns: Sequence[Column], rows: Sequence[Row], terminal: Terminal) -> list[str]:
    """Return the lines of a table that fits the terminal wherever its columns allow."""
    grid = [[_cell(value) for value in row] for row in rows]
    natural = [
        max([cells(column.title), *(cells(row[place].text) for row in grid)])
        for place, column in enumerate(columns)
    ]
    shown, widths = _fit(columns, natural, terminal.width)
    head = [Cell(columns[place].title, "bold") for place in shown]
    body = [[row[place] for place in shown] for row in grid]
    chosen = [columns[place] for place in shown]
    return [_line(row, chosen, widths, terminal) for row in (head, *body)]


def _cell(value: str | Cell) -> Cell:
    if isinstance(value, Cell):
        return Cell(clean(value.text), value.styles)
    return Cell(clean(value))


def _fit(
    columns: Sequence[Column], natural: Sequence[int], width: int
) -> tuple[list[int], list[int]]:
    """Return the places of the columns that stay, and their widths."""
    shown = list(range(len(columns)))
    while True:
        least = [_least(columns[place], natural[place]) for place in shown]
        gaps = len(_GAP) * (len(shown) - 1)
        excess = sum(least) + gaps - width
        droppable = [place for place in shown if columns[place].drop]
        if excess <= 0 or not droppable:
            break
        shown.remove(max(droppable, key=lambda place: columns[place].drop))
    if excess > 0:
        least = [
            min(floor, _FLEX_MINIMUM) if columns[place].flex else floor
            for place, floor in zip(shown, least, strict=True)
        ]
        excess = sum(least) + gaps - width
    spare = max(0, -excess)
    widths = []
    for place, floor in zip(shown, least, strict=True):
        grown = min(natural[place], floor + spare)
        spare -= grown - floor
        widths.append(grown)
    return shown, widths


def _least(column: Column, natural: int) -> int:
    return min(natural, column.least) if column.flex else natural


def _line(
    row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], terminal: Terminal
) -> str:
    parts = []
    last = len(row) - 1
    for place, (cell, column, width) in enumerate(zip(row, columns, widths, strict=True)):
        text = cell.text
        if column.flex:
            text = cut(text, width, ellipsis=terminal.marks.ellipsis)
        styled = terminal.style(text, cell.styles)
        fill = " " * max(0, width - cells(text))
        if column.right:
            parts.append(fill + styled)
        else:
            parts.append(styled if place == last else styled + fill)
    return _GAP.join(parts).rstrip()


def render_pairs(pairs: Sequence[tuple[str, str]], terminal: Terminal) -> list[str]:
    """Return ``name  value`` lines with the names padded to one width; ids are never cut."""
    width = max((cells(name) for name, _ in pairs), default=0)
    room = max(_FLEX_MINIMUM, terminal.width - width - len(_GAP))
    return [
        f"{terminal.style(pad(name, width), 'bold')}{_GAP}"
        f"{_value(clean(value), room, terminal)}".rstrip()
        for name, value in pairs
    ]


def _value(text: str, room: int, terminal: Terminal) -> str:
    is_id = len(text) <= _LONGEST_ID and " " not in text
    return text if is_id else cut(text, room, ellipsis=terminal.marks.ellipsis)


def render_markdown(
    columns: Sequence[Column], rows: Sequence[Row], *, code: bool = False
) -> list[str]:
    """Return a Markdown table with every cell escaped and none cut.

    With ``code`` the last column holds commands, shown as they are.
    """
    head = "| " + " | ".join(column.title.lower() for column in columns) + " |"
    rule = "|" + "|".join("---:" if column.right else "---" for column in columns) + "|"
    body = ["| " + " | ".join(_markdown_cells(row, code=code)) + " |" for row in rows]
    return [head, rule, *body]


def _markdown_cells(row: Row, *, code: bool) -> list[str]:
    texts = [_cell(value).text for value in row]
    shown = [escape_markdown(text) for text in texts]
    if code:
        fence = "``" if "`" in texts[-1] else "`"
        shown[-1] = f"{fence}{texts[-1]}{fence}".replace("|", "\\|")
    return shown


def escape_markdown(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#~" else sign for sign in text)
