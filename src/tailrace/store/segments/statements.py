"""The SQL that chooses what a query reads."""

from __future__ import annotations

import json
from collections.abc import Iterator

from msgspec import Struct

from tailrace.store.segments.catalogue import SEGMENTS
from tailrace.store.segments.explain import chains_of, leaves_of
from tailrace.store.segments.frame import BLOCK, Part
from tailrace.store.segments.pruning import BOUNDS, wanted_traces
from tailrace.store.segments.units import NAMED_FOREIGN, NAMED_RUNS
from tailrace.traceql.block import Owner
from tailrace.traceql.checked import CheckedQuery
from tailrace.traceql.plan import Condition, Leaf, Of, needs
from tailrace.traceql.tree import IntrinsicName

SEGMENTS_READ = "(numbers of segments)"
"""Stands for a parameter that depends on what is known of the file already."""


class Statement(Struct, frozen=True):
    """SQL and what is bound to its question marks; nothing of a query is part of the text."""

    text: str
    parameters: tuple[str, ...] = ()


def statements(query: CheckedQuery) -> list[Statement]:
    """Return what a query asks SQLite before columns are read, each statement once, in order."""
    found: dict[Statement, None] = {}
    for chain in chains_of(query.plan):
        found.update(dict.fromkeys(_of_condition(needs(chain))))
    return list(found)


def _of_condition(condition: Condition) -> Iterator[Statement]:
    ids = wanted_traces(condition)
    if ids is None:
        yield _statement(SEGMENTS)
    else:
        wanted = json.dumps(sorted(ids))
        yield _statement(NAMED_RUNS, wanted)
        yield _statement(NAMED_FOREIGN, wanted)
    for leaf in leaves_of(condition):
        column = _column(leaf)
        if column is not None:
            yield _statement(BOUNDS, SEGMENTS_READ, *column)


def _column(leaf: Leaf) -> tuple[str, str] | None:
    """Return owner and name of the column whose bounds are asked for; None: no column's are."""
    match leaf.owner:
        case Of.TRACE:
            return None
        case Of.SPAN:
            is_known = leaf.name == IntrinsicName.DURATION
            return (BLOCK, Part.DURATIONS.value) if is_known else None
        case Owner():
            return leaf.owner.value, leaf.name


def _statement(text: str, *parameters: str) -> Statement:
    return Statement(" ".join(text.split()), parameters)
