"""A list in the format that was asked for: table, Markdown, JSON, JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from tailrace.cli.json_text import compact, pretty
from tailrace.cli.session import current_session
from tailrace.cli.table_text import (
    Column,
    Row,
    escape_markdown,
    render_markdown,
    render_pairs,
    render_table,
)

T = TypeVar("T")
FORMATS = ("table", "json", "jsonl", "markdown")
DATA = ("json", "jsonl")
"""The formats for programs."""
_SHORT = 12
"""Digits of an id that tell it from others."""
_FACTS = (Column(title="WHAT"), Column(title="VALUE"))


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


def show_one(
    output: str,
    *,
    data: Callable[[], Any],
    text: Callable[[], Iterable[str]],
    markdown: Callable[[], Iterable[str]] | None = None,
) -> None:
    """Write one thing to standard output. Only what the format needs is called.

    As JSON lines it takes one line, a list one for each item. Without ``markdown`` the lines for
    people become a list.
    """
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty(data())])
        case "jsonl":
            found = data()
            terminal.lines(compact(item) for item in (found if type(found) is list else [found]))
        case "markdown" if markdown is not None:
            terminal.lines(markdown())
        case "markdown":
            terminal.lines(f"- {escape_markdown(line.strip())}" for line in text())
        case _:
            terminal.lines(text())


def show_facts(
    pairs: Sequence[tuple[str, str]], output: str, *, data: Callable[[], dict[str, Any]]
) -> None:
    """Write names and values to standard output, as Markdown a table of them."""
    show_one(
        output,
        data=data,
        text=lambda: render_pairs(pairs, current_session().out),
        markdown=lambda: render_markdown(_FACTS, pairs),
    )


def say(text: str) -> None:
    """Write one line for people to standard error."""
    terminal = current_session().err
    dotted = text if terminal.unicode else text.replace(" · ", " - ")
    terminal.lines([terminal.style(dotted, "dim")])


def short_id(trace_id: str) -> str:
    """Return as much of an id as is enough to name it; ids of 64 bits begin with zeros."""
    short = trace_id[:_SHORT]
    return short if short.strip("0") else trace_id


def counted(count: int, one: str, many: str = "") -> str:
    """Return such as ``1 letter`` or ``1,204 letters``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
