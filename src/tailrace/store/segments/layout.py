"""The rows that a segment is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tailrace.store.segments.column import Bound, bounds, column_type, pack_values
from tailrace.store.segments.facts import OF_SCOPES
from tailrace.store.segments.frame import BLOCK, Part, framed
from tailrace.store.segments.heads import pack_heads
from tailrace.store.segments.planes import numbers, pack
from tailrace.store.segments.rows_block import RowsBlock
from tailrace.traceql.block import Owner, Values


class ColumnRow(NamedTuple):
    """A row of ``segment_column`` without its keys."""

    owner: str
    name: str
    type: str
    least: Bound
    most: Bound
    body: bytes


def column_rows(block: RowsBlock) -> Iterator[ColumnRow]:
    """Yield the rows of a segment with the traces of the block.

    A column of what spans share is kept as its bodies; rows without a body say that it is there,
    and between which bounds.
    """
    yield from _parts(block)
    for owner in Owner:
        is_shared = owner in {Owner.RESOURCE, Owner.INSTRUMENTATION}
        for name in block.names(owner):
            has_body = not is_shared and name not in OF_SCOPES
            for values in block.column(owner, name):
                yield _column_row(owner, name, values, has_body=has_body)


def _column_row(owner: Owner, name: str, values: Values, *, has_body: bool) -> ColumnRow:
    least, most = bounds(values)
    body = framed(pack_values(values)) if has_body else b""
    return ColumnRow(owner.value, name, column_type(values), least, most, body)


def _parts(block: RowsBlock) -> Iterator[ColumnRow]:
    spans = block.spans
    yield _part(Part.HEADS, pack_heads(block.heads, block.firsts, block.size))
    yield _part(Part.STARTS, pack(block.starts))
    durations = block.durations
    yield _part(Part.DURATIONS, pack(durations), min(durations), max(durations))
    yield _part(Part.BY_DURATION, pack(numbers(block.by_duration, block.size)))
    yield _part(Part.PARENTS, pack(block.parents))
    yield _part(Part.SPAN_IDS, b"".join([span.span_id for span in spans]))
    orphans = block.orphans
    if orphans:
        yield _part(Part.ORPHANS, pack(numbers(orphans, orphans[-1])))
        yield _part(Part.ORPHAN_PARENTS, b"".join([spans[n].parent_id for n in orphans]))
    for part, rows in (
        (Part.EVENT_SPANS, block.event_spans),
        (Part.LINK_SPANS, block.link_spans),
    ):
        if rows:
            yield _part(part, pack(numbers(rows, rows[-1])))
    yield _part(Part.RESOURCES, pack_values(block.resource_bodies))
    yield _part(Part.SCOPES, pack_values(block.scope_bodies))


def _part(part: Part, body: bytes, least: Bound = None, most: Bound = None) -> ColumnRow:
    return ColumnRow(BLOCK, part.value, "", least, most, framed(body))
