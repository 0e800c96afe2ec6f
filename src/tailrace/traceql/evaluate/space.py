"""What a condition is tried on: spans, or spans each with one of its events and links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import (
    And,
    Calculation,
    Comparison,
    Exists,
    Matches,
    Negative,
    Not,
    Operand,
    Or,
)
from tailrace.traceql.evaluate.fields import Fields, Home, home_of
from tailrace.traceql.evaluate.picked import Picked
from tailrace.traceql.tree import Attribute, Intrinsic, Literal

NOTHING: frozenset[Home] = frozenset()
_PAIR_COST = 20


def homes_of(operand: Operand) -> frozenset[Home]:
    """Return whether an operand reads events or links; spans are not told."""
    homes: set[Home] = set()
    waiting = [operand]
    while waiting:
        match waiting.pop():
            case Literal():
                pass
            case Attribute() | Intrinsic() as field:
                homes.add(home_of(field))
            case Negative(inner) | Not(inner) | Exists(inner) | Matches(inner):
                waiting.append(inner)
            case Calculation(_, left, right) | Comparison(_, left, right):
                waiting += (left, right)
            case And(left, right) | Or(left, right):
                waiting += (left, right)
    return frozenset(homes - {Home.SPAN})


class Space:
    """Rows that a condition is tried on.

    Rows of a space of events are the events, then the spans without one; likewise for links.
    A space of both has a row for each pair.
    """

    def __init__(
        self,
        homes: frozenset[Home],
        size: int,
        spans: Sequence[int] | None = None,
        *,
        events: Sequence[int] | None = None,
        links: Sequence[int] | None = None,
    ) -> None:
        self.homes = homes
        self.size = size
        self.spans = spans
        """The span of each row; None: row and span are one."""
        self._rows = {Home.EVENT: events, Home.LINK: links}

    def rows_of(self, home: Home) -> Sequence[int] | None:
        """Return for each row its row in the space of spans, events or links alone, or None.

        None: the numbers are the same.
        """
        return self.spans if home is Home.SPAN else self._rows[home]

    def lifted(self, picked: Picked, homes: frozenset[Home]) -> Picked:
        """Return the rows whose part in a smaller space is picked."""
        home = next(iter(homes), Home.SPAN)
        rows = self.rows_of(home)
        if homes == self.homes or rows is None:
            return picked
        return Picked(self.size, mask=bytes(map(picked.mask.__getitem__, rows)))


class Spaces:
    """The spaces of a block."""

    def __init__(self, fields: Fields, budget: Budget) -> None:
        self._fields = fields
        self._budget = budget
        self.spans = Space(NOTHING, fields.size)

    def of(self, homes: frozenset[Home]) -> Space:
        """Return the space for what reads events, links, both or neither."""
        if not homes:
            return self.spans
        if len(homes) > 1:
            return self._both
        return self._events if Home.EVENT in homes else self._links

    @cached_property
    def _events(self) -> Space:
        return self._alone(Home.EVENT, self._fields.block.event_spans)

    @cached_property
    def _links(self) -> Space:
        return self._alone(Home.LINK, self._fields.block.link_spans)

    def _alone(self, home: Home, owners: Sequence[int]) -> Space:
        self._budget.spend(len(owners) + self._fields.size)
        rows = list(owners)
        without = Picked.all(self._fields.size) - Picked.of(self._fields.size, rows)
        rows.extend(without.rows)
        return Space(frozenset({home}), len(rows), rows)

    @cached_property
    def _both(self) -> Space:
        events, links = self._by_span(self._events), self._by_span(self._links)
        pairs = sum(len(a) * len(b) for a, b in zip(events, links, strict=True))
        self._budget.spend(pairs * _PAIR_COST)
        spans: list[int] = []
        of_events: list[int] = []
        of_links: list[int] = []
        for span, (mine, others) in enumerate(zip(events, links, strict=True)):
            spans += [span] * (len(mine) * len(others))
            of_events += [event for event in mine for _ in others]
            of_links += list(others) * len(mine)
        homes = frozenset({Home.EVENT, Home.LINK})
        return Space(homes, len(spans), spans, events=of_events, links=of_links)

    def _by_span(self, space: Space) -> list[list[int]]:
        made: list[list[int]] = [[] for _ in range(self._fields.size)]
        for row, span in enumerate(space.spans or ()):
            made[span].append(row)
        return made


def flattened(operand: Operand, kind: type[And | Or]) -> Iterable[Operand]:
    """Return the operands of ``a && b && …`` or ``a || b || …``, from left to right."""
    waiting = [operand]
    while waiting:
        part = waiting.pop()
        if isinstance(part, kind):
            waiting += (part.right, part.left)
        else:
            yield part
