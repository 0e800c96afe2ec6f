"""What is returned of the traces that a search has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tailrace.model.ids import RunId, SpanId
from tailrace.model.search import FoundSet, FoundSpan, FoundTrace
from tailrace.model.states import SpanStatus
from tailrace.store.segments.hunt import Hit
from tailrace.store.segments.shelf import AnyBlock, Shelf
from tailrace.traceql.checked import Chain
from tailrace.traceql.evaluate import shown_fields
from tailrace.traceql.render import render_expression
from tailrace.traceql.tree import Attribute, Field, Intrinsic, IntrinsicName, Scope

_NAME = Intrinsic(IntrinsicName.NAME)
_STATUS = Intrinsic(IntrinsicName.STATUS)
_SERVICE = Attribute(Scope.RESOURCE, "service.name")


def found_traces(
    hits: Sequence[Hit], chain: Chain, shelf: Shelf, spans_per_set: int
) -> list[FoundTrace]:
    """Return the traces with some spans of each spanset, and the fields that the query names."""
    fields = {render_expression(field): field for field in shown_fields(chain)}
    return [_found(hit, shelf, fields, spans_per_set) for hit in hits]


def _found(hit: Hit, shelf: Shelf, fields: Mapping[str, Field], spans_per_set: int) -> FoundTrace:
    head = hit.block.heads[hit.number]
    matched = hit.sets[0].spans
    count = len(matched) if len(hit.sets) == 1 else len(set().union(*(s.spans for s in hit.sets)))
    return FoundTrace(
        trace_id=RunId(head.trace_id),
        root_name=head.root_name,
        root_service=head.root_service,
        start_ns=head.start_ns,
        duration_ns=head.duration_ns,
        spans=head.spans,
        errors=head.errors,
        matched=count,
        sets=[
            FoundSet(
                matched=len(spanset.spans),
                spans=[
                    _found_span(hit.block, span, shelf, fields)
                    for span in spanset.spans[:spans_per_set]
                ],
                values=dict(spanset.values),
            )
            for spanset in hit.sets
        ],
        is_run=head.is_run,
    )


def _found_span(block: AnyBlock, span: int, shelf: Shelf, fields: Mapping[str, Field]) -> FoundSpan:
    spots = shelf.spots(block)
    values = {label: spots.value(field, span) for label, field in fields.items()}
    return FoundSpan(
        span_id=SpanId(block.span_ids[span]),
        name=str(spots.value(_NAME, span) or ""),
        service=str(spots.value(_SERVICE, span) or ""),
        start_ns=block.starts[span],
        duration_ns=block.durations[span],
        status=SpanStatus(str(spots.value(_STATUS, span) or SpanStatus.UNSET)),
        values={label: value for label, value in values.items() if value is not None},
    )
