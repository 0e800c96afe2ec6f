"""``tailrace trace list --traceql``: the runs that a query finds."""

from __future__ import annotations

from tailrace.cli.database import open_reader
from tailrace.cli.options import Store
from tailrace.cli.searching import Wanted, checked, end, limit_for, open_search, tell_dialect
from tailrace.model.span import RunSummary


def matching_runs(
    query: str, db: Store, wanted: Wanted, *, limit: int
) -> tuple[list[RunSummary], int]:
    """Return the runs and traces that match, newest first, and the exit code.

    Args:
        query: TraceQL, or the older short form.
        db: the database; None: the one that is meant.
        wanted: which of them count.
        limit: of the command; a ``limit`` in the query counts where none was given.

    Raises:
        QueryError: the query is not valid.
        StoreError: the database cannot be read.
    """
    asked = checked(query)
    with open_search(db) as store:
        most = limit_for(asked, limit)
        result = store.search(asked, limit=most, spans_per_set=0, **wanted.options())
    tell_dialect(asked)
    with open_reader(db) as reader:
        found = [*reader.runs_of(trace.trace_id for trace in result.traces)]
    return found, end(complete=result.complete, reason=result.reason)
