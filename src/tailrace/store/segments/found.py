"""What is returned of the traces that a search has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tailrace.model.ids import RunId, SpanId
from tailrace.model.search import FoundSet, FoundSpan, FoundTrace, Value
from tailrace.model.states import SpanStatus
from tailrace.store.segments.hunt import Hit
from tailrace.store.segments.shelf import AnyBlock, Shelf
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.checked import Chain
from tailrace.traceql.evaluate import Witnesses, is_witnessed, shown_fields
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
    readers = _Readers(hits, chain, shelf, spans_per_set)
    return [_found(hit, readers, fields, spans_per_set) for hit in hits]


class _Readers:
    """What reads the fields of the spans that are shown."""

    def __init__(self, hits: Sequence[Hit], chain: Chain, shelf: Shelf, spans_per_set: int) -> None:
        self._shelf = shelf
        self._witnesses: dict[int, Witnesses] = {}
        shown: dict[int, tuple[AnyBlock, list[int]]] = {}
        for hit in hits:
            _, spans = shown.setdefault(id(hit.block), (hit.block, []))
            for spanset in hit.sets:
                spans += spanset.spans[:spans_per_set]
        for block, spans in shown.values():
            shelf.spots(block).expect(spans)
        if not any(map(is_witnessed, shown_fields(chain))):
            return
        with suppress(OutOfBudget):  # then the first event is as good as any
            for key, (block, spans) in shown.items():
                self._witnesses[key] = Witnesses(chain, block, spans, Budget())

    def of(self, block: AnyBlock) -> Callable[[Field, int], Value | None]:
        """Return what gives the value of a field at a span of a block."""
        spots = self._shelf.spots(block)
        witnesses = self._witnesses.get(id(block))
        if witnesses is None:
            return spots.value

        def read(field: Field, span: int) -> Value | None:
            return (witnesses if is_witnessed(field) else spots).value(field, span)

        return read


def _found(
    hit: Hit, readers: _Readers, fields: Mapping[str, Field], spans_per_set: int
) -> FoundTrace:
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
                    _found_span(hit.block, span, readers, fields)
                    for span in spanset.spans[:spans_per_set]
                ],
                values=dict(spanset.values),
            )
            for spanset in hit.sets
        ],
        is_run=head.is_run,
    )


def _found_span(
    block: AnyBlock, span: int, readers: _Readers, fields: Mapping[str, Field]
) -> FoundSpan:
    read = readers.of(block)
    values = {label: read(field, span) for label, field in fields.items()}
    return FoundSpan(
        span_id=SpanId(block.span_ids[span]),
        name=str(read(_NAME, span) or ""),
        service=str(read(_SERVICE, span) or ""),
        start_ns=block.starts[span],
        duration_ns=block.durations[span],
        status=SpanStatus(str(read(_STATUS, span) or SpanStatus.UNSET)),
        values={label: value for label, value in values.items() if value is not None},
    )
