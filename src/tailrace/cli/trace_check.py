"""``tailrace trace check``: say whether a query is valid, without asking any database."""

from __future__ import annotations

import sys

import click

from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.options import format_option
from tailrace.cli.problem_text import render_problem
from tailrace.cli.query_problem import query_problem
from tailrace.cli.session import current_session, finish
from tailrace.errors import QueryError

_MOST = 1_000_000


@command(name="check")
@click.argument("query", metavar="QUERY")
@format_option("text", "json")
def check_query(query: str, output: str) -> int:
    """Check a TraceQL query: exit 0 when it is valid, 2 with a caret when it is not.

    QUERY is the query itself, or - to read it from standard input. JSON holds the checked tree.

    \b
      tailrace trace check '{ status = error } | count() > 2'
      tailrace trace check - < slow.traceql
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.traceql import check, parse, to_document  # noqa: PLC0415 - only where one is read

    terminal = current_session().out
    text = _standard_input() if query == "-" else query
    try:
        checked = check(parse(text))
    except QueryError as error:
        return _refuse(error, output)
    document = to_document(checked)
    if output == "json":
        terminal.lines([pretty({"valid": True, **document})])
    else:
        ignored = checked.ignored_hints
        note = f"; ignored hints: {', '.join(ignored)}" if ignored else ""
        terminal.lines(
            [f"valid {document['dialect']}, gives {document['gives']}{note}: {document['query']}"]
        )
    return 0


def _refuse(error: QueryError, output: str) -> int:
    session = current_session()
    problem = query_problem(error)
    code = finish(2)
    if output == "json":
        session.out.lines([pretty({"valid": False, "problem": problem.to_dict()})])
    else:
        session.err.lines(render_problem(problem, session.err))
    return code


def _standard_input() -> str:
    """Return what stands on standard input, one line end at its end aside."""
    data = sys.stdin.buffer.read(_MOST)
    return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
