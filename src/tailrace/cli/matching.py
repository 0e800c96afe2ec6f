"""``tailrace trace list --traceql``: the runs that a query finds."""

from __future__ import annotations

from pathlib import Path

from tailrace.cli.database import open_reader
from tailrace.cli.searching import Wanted, checked, end, limit_for, open_search, tell_dialect
from tailrace.errors import NotFound
from tailrace.model.span import RunSummary


def matching_runs(
    query: str, db: Path | None, wanted: Wanted, *, limit: int
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
    found = []
    with open_reader(db) as reader:
        for trace in result.traces:
            try:
                found.append(reader.run(trace.trace_id))
            except NotFound:
                continue  # deleted since
    return found, end(complete=result.complete, reason=result.reason)
