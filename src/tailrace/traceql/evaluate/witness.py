"""Which event and which link made a span match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tailrace.model.search import Value
from tailrace.traceql.block import Block
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Chain, Either, Keep, Operand, Related, Step, Together
from tailrace.traceql.evaluate.condition import Conditions
from tailrace.traceql.evaluate.fields import Fields, Home, home_of
from tailrace.traceql.evaluate.picked import Picked
from tailrace.traceql.evaluate.shown import shown_value
from tailrace.traceql.evaluate.space import homes_of
from tailrace.traceql.tree import Field


class Witnesses:
    """Tells fields of the events and links that made some spans match.

    Of the conditions that read events the last one that a span meets decides, and of the events
    that meet it, with some link where it reads both, the first one; likewise for links. Where no
    condition reads them, the first one that has the field tells it.

    Args:
        chain: the query.
        block: has the spans.
        spans: those that are shown.
        budget: what this may cost.

    Raises:
        OutOfBudget: the budget is used up.
    """

    def __init__(self, chain: Chain, block: Block, spans: Sequence[int], budget: Budget) -> None:
        self._fields = Fields(block)
        self._rows: dict[Home, dict[int, int]] = {Home.EVENT: {}, Home.LINK: {}}
        conditions = Conditions(self._fields, budget)
        read = [one for one in _conditions(chain) if homes_of(one)]
        for condition in reversed(read):
            self._look(condition, conditions, spans)

    def _look(self, condition: Operand, conditions: Conditions, spans: Sequence[int]) -> None:
        homes = homes_of(condition)
        wanted = Picked.of(self._fields.size, sorted(set(spans)))
        space, rows = conditions.bindings(condition, homes, wanted)
        owners = space.spans or ()
        for home in homes:
            places, count = space.rows_of(home), self._fields.count(home)
            known = self._rows[home]
            for row in rows:
                place = row if places is None else places[row]
                if place < count:
                    known.setdefault(owners[row], place)

    def value(self, field: Field, span: int) -> Value | None:
        """Return what the event or link of a span has; None: nothing."""
        row = self._rows[home_of(field)].get(span)
        found = (
            self._fields.first_values(field)[span]
            if row is None
            else self._fields.values(field)[row]
        )
        return shown_value(found)


def is_witnessed(field: Field) -> bool:
    """Return whether a field is one of events or links."""
    return home_of(field) is not Home.SPAN


def _conditions(chain: Chain) -> Iterator[Operand]:
    """Yield the conditions of a query from left to right."""
    waiting: list[Step] = [chain]
    while waiting:
        match waiting.pop():
            case Chain(stages):
                waiting += reversed(stages)
            case Keep(condition):
                yield condition
            case Together(left, right) | Either(left, right) | Related(_, _, left, right):
                waiting += (right, left)
            case _:
                pass
