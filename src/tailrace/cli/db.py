"""``tailrace db``: the database that holds the traces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.clock_text import local_time, utc_time
from tailrace.cli.database import database_path
from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.listing import counted
from tailrace.cli.options import db_option, format_option
from tailrace.cli.session import current_session, finish
from tailrace.cli.table_text import render_pairs
from tailrace.cli.width import clean

if TYPE_CHECKING:
    from tailrace.store import StoreStats

_STEP = 1024


@command()
@click.option("--tables", is_flag=True, help="Show the size of each table, too.")
@db_option
@format_option("text", "json")
def stats(*, tables: bool, db: Path | None, output: str) -> int:
    """Show what the database holds: runs, traces, failures, dead letters, size, age."""
    from tailrace.store import inspect_store  # noqa: PLC0415 - help needs no store

    found = inspect_store(database_path(db), tables=tables)
    terminal = current_session().out
    if output == "json":
        terminal.lines([pretty(_to_dict(found))])
    else:
        terminal.lines(render_pairs(_pairs(found), terminal))
    return 0


def _to_dict(found: StoreStats) -> dict[str, Any]:
    facts = {
        "path": found.path,
        "schema": found.schema,
        "runs": found.runs,
        "spans": found.spans,
        "events": found.events,
        "checkpoints": found.checkpoints,
        "failures": found.failures,
        "failure_groups": found.groups,
        "dead_letters": found.letters,
        "stream_events": found.stream_events,
        "foreign_traces": found.foreign_traces,
        "foreign_spans": found.foreign_spans,
        "segments": found.segments,
        "sealed_spans": found.sealed_spans,
        "bytes_per_span": None if found.span_size is None else round(found.span_size, 1),
        "large_outputs": found.blobs,
        "large_output_bytes": found.blob_size,
        "size_bytes": found.size,
        "free_bytes": found.free,
        "first_run": None if found.first_ns is None else utc_time(found.first_ns),
        "last_run": None if found.last_ns is None else utc_time(found.last_ns),
    }
    return facts | ({"table_bytes": dict(found.tables)} if found.tables else {})


def _pairs(found: StoreStats) -> list[tuple[str, str]]:
    return [
        ("path", str(found.path)),
        ("schema", str(found.schema)),
        ("runs", f"{found.runs:,}"),
        ("spans", f"{found.spans:,}"),
        ("events", f"{found.events:,}"),
        ("checkpoints", f"{found.checkpoints:,}"),
        ("large outputs", f"{found.blobs:,} in files of {size_text(found.blob_size)}"),
        ("failures", f"{found.failures:,} in {found.groups:,} group{'s' * (found.groups != 1)}"),
        ("dead letters", f"{found.letters:,}"),
        ("stream events", f"{found.stream_events:,}"),
        ("other traces", _of_spans(found.foreign_traces, "trace", found.foreign_spans)),
        ("segments", _of_spans(found.segments, "segment", found.sealed_spans)),
        ("size", f"{size_text(found.size)} ({size_text(found.free)} of it free)"),
        ("a span takes", "-" if found.span_size is None else f"{found.span_size:,.0f} B"),
        ("first run", "-" if found.first_ns is None else local_time(found.first_ns)),
        ("last run", "-" if found.last_ns is None else local_time(found.last_ns)),
        *((f"table {name}", size_text(size)) for name, size in found.tables.items()),
    ]


def _of_spans(count: int, what: str, spans: int) -> str:
    return f"{counted(count, what)} of {counted(spans, 'span')}"


@command()
@db_option
@format_option("text", "json")
def check(db: Path | None, output: str) -> int:
    """Verify the database: every page, every index, every reference. Exit 1 if it is damaged."""
    from tailrace.store import verify_store  # noqa: PLC0415 - help needs no store

    path = database_path(db)
    problems = verify_store(path)
    code = finish(1 if problems else 0)
    terminal = current_session().out
    if output == "json":
        terminal.lines([pretty({"path": path, "sound": not problems, "problems": problems})])
    elif problems:
        terminal.lines([f"{path}: {len(problems)} problems", *(f"  {clean(p)}" for p in problems)])
    else:
        terminal.lines([f"{path}: sound"])
    return code


def size_text(size: int) -> str:
    """Return bytes such as ``812 B``, ``38.2 MB``."""
    if size < _STEP:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB"):
        amount /= _STEP
        if amount < _STEP:
            return f"{amount:.1f} {unit}"
    return f"{amount / _STEP:.1f} TB"
