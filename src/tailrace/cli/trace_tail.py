"""``tailrace trace tail``: spans as they end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.database import database_path
from tailrace.cli.following import follow_options, show_each, wait_for_look
from tailrace.cli.group import command
from tailrace.cli.json_text import compact
from tailrace.cli.listing import DATA, say, short_id
from tailrace.cli.options import Store, format_option, instant, store_option
from tailrace.cli.search_rows import brief
from tailrace.cli.session import current_session
from tailrace.cli.table_text import escape_markdown
from tailrace.cli.trace_json import span_to_dict
from tailrace.cli.trace_rows import event_text, mark_of, reason_lines
from tailrace.cli.tree_text import MARK_STYLES
from tailrace.cli.width import cut, pad
from tailrace.model.states import SpanStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.cli.tail_filter import TailFilter
    from tailrace.cli.terminal import Terminal
    from tailrace.client.tailing import RemoteFollower
    from tailrace.model.span import Span
    from tailrace.store.follow import SpanFollower
    from tailrace.store.follow_runs import Growth

    Line = Callable[[tuple[str, Span]], str]

_DURATION_CELLS = 9
_FLOW_CELLS = 16
_PATIENCE = 60.0
"""Seconds for which a server that went away is asked again."""
_CALM = 4
"""A look that takes long is followed by a pause of at least a share of that time."""


@command()
@click.option("--traceql", metavar="QUERY", help="Only spans that match this query.")
@click.option(
    "--since",
    metavar="WHEN",
    callback=instant(),
    help="Begin with what ended since then (5m, 2h); otherwise with what ends from now on.",
)
@click.option("--include-events", is_flag=True, help="Show log lines and events of the spans.")
@follow_options("spans", interval=0.1, least=0.01)
@store_option
@format_option("table", *DATA, "markdown")
def tail(
    *,
    traceql: str | None,
    since: int | None,
    include_events: bool,
    interval: float,
    count: int | None,
    db: Store,
    output: str,
) -> int:
    """Show spans of all runs, and from elsewhere, as they end, until Ctrl-C.

    A query that looks at more than one span is asked of each trace as it stands.

    \b
      tailrace trace tail
      tailrace trace tail --traceql '{ status = error }' --format jsonl
      tailrace trace tail --traceql '{ name = "node load" } >> { duration > 1s }' --since 1h
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.tail_filter import TailFilter  # noqa: PLC0415 - not for --help

    chosen = None if traceql is None else TailFilter(traceql, db)
    if chosen is not None:
        click.get_current_context().call_on_close(chosen.close)
    line = _line_of(output, current_session().out, events=include_events)
    with closing(_follower(db, since)) as follower:
        first = follower.look()
        if output not in DATA:
            say("waiting for spans; Ctrl-C ends it")
        spans = _spans(follower, first, chosen, interval)
        return show_each(spans, line, count=count)


def _follower(db: Store, since: int | None) -> SpanFollower | RemoteFollower:
    if not isinstance(db, Path | None):
        from tailrace.cli.remote import open_client  # noqa: PLC0415 - most follow a database
        from tailrace.client.calls import document  # noqa: PLC0415 - likewise
        from tailrace.client.tailing import RemoteFollower  # noqa: PLC0415 - likewise

        with open_client(db) as client:
            client.send(document("/api/traces", (("limit", "1"),)))  # it is there, and may be asked
        return RemoteFollower(open_client(db, retry_for=_PATIENCE), since_ns=since)
    from tailrace.store.follow import SpanFollower  # noqa: PLC0415 - not for --help

    return SpanFollower(database_path(db), since_ns=since, lazily=True)


def _spans(
    follower: SpanFollower | RemoteFollower,
    first: list[Growth],
    chosen: TailFilter | None,
    interval: float,
) -> Iterator[tuple[str, Span]]:
    """Yield each span that has ended, and is chosen, with its flow."""
    from tailrace.cli.tail_filter import every  # noqa: PLC0415 - not for --help

    grown = first
    while True:
        began = time.monotonic()
        for growth in grown:
            for span in every(growth) if chosen is None else chosen.choose(growth):
                yield growth.flow, span
        if chosen is not None:
            yield from chosen.late()
        spent = time.monotonic() - began
        if not follower.is_behind:
            wait_for_look(max(interval, spent / _CALM))
        grown = follower.look()


def _line_of(output: str, terminal: Terminal, *, events: bool) -> Line:
    if output in DATA:
        return lambda found: compact(_to_dict(*found))
    if output == "markdown":
        return lambda found: f"- {escape_markdown(_plain(found[0], found[1], terminal))}"
    return lambda found: "\n".join(_lines(found[0], found[1], terminal, events=events))


def _to_dict(flow: str, span: Span) -> dict[str, Any]:
    return {"flow": flow, **span_to_dict(span)}


def _plain(flow: str, span: Span, terminal: Terminal) -> str:
    sign = getattr(terminal.marks, mark_of(span, alive=True))
    took = duration(span.duration_ns)
    reason = f"  {_reason(span)}" if span.status is SpanStatus.ERROR else ""
    what = f"{brief(flow)}  {sign} {brief(span.name)}"
    return f"{_clock(span)}  {span.trace_id}  {what}  {took}{reason}"


def _lines(flow: str, span: Span, terminal: Terminal, *, events: bool) -> Iterator[str]:
    mark = mark_of(span, alive=True)
    ellipsis = terminal.marks.ellipsis
    sign = terminal.style(getattr(terminal.marks, mark), MARK_STYLES[mark])
    shown = pad(cut(brief(flow), _FLOW_CELLS, ellipsis=ellipsis), _FLOW_CELLS)
    trace = short_id(span.trace_id)
    head = f"{_clock(span)}  {trace}  {shown}  "
    took = pad(duration(span.duration_ns), _DURATION_CELLS, right=True)
    used = len("00:00:00.000") + 2 + len(trace) + 2 + _FLOW_CELLS + 2 + _DURATION_CELLS + 4
    rest = brief(span.name)
    if span.status is SpanStatus.ERROR:
        rest += f"  {_reason(span)}"
    text = cut(rest, max(16, terminal.width - used), ellipsis=ellipsis)
    yield f"{head}{took}  {sign} {text}"
    for event in span.events if events else ():
        room = max(16, terminal.width - 6)
        said = brief(event_text(event.name, event.attributes))
        yield terminal.style(f"      {cut(said, room, ellipsis=ellipsis)}", "dim")


def _reason(span: Span) -> str:
    return brief(reason_lines(span, span)[0])


def _clock(span: Span) -> str:
    ended = span.start_ns if span.end_ns is None else span.end_ns
    return f"{local_time(ended)[11:19]}.{ended // 1_000_000 % 1000:03d}"
