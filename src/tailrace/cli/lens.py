"""``tailrace lens``: the older names of the trace commands."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from tailrace.cli.clock_text import duration
from tailrace.cli.database import open_reader
from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.options import Store, format_option, store_option
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Column, render_markdown, render_table
from tailrace.cli.trace import show_trace
from tailrace.cli.trace_json import span_to_dict
from tailrace.cli.trace_rows import SIBLINGS, View, label_of, mark_of

if TYPE_CHECKING:
    from tailrace.model.span import Trace

_SPAN_COLUMNS = (
    Column(title="SPAN"),
    Column(title="PARENT", drop=2),
    Column(title="TYPE", drop=1),
    Column(title="STATUS"),
    Column(title="DURATION", right=True),
    Column(title="NAME", flex=True),
)


@command()
@click.argument("run_id", metavar="RUN", default="@last")
@store_option
@format_option("tree", "json")
def trace(run_id: str, db: Store, output: str) -> int:
    """Show a run as a tree with status, duration and what matters of each step.

    RUN is a run id, the beginning of one, @last or @last-failed.
    """
    with open_reader(db) as reader:
        machine = output == "json"
        found = reader.trace(
            reader.resolve(run_id), events=machine, siblings=None if machine else SIBLINGS
        )
    terminal = current_session().out
    if output == "tree" and terminal.is_tty and find_spec("rich") is not None:
        from tailrace.cli.rich_tree import print_tree  # noqa: PLC0415 - rich is optional

        print_tree(found, terminal)
    else:
        show_trace(found, View(), output)
    return 0


@command()
@click.argument("run_id", metavar="RUN", default="@last")
@store_option
@format_option("table", "json", "jsonl", "markdown")
def spans(run_id: str, db: Store, output: str) -> int:
    """List the spans of one run, in order of start.

    RUN is a run id, the beginning of one, @last or @last-failed.
    """
    with open_reader(db) as reader:
        found = reader.trace(reader.resolve(run_id), events=output in ("json", "jsonl"))
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty([span_to_dict(span) for span in found.spans])])
        case "jsonl":
            terminal.lines(compact(span_to_dict(span)) for span in found.spans)
        case "markdown":
            terminal.lines(render_markdown(_SPAN_COLUMNS, _span_rows(found)))
        case _:
            terminal.lines(render_table(_SPAN_COLUMNS, _span_rows(found), terminal))
    return 0


def _span_rows(found: Trace) -> list[list[str]]:
    alive, now = not found.run.status.is_terminal, time.time_ns()
    return [
        [
            span.span_id,
            span.parent_id or "-",
            span.type.value,
            mark_of(span, alive=alive).value,
            duration(now - span.start_ns if alive and span.end_ns is None else span.duration_ns),
            label_of(span),
        ]
        for span in found.spans
    ]
