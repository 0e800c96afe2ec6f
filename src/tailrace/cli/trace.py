"""``tailrace trace``: runs and what happened in them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import click

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.database import open_reader
from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.listing import counted
from tailrace.cli.options import Store, format_option, limit_option, store_option
from tailrace.cli.searching import Wanted, wanted_options
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Cell, Column, escape_markdown, render_markdown, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.trace_json import run_to_dict, span_to_dict
from tailrace.cli.trace_rows import SIBLINGS, STATUS_STYLES, View, build_branches
from tailrace.cli.tree_text import render_tree
from tailrace.cli.width import clean
from tailrace.model.ids import RunId
from tailrace.model.span import RunSummary, Trace
from tailrace.model.states import RunStatus, SpanType

_RUN_COLUMNS = (
    Column(title="RUN"),
    Column(title="FLOW"),
    Column(title="STATUS"),
    Column(title="STARTED", drop=1),
    Column(title="DURATION", right=True),
    Column(title="SPANS", right=True, drop=4),
    Column(title="FAILED NODE", drop=2),
    Column(title="REASON", flex=True, drop=3),
)


@command()
@wanted_options()
@click.option("--traceql", metavar="QUERY", help="Only traces that match this query.")
@click.option(
    "--lineage", metavar="RUN", help="The chain of resumes that a run is part of, oldest first."
)
@limit_option
@store_option
@format_option("table", "json", "jsonl", "markdown")
def list_runs(
    *,
    wanted: Wanted,
    traceql: str | None,
    lineage: str | None,
    limit: int,
    db: Store,
    output: str,
) -> int:
    """List runs and traces from elsewhere, newest first.

    The flow of a trace from elsewhere is the service of its root span.

    \b
      tailrace trace list
      tailrace trace list --status ERROR --since 24h
      tailrace trace list --flow weather --format json
      tailrace trace list --traceql '{ status = error && duration > 1s }'
      tailrace trace list --lineage @last
    """  # noqa: D301 - \b is click's mark for lines to keep
    if lineage is not None:
        from tailrace.cli.lineage import list_lineage  # noqa: PLC0415 - other lists need none

        if wanted != Wanted() or traceql is not None:
            raise click.UsageError("--lineage shows a whole chain: give no other filter with it")
        return list_lineage(lineage, db, limit=limit, output=output)
    code = 0
    if traceql is None:
        with open_reader(db) as reader:
            runs = reader.runs(limit=limit, foreign=True, **wanted.options())
    else:
        from tailrace.cli.matching import matching_runs  # noqa: PLC0415 - other lists need none

        runs, code = matching_runs(traceql, db, wanted, limit=limit)
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty([run_to_dict(run) for run in runs])])
        case "jsonl":
            terminal.lines(compact(run_to_dict(run)) for run in runs)
        case "markdown":
            terminal.lines(render_markdown(_RUN_COLUMNS, [_run_row(run) for run in runs]))
        case _ if runs:
            terminal.lines(render_table(_RUN_COLUMNS, [_run_row(run) for run in runs], terminal))
        case _:
            current_session().err.lines(["no runs match"])
    return code


def _run_row(run: RunSummary) -> list[str | Cell]:
    end = run.end_ns
    if end is None and not run.status.is_terminal:
        end = time.time_ns()
    return [
        run.run_id,
        run.flow,
        Cell(run.status.value, STATUS_STYLES.get(run.status, "")),
        local_time(run.start_ns),
        duration(None if end is None else max(0, end - run.start_ns)),
        f"{run.spans:,}",
        run.failed_node or "-",
        run.reason or "-",
    ]


@command()
@click.argument("run_id", metavar="RUN", default="@last")
@click.option("--include-events", is_flag=True, help="Show log lines, output and events.")
@click.option("--errors-only", is_flag=True, help="Only what failed and what it is part of.")
@click.option("--depth", type=click.IntRange(min=0), help="Levels to show under the run.")
@click.option("--attr", "attributes", multiple=True, metavar="KEY", help="Show this attribute.")
@click.option("--all", "everything", is_flag=True, help="Do not fold repeated siblings.")
@store_option
@format_option("tree", "waterfall", "json", "jsonl", "markdown")
def show(
    run_id: str,
    *,
    include_events: bool,
    errors_only: bool,
    depth: int | None,
    attributes: tuple[str, ...],
    everything: bool,
    db: Store,
    output: str,
) -> int:
    """Show the spans of one run (the last one by default).

    RUN is a run id, the beginning of one, @last or @last-failed.

    \b
      tailrace trace show
      tailrace trace show @last-failed --errors-only
      tailrace trace show 019aa0c4 --format waterfall
    """  # noqa: D301 - \b is click's mark for lines to keep
    machine = output in ("json", "jsonl")
    with open_reader(db) as reader:
        found = reader.resolve(run_id)
        trace = reader.trace(
            found,
            events=include_events or machine,
            siblings=None if everything or machine else SIBLINGS,
        )
        later = reader.gone_on_by(found)
    view = View(
        depth=depth,
        errors_only=errors_only,
        events=include_events,
        fold=not everything,
        attributes=attributes,
    )
    show_trace(trace, view, output, later=later)
    return 0


def show_trace(trace: Trace, view: View, output: str, *, later: RunId | None = None) -> None:
    """Write a trace to standard output in one of the formats of ``trace show``.

    ``later`` is the run that went on with this one.
    """
    terminal = current_session().out
    match output:
        case "json":
            spans = [span_to_dict(span) for span in trace.spans]
            run = run_to_dict(trace.run) | {"resumed_by": later}
            terminal.lines([pretty({"run": run, "spans": spans})])
        case "jsonl":
            terminal.lines(compact(span_to_dict(span)) for span in trace.spans)
        case "markdown":
            terminal.lines(_markdown(trace, view, terminal, later))
        case _:
            terminal.lines(_text(trace, view, terminal, later, bars=output == "waterfall"))


def _kin(run: RunSummary, later: RunId | None) -> list[str]:
    """Return which runs this one went on with, and was gone on with by."""
    before = [f"resumed from {run.resumed_from}"] if run.resumed_from else []
    return [*before, *([f"gone on with by {later}"] if later else [])]


def _text(
    trace: Trace, view: View, terminal: Terminal, later: RunId | None, *, bars: bool
) -> list[str]:
    now = time.time_ns()
    run = trace.run
    end = run.end_ns if run.end_ns is not None else now
    head = "  ".join(
        (
            terminal.style(clean(run.flow), "bold"),
            run.run_id,
            terminal.style(run.status.value, STATUS_STYLES.get(run.status, "")),
            duration(max(0, end - run.start_ns)),
            local_time(run.start_ns),
        )
    )
    tree = render_tree(build_branches(trace, view), terminal, now_ns=now, bars=bars)
    return [
        head,
        *_kin(run, later),
        "",
        *tree,
        "",
        terminal.style(_footer(trace, view, terminal), "dim"),
    ]


def _footer(trace: Trace, view: View, terminal: Terminal) -> str:
    parts = [counted(trace.run.spans, "span")]
    slowest = _slowest(trace)
    if slowest is not None:
        parts.append(slowest)
    if trace.run.status is RunStatus.FAILED and not view.events:
        parts.append("log lines and output: --include-events")
    return f" {terminal.marks.dot} ".join(parts)


def _slowest(trace: Trace) -> str | None:
    """Return which node took more than half of the run's time, if all are known and one did."""
    if trace.run.end_ns is None or trace.folded:
        return None
    total = trace.run.end_ns - trace.run.start_ns
    spent: defaultdict[str, int] = defaultdict(int)
    for span in trace.spans:
        if span.type is SpanType.NODE:
            spent[span.name.partition(" ")[2]] += span.duration_ns or 0
    if not spent or len(spent) == 1 or not total:
        return None
    name, time_ns = max(spent.items(), key=lambda item: item[1])
    share = round(100 * time_ns / total)
    return f"{share} % of the time is in {clean(name)}" if 50 < share <= 100 else None


