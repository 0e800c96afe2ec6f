"""``tailrace events import`` and ``export``: files of the older program, and for its tools."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

import click

from tailrace.cli.clock_text import local_time, utc_time
from tailrace.cli.database import database_path
from tailrace.cli.event_filters import event_filter_options
from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.listing import DATA, FORMATS, counted, say, show_facts, show_one
from tailrace.cli.options import db_option, format_option
from tailrace.cli.output_file import open_output, output_option, write_lines
from tailrace.cli.session import current_session, finish
from tailrace.cli.stores import event_log, local_failures
from tailrace.model.event import EventFilter

if TYPE_CHECKING:
    from tailrace.events import ImportReport

_LISTED = 20
_REPORT_SUFFIX = ".json"


def _zone(context: click.Context, parameter: click.Parameter, value: str | None) -> ZoneInfo | None:
    if value is None:
        return None
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

        near = get_close_matches(value, available_timezones(), 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        message = f"{value!r} is no time zone; write such as Asia/Tokyo or UTC{meant}"
        raise click.BadParameter(message, context, parameter) from None


_zone_option = click.option(
    "--tz",
    "zone",
    metavar="ZONE",
    callback=_zone,
    help="Zone of times that do not say theirs (Asia/Tokyo); this machine's otherwise.",
)


@command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@_zone_option
@click.option("--dry-run", is_flag=True, help="Report what would be read; change nothing.")
@click.option("--follow", is_flag=True, help="Go on as the file grows, until Ctrl-C.")
@click.option("--fail-if", is_flag=True, help="Exit 1 when a piece could not be read.")
@db_option
@format_option(*FORMATS)
def import_events(
    files: tuple[Path, ...],
    *,
    zone: ZoneInfo | None,
    dry_run: bool,
    follow: bool,
    fail_if: bool,
    db: Path | None,
    output: str,
) -> int:
    """Take over event files of the older program: every shape, torn lines too.

    Reading a file again takes only what is new. What no event can be made of is kept in
    quarantine and told. Dead letters become letters of tailrace dlq.

    \b
      tailrace events import logs/event_stream.jsonl logs/dead_letter_queue.jsonl --dry-run
      tailrace events import logs/event_stream.jsonl --tz Asia/Tokyo
      tailrace events import logs/event_stream.jsonl --follow
    """  # noqa: D301 - \b is click's mark for lines to keep
    if follow and (len(files) > 1 or dry_run):
        raise click.UsageError("--follow takes one file, and no --dry-run")
    from tailrace.events.importer import import_file  # noqa: PLC0415 - not for --help
    from tailrace.store.import_log import SqliteImportLog  # noqa: PLC0415 - likewise

    log = SqliteImportLog(database_path(db))
    if follow:
        return _follow(files[0], log, zone)
    reports = [import_file(file, log, zone=zone, dry_run=dry_run) for file in files]
    bad = any(report.quarantined for report in reports)
    code = finish(1 if fail_if and bad else 0)
    if output in DATA:
        show_one(output, data=lambda: [_to_dict(report) for report in reports], text=list)
        return code
    for report in reports:
        show_facts(_pairs(report), output, data=dict)
        current_session().out.lines([""])
    return code


def _follow(file: Path, log: Any, zone: ZoneInfo | None) -> int:
    import threading  # noqa: PLC0415 - not for --help

    from tailrace.events.importer import Importer  # noqa: PLC0415 - likewise

    def tell(report: ImportReport) -> None:
        bad = f", {len(report.quarantined):,} in quarantine" if report.quarantined else ""
        say(f"{counted(report.imported, 'event')} read, {report.known:,} known{bad}")

    Importer(file, log, zone=zone).follow(threading.Event(), on_batch=tell)
    return 0


def _to_dict(report: ImportReport) -> dict[str, Any]:
    return {
        "file": report.source,
        "dry_run": report.dry_run,
        "events": report.found,
        "imported": report.imported,
        "known": report.known,
        "letters": report.letters,
        "shapes": report.shapes,
        "quarantined": [
            {"offset": offset, "reason": reason} for offset, reason in report.quarantined
        ],
        "without_zone": report.naive,
        "zone": report.zone,
        "first": utc_time(report.first_ns) if report.first_ns else None,
        "last": utc_time(report.last_ns) if report.last_ns else None,
    }


def _pairs(report: ImportReport) -> list[tuple[str, str]]:
    verb = "would be read" if report.dry_run else "read"
    shapes = ", ".join(f"{shape} {count:,}" for shape, count in sorted(report.shapes.items()))
    pairs = [
        ("file", report.source),
        ("events", f"{report.found:,} ({shapes})" if shapes else "0"),
        (verb, f"{report.imported:,}, {report.known:,} were here already"),
        ("letters", f"{report.letters:,}"),
    ]
    if report.naive:
        pairs.append(("time zone", f"{report.naive:,} did not say theirs: taken for {report.zone}"))
    if report.first_ns:
        pairs.append(("times", f"{local_time(report.first_ns)} to {local_time(report.last_ns)}"))
    pairs.append(("quarantine", counted(len(report.quarantined), "piece")))
    pairs += [(f"  at {offset:,}", reason) for offset, reason in report.quarantined[:_LISTED]]
    return pairs


@command()
@event_filter_options()
@output_option
@click.option(
    "--format",
    "-o",
    "form",
    type=click.Choice(["jsonl", "report"]),
    help="jsonl: every event; report: counts, dead letters, failed (for a name in .json).",
)
@click.option(
    "--compat",
    type=click.Choice(["utc", "naive"]),
    help="Only the older program's keys; naive: with its local times without zone.",
)
@_zone_option
@click.option(
    "--dead-letters",
    "apart",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of its own for dead letters, as the older program had it.",
)
@click.option("--with-stacks", is_flag=True, help="Write stack traces, too.")
@db_option
def export_events(
    wanted: EventFilter,
    *,
    path: Path | None,
    form: str | None,
    compat: str | None,
    zone: ZoneInfo | None,
    apart: Path | None,
    with_stacks: bool,
    db: Path | None,
) -> int:
    """Write events as JSON lines, oldest first; the older program's tools can read them.

    \b
      tailrace events export --output event_stream.jsonl --compat naive
      tailrace events export --status failed > failed.jsonl
      tailrace events export --output error_report.json
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.events import exporter  # noqa: PLC0415 - not for --help

    log = event_log(db)
    if form == "report" or (form is None and path is not None and path.suffix == _REPORT_SUFFIX):
        write_lines([pretty(exporter.error_report(log, time.time_ns()))], path)
        return 0
    with ExitStack() as files:
        stream = current_session().out.stream
        out = stream if path is None else files.enter_context(open_output(path))
        letters = None if apart is None else files.enter_context(open_output(apart))
        count = exporter.export_events(
            log,
            out,
            wanted=wanted,
            compat=compat or "",
            zone=zone,
            dead_letters=letters,
            stacks=local_failures(db) if with_stacks else None,
        )
    say(f"{counted(count, 'event')} written")
    return 0
