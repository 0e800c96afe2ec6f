"""``tailrace events``: the resilient event stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from tailrace.cli.clock_text import local_time, utc_time
from tailrace.cli.confirm import confirm
from tailrace.cli.database import database_path
from tailrace.cli.event_filters import CATEGORIES, STATUSES, event_filter_options
from tailrace.cli.event_rows import EVENT_COLUMNS, STATUS_STYLES, event_row, what_text
from tailrace.cli.following import follow_options, show_each, wait_for_look
from tailrace.cli.group import command
from tailrace.cli.json_text import compact
from tailrace.cli.listing import DATA, FORMATS, counted, say, show_facts, show_listing
from tailrace.cli.newest import find_event
from tailrace.cli.options import db_option, format_option, instant, limit_option
from tailrace.cli.session import current_session, finish
from tailrace.cli.stores import event_log
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean, cut
from tailrace.model.event import Event, EventCounts, EventFilter
from tailrace.ports import EventLog

_MOST_AT_ONCE = 1_000


@command()
@event_filter_options()
@click.option("--fail-if", is_flag=True, help="Exit 1 when one failed: for cron and CI.")
@db_option
@format_option(*FORMATS)
def status(wanted: EventFilter, *, fail_if: bool, db: Path | None, output: str) -> int:
    """Show exact counts of events by status, category and type.

    \b
      tailrace events status
      tailrace events status --since 24h --fail-if
    """  # noqa: D301 - \b is click's mark for lines to keep
    counts = event_log(db).counts(wanted)
    lost = counts.by_status.get("failed", 0) + counts.by_status.get("dead_letter", 0)
    code = finish(1 if fail_if and lost else 0)
    show_facts(list(_pairs(counts)), output, data=lambda: _counts_to_dict(counts))
    return code


def _counts_to_dict(counts: EventCounts) -> dict[str, Any]:
    return {
        "total": counts.total,
        "by_status": dict.fromkeys(STATUSES, 0) | counts.by_status,
        "by_category": dict.fromkeys(CATEGORIES, 0) | counts.by_category,
        "by_type": counts.by_type,
        "first": utc_time(counts.first_ns) if counts.first_ns else None,
        "last": utc_time(counts.last_ns) if counts.last_ns else None,
    }


def _pairs(counts: EventCounts) -> Iterator[tuple[str, str]]:
    yield "events", f"{counts.total:,}"
    for name, numbers in (
        ("by status", counts.by_status),
        ("by category", counts.by_category),
        ("by type", counts.by_type),
    ):
        ordered = sorted(numbers.items(), key=lambda one: (-one[1], one[0]))
        yield name, ", ".join(f"{what or '-'} {count:,}" for what, count in ordered) or "none"
    yield "first", local_time(counts.first_ns) if counts.first_ns else "-"
    yield "last", local_time(counts.last_ns) if counts.last_ns else "-"


@command()
@event_filter_options()
@limit_option
@db_option
@format_option(*FORMATS)
def list_events(wanted: EventFilter, *, limit: int, db: Path | None, output: str) -> int:
    """List events, newest first.

    \b
      tailrace events list --status failed --since 24h
      tailrace events list --type action --format jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    return _list(wanted, limit, db, output)


@command()
@event_filter_options(status=False)
@limit_option
@db_option
@format_option(*FORMATS)
def failed(wanted: EventFilter, *, limit: int, db: Path | None, output: str) -> int:
    """List failed events, newest first.

    \b
      tailrace events failed --since 24h
    """  # noqa: D301 - \b is click's mark for lines to keep
    return _list(msgspec.structs.replace(wanted, status="failed"), limit, db, output)


def _list(wanted: EventFilter, limit: int, db: Path | None, output: str) -> int:
    log = event_log(db)
    found = log.events(wanted, limit=limit)
    total = log.counts(wanted).total if found else 0
    show_listing(
        found,
        output,
        columns=EVENT_COLUMNS,
        row=event_row,
        data=_event_to_dict,
        footer=f"{len(found):,} of {counted(total, 'event')}"
        f" · tailrace events show {found[0].event_id}"
        if found
        else "no events match",
    )
    return 0


def _event_to_dict(event: Event) -> dict[str, Any]:
    from tailrace.events.event_json import to_json  # noqa: PLC0415 - tables need none

    return to_json(event)