def _markdown(trace: Trace, view: View, terminal: Terminal, later: RunId | None) -> Sequence[str]:
    run = trace.run
    facts = [
        f"# {escape_markdown(clean(run.flow))}: {run.status.value}",
        "",
        f"- run: `{run.run_id}`",
        f"- started: {local_time(run.start_ns)}",
        f"- duration: {duration(None if run.end_ns is None else run.end_ns - run.start_ns)}",
        f"- spans: {trace.run.spans:,}",
    ]
    if run.failed_node:
        facts.append(f"- failed node: {escape_markdown(clean(run.failed_node))}")
    if run.reason:
        facts.append(f"- reason: {escape_markdown(clean(run.reason))}")
    facts += [f"- {one}" for one in _kin(run, later)]
    plain = Terminal(stream=terminal.stream, unicode=terminal.unicode)
    tree = render_tree(build_branches(trace, view), plain, now_ns=time.time_ns())
    fence = "`" * max(3, 1 + max((_longest_run(line) for line in tree), default=0))
    return [*facts, "", f"{fence}text", *tree, fence]


def _longest_run(line: str) -> int:
    """Return the length of the longest run of backticks."""
    longest = present = 0
    for character in line:
        present = present + 1 if character == "`" else 0
        longest = max(longest, present)
    return longest
