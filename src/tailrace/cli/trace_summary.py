"""``tailrace trace summary``: a report of what went wrong and what took long."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.database import open_reader
from tailrace.cli.findings import Findings, most_failures, most_retries, slowest
from tailrace.cli.group import command
from tailrace.cli.listing import counted, say
from tailrace.cli.options import Store, store_flags, store_option
from tailrace.cli.output_file import output_option, write_lines
from tailrace.cli.search_rows import brief
from tailrace.cli.searching import Wanted, wanted_options
from tailrace.cli.table_text import Column, Row, render_markdown
from tailrace.cli.trace_rows import SIBLINGS
from tailrace.errors import NotFound
from tailrace.model.states import RunStatus

if TYPE_CHECKING:
    from tailrace.model.span import RunSummary

_MOST = 500
_ROWS = 20
_FAILURES = (
    Column(title="FAILURES", right=True),
    Column(title="RUNS", right=True),
    Column(title="WHERE"),
    Column(title="WHAT"),
    Column(title="LAST"),
)
_SLOW = (
    Column(title="NODE"),
    Column(title="TIMES", right=True),
    Column(title="FAILED", right=True),
    Column(title="IN ALL", right=True),
    Column(title="MEAN", right=True),
    Column(title="LONGEST", right=True),
)
_RETRIES = (
    Column(title="NODE"),
    Column(title="RETRIES", right=True),
    Column(title="RUNS", right=True),
    Column(title="HEALED", right=True),
    Column(title="MOST ATTEMPTS", right=True),
)
_LOOK = Column(title="LOOK CLOSER")


@command()
@click.option("--failed", is_flag=True, help="Only runs that failed.")
@click.option(
    "--last",
    type=click.IntRange(1, _MOST),
    default=50,
    show_default=True,
    help="Runs to look at, the newest ones.",
)
@wanted_options(status=False)
@output_option
@store_option
def summary(
    *,
    failed: bool,
    last: int,
    wanted: Wanted,
    path: Path | None,
    db: Store,
) -> int:
    """Write a Markdown report: failures by kind, slowest nodes, retries.

    Each row ends with the command that looks closer.

    \b
      tailrace trace summary --since 24h
      tailrace trace summary --failed --last 20 --output report.md
    """  # noqa: D301 - \b is click's mark for lines to keep
    findings = Findings()
    with open_reader(db) as reader:
        only = {"status": RunStatus.FAILED.value} if failed else {}
        runs = reader.runs(limit=last, foreign=True, **wanted.options() | only)
        for run in runs:
            try:
                findings.add(reader.trace(run.run_id, events=False, siblings=SIBLINGS))
            except NotFound:
                continue  # deleted since
    write_lines(_report(runs, findings, store_flags(db)), path)
    if path is not None:
        say(f"{counted(len(runs), 'run')} summed up in {path}")
    return 0


def _report(runs: Sequence[RunSummary], findings: Findings, store: str) -> Iterator[str]:
    yield "# Summary of runs"
    yield ""
    if not runs:
        yield "No runs match."
        return
    yield f"- written: {local_time(time.time_ns())}"
    yield f"- runs: {len(runs):,}, from {_start(runs[-1])} to {_start(runs[0])}"
    counts = sorted(findings.statuses.items(), key=lambda item: -item[1])
    yield f"- status: {', '.join(f'{count:,} {status.value}' for status, count in counts)}"
    if findings.in_part:
        yield f"- of {counted(findings.in_part, 'large run')} only a part of the spans was read"
    failures = most_failures(findings.failures.values())
    yield from _section("Failures", _FAILURES, len(failures), "Nothing failed.", [
        [
            f"{row.count:,}",
            f"{len(row.runs):,}",
            brief(row.where),
            brief(row.text),
            local_time(row.newest_ns),
            f"tailrace failures groups show {row.fingerprint}{store}"
            if row.fingerprint
            else f"tailrace trace show {row.newest_run} --errors-only{store}",
        ]
        for row in failures[:_ROWS]
    ])  # fmt: skip
    nodes = slowest(findings.nodes.values())
    yield from _section("Slowest nodes", _SLOW, len(nodes), "No node has ended.", [
        [
            brief(row.where),
            f"{row.count:,}",
            f"{row.failed:,}",
            duration(row.total_ns),
            duration(row.total_ns // row.count),
            duration(row.longest_ns),
            f"tailrace trace show {row.longest_run} --format waterfall{store}",
        ]
        for row in nodes[:_ROWS]
    ])  # fmt: skip
    retries = most_retries(findings.retries.values())
    yield from _section("Retries", _RETRIES, len(retries), "Nothing was tried again.", [
        [
            brief(row.where),
            f"{row.retries:,}",
            f"{len(row.runs):,}",
            f"{row.healed:,}",
            f"{row.most:,}",
            f"tailrace failures attempts {row.most_run}{store}",
        ]
        for row in retries[:_ROWS]
    ])  # fmt: skip


def _section(
    title: str, columns: Sequence[Column], count: int, nothing: str, rows: Sequence[Row]
) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    if not rows:
        yield nothing
        return
    yield from render_markdown((*columns, _LOOK), rows, code=True)
    if count > len(rows):
        yield ""
        yield f"{count - len(rows):,} more are not shown."


def _start(run: RunSummary) -> str:
    return local_time(run.start_ns)
