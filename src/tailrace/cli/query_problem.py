"""A query that is wrong, with its line and a caret."""

from __future__ import annotations

from tailrace.cli.problem_text import Problem
from tailrace.errors import QueryError
from tailrace.model import SourceSpan

SUBJECT = "query"


def query_problem(error: QueryError) -> Problem:
    """Return an error of a query as the printer takes it, with its place where it has one."""
    details = error.details
    where = None
    if "line" in details:
        where = SourceSpan(
            file=SUBJECT,
            line=details["line"],
            column=details["column"],
            end_line=details["end_line"],
            end_column=details["end_column"],
            text=details["source"],
        )
    return Problem(
        code=error.code, message=error.message, hint=error.hint, where=where, subject=SUBJECT
    )
