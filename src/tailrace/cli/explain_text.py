"""How a query is answered, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.cli.listing import counted
from tailrace.cli.searching import open_local_search
from tailrace.cli.width import clean

if TYPE_CHECKING:
    from tailrace.store.segments.explain import Explanation
    from tailrace.traceql import CheckedQuery


def explain(query: CheckedQuery, db: Path | None) -> Explanation:
    """Return how a query is answered over the database as it is now.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    with open_local_search(db) as store:
        return store.explain(query)


def sql_of(query: CheckedQuery) -> list[dict[str, Any]]:
    """Return the SQL that chooses what a query reads, as plain data."""
    from tailrace.store.segments.statements import statements  # noqa: PLC0415 - not for --help

    return [
        {"statement": one.text, "parameters": list(one.parameters)} for one in statements(query)
    ]


def plan_to_dict(plan: Explanation) -> dict[str, Any]:
    """Return a plan as plain data."""
    return {
        "traces": None if plan.traces is None else list(plan.traces),
        "skipping": list(plan.skipping),
        "segments": plan.segments,
        "segments_read": plan.segments_read,
        "unsealed_traces": plan.unsealed_traces,
        "columns": list(plan.columns),
        "singly": list(plan.singly),
        "relations": list(plan.relations),
    }


def plan_lines(plan: Explanation) -> Iterator[str]:
    """Yield what is done, in the order in which it is done."""
    if plan.traces is not None:
        yield f"only these traces are looked at: {', '.join(plan.traces) or 'none'}"
    yield (
        f"segments: {plan.segments_read:,} of {plan.segments:,} may hold an answer; "
        f"{counted(plan.unsealed_traces, 'trace')} besides in rows"
    )
    parts = (
        ("bounds of columns that skip segments (SQL)", plan.skipping),
        ("posting lists of columns", plan.columns),
        ("along the parents of spans", plan.relations),
        ("span by span, in what is left", plan.singly),
    )
    for title, entries in parts:
        yield from [f"{title}:", *(f"  {clean(entry)}" for entry in entries)] if entries else []