@command()
@click.argument("event_id", metavar="ID")
@db_option
@format_option(*FORMATS)
def show_event(event_id: str, *, db: Path | None, output: str) -> int:
    """Show one event in full.

    ID is an event's, or its beginning (EVT- may be left out), or @last.

    \b
      tailrace events show EVT-20261121-065523
    """  # noqa: D301 - \b is click's mark for lines to keep
    event = find_event(event_log(db), event_id)
    body = _event_to_dict(event)
    pairs = [
        (name, value if isinstance(value, str) else compact(value))
        for name, value in body.items()
        if value not in (None, "", [], {})
    ]
    show_facts(pairs, output, data=lambda: body)
    if event.failure_id and output not in DATA:
        say(f"tailrace failures show {event.failure_id}")
    return 0


@command()
@event_filter_options()
@follow_options("events", interval=0.5, least=0.05)
@db_option
@format_option("table", *DATA)
def tail(
    wanted: EventFilter, *, interval: float, count: int | None, db: Path | None, output: str
) -> int:
    """Show events as they come, until Ctrl-C; what was there before with --since.

    \b
      tailrace events tail
      tailrace events tail --since 1h --status failed --format jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    terminal = current_session().out

    def line(event: Event) -> str:
        return compact(_event_to_dict(event)) if output in DATA else _line(event, terminal)

    return show_each(follow(event_log(db), wanted, interval=interval), line, count=count)


def follow(log: EventLog, wanted: EventFilter, *, interval: float) -> Iterator[Event]:
    """Yield events in the order of the stream; without ``since_ns`` only those to come."""
    after = 0
    if wanted.since_ns is None:
        newest = log.events(EventFilter(), limit=1)
        after = newest[0].seq if newest else 0
    while True:
        following = msgspec.structs.replace(wanted, after_seq=after)
        found = log.events(following, limit=_MOST_AT_ONCE, oldest_first=True)
        for event in found:
            after = event.seq
            yield event
        if len(found) < _MOST_AT_ONCE:
            wait_for_look(interval)


def _line(event: Event, terminal: Terminal) -> str:
    state = terminal.style(f"{event.status:<11}", STATUS_STYLES.get(event.status, ""))
    rest = f"{event.type} {event.source}  {what_text(event)}"
    room = max(20, terminal.width - 62)
    shown = cut(clean(rest), room, ellipsis=terminal.marks.ellipsis)
    return f"{local_time(event.ts_ns)[11:19]}  {event.event_id}  {state}  {shown}"


@command()
@click.argument("event_type", metavar="TYPE")
@click.argument("source", metavar="SOURCE")
@click.option("--data", metavar="JSON|@FILE|-", help="What it says, a JSON object.")
@click.option("--tag", "tags", multiple=True, help="A tag.")
@click.option("--parent", "parent", metavar="ID", help="The event that led to it.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@db_option
def emit_event(
    event_type: str,
    source: str,
    *,
    data: str | None,
    tags: tuple[str, ...],
    parent: str | None,
    quiet: bool,
    db: Path | None,
) -> int:
    """Write one event and print its id.

    \b
      tailrace events emit deployed ci --data '{"version": "1.4.2"}' --tag production
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.arguments import read_mapping  # noqa: PLC0415 - not for --help
    from tailrace.runtime.events import get_resilient_stream  # noqa: PLC0415 - likewise

    body = read_mapping(data, option="--data") if data is not None else {}
    stream = get_resilient_stream(database_path(db), recover=False)
    event_id = stream.emit(event_type, source, body, tags=list(tags), parent_event_id=parent)
    if not quiet:
        current_session().out.lines([str(event_id)])
    return 0


@command()
@click.option(
    "--older-than",
    "until",
    metavar="WHEN",
    callback=instant(),
    required=True,
    help="Events from before then (30d, 2026-11-21).",
)
@click.option(
    "--status",
    "statuses",
    type=click.Choice(STATUSES, case_sensitive=False),
    multiple=True,
    help="Only those.",
)
@click.option("--yes", is_flag=True, help="Do it without asking.")
@db_option
def purge_events(*, until: int, statuses: tuple[str, ...], yes: bool, db: Path | None) -> int:
    """Delete old events; never those of dead letters that wait.

    \b
      tailrace events purge --older-than 90d --status success --yes
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = event_log(db)
    kinds = f" that are {' or '.join(statuses)}" if statuses else ""
    confirm([f"deletes events from before {local_time(until)}{kinds}"], yes=yes)
    gone = log.purge(until_ns=until, statuses=statuses)
    current_session().out.lines([f"{counted(gone, 'event')} deleted"])
    return 0
