"""A list in the format that was asked for: table, Markdown, JSON, JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tailrace.cli.json_text import compact, pretty
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Column, Row, render_markdown, render_table

T = TypeVar("T")
FORMATS = ("table", "json", "jsonl", "markdown")


def show_listing(
    items: Sequence[T],
    output: str,
    *,
    columns: Sequence[Column],
    row: Callable[[T], Row],
    data: Callable[[T], dict[str, Any]],
    footer: str,
) -> None:
    """Write the items to standard output; the footer goes to standard error, with tables only.

    ``footer`` says how many there are and what to type next, or why there are none.
    """
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty([data(item) for item in items])])
        case "jsonl":
            terminal.lines(compact(data(item)) for item in items)
        case "markdown":
            terminal.lines(render_markdown(columns, [row(item) for item in items]))
        case _:
            if items:
                terminal.lines(render_table(columns, [row(item) for item in items], terminal))
            say(footer)


def say(text: str) -> None:
    """Write one line for people to standard error."""
    terminal = current_session().err
    dotted = text if terminal.unicode else text.replace(" · ", " - ")
    terminal.lines([terminal.style(dotted, "dim")])


def counted(count: int, one: str, many: str = "") -> str:
    """Return such as ``1 letter`` or ``1,204 letters``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
