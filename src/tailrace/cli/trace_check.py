"""``tailrace trace check``: say whether a query is valid, and how it would be answered."""

from __future__ import annotations

from pathlib import Path

import click

from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.options import db_option, format_option
from tailrace.cli.problem_text import render_problem
from tailrace.cli.query_problem import query_problem
from tailrace.cli.searching import query_text
from tailrace.cli.session import current_session, finish
from tailrace.errors import QueryError


@command(name="check")
@click.argument("query", metavar="QUERY")
@click.option("--explain", "explained", is_flag=True, help="Show how the database would answer it.")
@db_option
@format_option("text", "json")
def check_query(query: str, *, explained: bool, db: Path | None, output: str) -> int:
    """Check a TraceQL query: exit 0 when it is valid, 2 with a caret when it is not.

    QUERY is the query itself, or - to read it from standard input. JSON holds the checked tree,
    and the SQL that chooses what is read. Without --explain no database is needed.

    \b
      tailrace trace check '{ status = error } | count() > 2'
      tailrace trace check '{ name = "a" } >> { duration > 1s }' --explain
      tailrace trace check - < slow.traceql
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.traceql import check, parse, to_document  # noqa: PLC0415 - only where one is read

    terminal = current_session().out
    try:
        checked = check(parse(query_text(query)))
    except QueryError as error:
        return _refuse(error, output)
    document = to_document(checked)
    plan = None
    if explained:
        from tailrace.cli.explain_text import explain, plan_lines, plan_to_dict  # noqa: PLC0415 - a store

        plan = explain(checked, db)
    if output == "json":
        from tailrace.cli.explain_text import sql_of  # noqa: PLC0415 - the rooms of a store

        answer = {} if plan is None else {"plan": plan_to_dict(plan)}
        body = {"valid": True, **document, "sql": sql_of(checked), **answer}
        terminal.lines([pretty(body)])
    else:
        ignored = checked.ignored_hints
        note = f"; ignored hints: {', '.join(ignored)}" if ignored else ""
        terminal.lines(
            [f"valid {document['dialect']}, gives {document['gives']}{note}: {document['query']}"]
        )
        if plan is not None:
            terminal.lines(plan_lines(plan))
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
