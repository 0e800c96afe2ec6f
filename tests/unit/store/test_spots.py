"""Fields of single spans are what whole columns say, in whatever way they are looked up."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanType
from tailrace.store.segments.spots import Spots
from tailrace.traceql.memory_block import memory_block
from tailrace.traceql.tree import Attribute, Scope

SIZE = 400


def span(number: int, attributes: dict[str, Any]) -> Span:
    return Span(
        trace_id=RunId(f"{number // 8:032x}"),
        span_id=SpanId(f"{number + 1:016x}"),
        parent_id=None,
        name="s",
        type=SpanType.FOREIGN,
        start_ns=number,
        end_ns=number + 1,
        attributes=attributes,
    )


@pytest.mark.parametrize("together", [1, 5, 20, SIZE])
def test_spans_are_looked_up_together_as_one_by_one(together: int) -> None:
    chance = Random(together)
    given: list[dict[str, Any]] = [
        {name: make(number) for name, make in MAKERS.items() if chance.random() < 0.9}
        for number in range(SIZE)
    ]
    spots = Spots(memory_block([span(*pair) for pair in enumerate(given)]))
    asked = list(range(SIZE)) * 2
    chance.shuffle(asked)
    for first in range(0, len(asked), together):
        some = asked[first : first + together]
        spots.expect(some)
        for number in some:
            found = {name: spots.value(Attribute(Scope.SPAN, name), number) for name in MAKERS}
            assert found == {name: given[number].get(name) for name in MAKERS}


MAKERS: dict[str, Any] = {
    "few": lambda number: number % 7,
    "many": lambda number: f"value {number % 90}",
    "unique": str,
}
