"""``tailrace trace search``: traces by what happened in them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tailrace.cli.clock_text import duration
from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.listing import DATA, FORMATS, counted, say, short_id
from tailrace.cli.options import (
    Store,
    budget_option,
    format_option,
    limit_option,
    store_option,
)
from tailrace.cli.search_json import found_to_dict
from tailrace.cli.search_rows import picked_table, search_lines, search_markdown
from tailrace.cli.searching import (
    EVERYTHING,
    Wanted,
    checked,
    end,
    limit_for,
    open_search,
    query_text,
    tell_dialect,
    tell_ignored,
    wanted_options,
)
from tailrace.cli.session import current_session

if TYPE_CHECKING:
    from tailrace.model.search import SearchResult
    from tailrace.traceql import CheckedQuery

_TIMEOUTS = (
    "{ status = error && (span.timeout = true"
    ' || span.error.type =~ "(?i).*(timeout|deadline.?exceeded).*") }'
)
_SHOWN_SPANS = 3


@command(name="search")
@click.argument("query", metavar="[QUERY]", default=EVERYTHING)
@click.option("--timeout-only", is_flag=True, help="Only spans that failed by a timeout.")
@wanted_options()
@limit_option
@click.option(
    "--spans-per-trace",
    "spans",
    type=click.IntRange(1, 1000),
    default=_SHOWN_SPANS,
    show_default=True,
    help="Matched spans to show of a trace, or of each of its groups.",
)
@budget_option
@store_option
@format_option(*FORMATS)
def search_traces(
    query: str,
    *,
    timeout_only: bool,
    wanted: Wanted,
    limit: int,
    spans: int,
    budget: float,
    db: Store,
    output: str,
) -> int:
    """Find traces with TraceQL and show the spans that matched, newest traces first.

    QUERY is the query itself, or - to read it from standard input; without one all spans match.
    A query that was cut off shows what it found and exits with 6.

    \b
      tailrace trace search '{ status = error && duration > 1s }' --since 24h
      tailrace trace search '{ } >> { span.http.status_code >= 500 } | select(span.url.path)'
      tailrace trace search '{ name = "attempt fetch" } | by(span.region) | avg(duration) > 2s'
      tailrace trace search --timeout-only --format json
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.traceql.budget import Budget  # noqa: PLC0415 - not for --help

    asked = checked(query_text(query))
    began = time.perf_counter()
    narrowed = asked if not timeout_only else _only_timeouts(asked, db)
    with open_search(db) as store:
        result = store.search(
            narrowed,
            limit=limit_for(asked, limit),
            spans_per_set=spans,
            budget=Budget(seconds=budget),
            **wanted.options(),
        )
    took = time.perf_counter() - began
    tell_dialect(asked)
    tell_ignored(asked)
    code = end(complete=result.complete, reason=result.reason)
    _show(result, asked, output)
    if output not in DATA:
        say(_footer(result, took))
    return code


def _only_timeouts(query: CheckedQuery, db: Store) -> CheckedQuery:
    """Return the query with a last stage that keeps what failed by a timeout."""
    if not isinstance(db, Path | None):  # servers are asked in words
        from tailrace.traceql import render  # noqa: PLC0415 - not for --help

        if query.is_metrics:
            raise click.UsageError("--timeout-only and metrics do not go together with a server")
        return checked(f"{render(query.source)} | {_TIMEOUTS}")
    from msgspec.structs import replace  # noqa: PLC0415 - not for --help

    from tailrace.traceql.checked import Chain, Series  # noqa: PLC0415 - likewise

    keep = checked(_TIMEOUTS).plan
    plan = query.plan.chain if isinstance(query.plan, Series) else query.plan
    if not isinstance(plan, Chain) or not isinstance(keep, Chain):
        return query
    return replace(query, plan=Chain((*plan.stages, *keep.stages)))


def _show(result: SearchResult, query: CheckedQuery, output: str) -> None:
    terminal = current_session().out
    columns = query.source.columns
    match output:
        case "json":
            found = [found_to_dict(trace, columns) for trace in result.traces]
            body = {
                "traces": found,
                "complete": result.complete,
                "reason": result.reason,
                "inspected_traces": result.inspected_traces,
                "inspected_spans": result.inspected_spans,
            }
            terminal.lines([pretty(body)])
        case "jsonl":
            terminal.lines(compact(found_to_dict(trace, columns)) for trace in result.traces)
        case _ if columns:
            is_markdown = output == "markdown"
            if result.traces or is_markdown:
                lines = picked_table(result.traces, columns, terminal, markdown=is_markdown)
                terminal.lines(lines)
        case "markdown":
            terminal.lines(search_markdown(result.traces))
        case _:
            terminal.lines(search_lines(result.traces, terminal))


def _footer(result: SearchResult, seconds: float) -> str:
    looked = (
        f"looked through {counted(result.inspected_traces, 'trace')} with "
        f"{counted(result.inspected_spans, 'span')} in {duration(round(seconds * 1e9))}"
    )
    if not result.traces:
        return f"{'nothing matches' if result.complete else 'nothing found so far'} · {looked}"
    newest = short_id(result.traces[0].trace_id)
    return f"{counted(len(result.traces), 'trace')} · {looked} · tailrace trace show {newest}"
