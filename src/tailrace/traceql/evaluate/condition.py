"""Conditions in braces: sets of rows where that is enough, values side by side for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import assert_never

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
from tailrace.traceql.evaluate.fields import OF_TRACE, STORED, Fields, Held, Home, home_of
from tailrace.traceql.evaluate.leaf import Leaves
from tailrace.traceql.evaluate.picked import Picked
from tailrace.traceql.evaluate.reckon import SWAPPED, calculator, comparer, is_duration, negative
from tailrace.traceql.evaluate.space import Space, Spaces, flattened, homes_of
from tailrace.traceql.matcher import matcher
from tailrace.traceql.tree import Attribute, Field, Intrinsic, Literal

_CHUNK = 8192


class Conditions:
    """Evaluates conditions over one block."""

    def __init__(self, fields: Fields, budget: Budget) -> None:
        self.fields = fields
        self._budget = budget
        self._leaves = Leaves(fields, budget)
        self._spaces = Spaces(fields, budget)
        self._homes: dict[int, frozenset[Home]] = {}

    def holds(self, condition: Operand, within: Picked) -> Picked:
        """Return the spans of ``within`` for which some event and link makes a condition true."""
        homes = self._homes_of(condition)
        if not homes:
            return self._true(condition, self._spaces.spans, within)
        if isinstance(condition, Or):
            parts = list(flattened(condition, Or))
            found = self.holds(parts[0], within)
            for part in parts[1:]:
                found |= self.holds(part, within)
            return found
        if isinstance(condition, And):
            return self._all_hold(list(flattened(condition, And)), within)
        return within & self._projected([condition], self._spaces.of(homes))

    def bindings(
        self, condition: Operand, homes: frozenset[Home], within: Picked
    ) -> tuple[Space, Sequence[int]]:
        """Return the rows for which a condition is true, with their space.

        Args:
            condition: reads events, links or both.
            homes: which of these.
            within: the spans whose rows are looked at.
        """
        space = self._spaces.of(homes)
        owners = space.spans or ()
        rows = list(compress(range(space.size), map(within.mask.__getitem__, owners)))
        return space, self._true(condition, space, Picked(space.size, rows=rows)).rows

    def _all_hold(self, parts: list[Operand], within: Picked) -> Picked:
        """Return the spans where all parts hold for one event and link."""
        grouped: dict[frozenset[Home], list[Operand]] = {}
        for part in parts:
            grouped.setdefault(self._homes_of(part), []).append(part)
        if any(len(homes) > 1 for homes in grouped):
            # What reads both ties the event to the link, so all that reads either goes along.
            tied = [part for homes, some in grouped.items() if homes for part in some]
            both = frozenset({Home.EVENT, Home.LINK})
            grouped = {frozenset(): grouped.get(frozenset(), []), both: tied}
        for part in sorted(grouped.pop(frozenset(), []), key=_cost):
            within = self._true(part, self._spaces.spans, within)
        for homes, some in grouped.items():
            if len(within):
                within &= self._projected(some, self._spaces.of(homes))
        return within

    def _projected(self, parts: list[Operand], space: Space) -> Picked:
        """Return the spans that have a row in a space where all parts hold."""
        found = Picked.all(space.size)
        for part in sorted(parts, key=_cost):
            found = self._true(part, space, found)
        spans = space.spans
        if spans is None:
            return found
        return Picked.of(self.fields.size, [spans[row] for row in found.rows])

    def _homes_of(self, operand: Operand) -> frozenset[Home]:
        key = id(operand)
        known = self._homes.get(key)
        if known is None:
            known = self._homes[key] = homes_of(operand)
        return known

    def _true(self, operand: Operand, space: Space, within: Picked) -> Picked:
        """Return the rows of ``within`` where an operand is true."""
        homes = self._homes_of(operand)
        if homes != space.homes:
            own = self._spaces.of(homes)
            found = self._true(operand, own, Picked.all(own.size))
            return within & space.lifted(found, homes)
        match operand:
            case Literal(_, value):
                return within if value is True else Picked.none(space.size)
            case And():
                for part in sorted(flattened(operand, And), key=_cost):
                    within = self._true(part, space, within)
                return within
            case Or():
                parts = list(flattened(operand, Or))
                found = self._true(parts[0], space, within)
                for part in parts[1:]:
                    found |= self._true(part, space, within - found)
                return found
            case Not(inner):
                return self._false(inner, space, within)
            case Attribute() | Intrinsic():
                return within & self._widened(self._leaves.boolean(operand, value=True), space)
            case _:
                return self._measured(operand, space, within)

    def _measured(
        self,
        operand: Comparison | Matches | Exists | Calculation | Negative,
        space: Space,
        within: Picked,
    ) -> Picked:
        match operand:
            case Comparison():
                return self._compared(operand, space, within)
            case Matches():
                return self._matched(operand, space, within)
            case Exists():
                return self._exists(operand, space, within)
            case Calculation() | Negative():  # never a boolean
                return Picked.none(space.size)
            case _:
                assert_never(operand)

    def _false(self, operand: Operand, space: Space, within: Picked) -> Picked:
        """Return the rows where an operand is false; where it is nil, its negation is nil."""
        match operand:
            case Not(inner):
                return self._true(inner, space, within)
            case Attribute() | Intrinsic():
                return within & self._widened(self._leaves.boolean(operand, value=False), space)
            case Calculation() | Negative():
                return Picked.none(space.size)
            case _:
                return within - self._true(operand, space, within)

    def _widened(self, picked: Picked, space: Space) -> Picked:
        """Return rows of events as rows of their space, which has spans without one, too."""
        if picked.size == space.size:
            return picked
        return Picked(space.size, rows=picked.rows)

    def _compared(self, comparison: Comparison, space: Space, within: Picked) -> Picked:
        op, left, right = comparison.op, comparison.left, comparison.right
        if isinstance(left, Literal):
            op, left, right = SWAPPED[op], right, left
        if isinstance(left, Attribute | Intrinsic) and isinstance(right, Literal):
            assert right.value is not None  # noqa: S101 - nil has a node of its own
            asked = self._narrowed(within, left)
            found = self._leaves.compared(left, op, right.value, asked)
            return within & self._widened(found, space)
        compare = comparer(comparison.op)
        left, right = comparison.left, comparison.right
        hits: list[int] = []
        for rows in self._chunks(within):
            a, b = self._values(left, space, rows), self._values(right, space, rows)
            hits += [row for row, x, y in zip(rows, a, b, strict=True) if compare(x, y)]
        return Picked(space.size, rows=hits)

    def _narrowed(self, within: Picked, field: Field) -> Picked:
        """Return the rows asked for as rows of the field's home."""
        size = self.fields.count(home_of(field))
        return within if within.size == size else Picked.all(size)

    def _matched(self, node: Matches, space: Space, within: Picked) -> Picked:
        inner = node.operand
        if isinstance(inner, Attribute | Intrinsic):
            asked = self._narrowed(within, inner)
            found = self._leaves.matched(inner, node.regex, asked, negated=node.negated)
            return within & self._widened(found, space)
        holds = matcher(node.regex, self._budget)
        hits: list[int] = []
        for rows in self._chunks(within):
            values = self._values(inner, space, rows)
            hits += [
                row
                for row, value in zip(rows, values, strict=True)
                if isinstance(value, str) and holds(value) is not node.negated
            ]
        return Picked(space.size, rows=hits)

    def _exists(self, node: Exists, space: Space, within: Picked) -> Picked:
        inner = node.operand
        if isinstance(inner, Attribute | Intrinsic):
            present = self._widened(self._leaves.present(inner), space)
            if not node.negated:
                return within & present
            # A span without an event has no event without an attribute either.
            real = Picked(space.size, rows=range(self.fields.count(home_of(inner))))
            return (within & real) - present
        hits: list[int] = []
        for rows in self._chunks(within):
            values = self._values(inner, space, rows)
            hits += [
                row
                for row, value in zip(rows, values, strict=True)
                if (value is None) is node.negated
            ]
        return Picked(space.size, rows=hits)

    def _chunks(self, within: Picked) -> list[Sequence[int]]:
        rows = within.rows
        self._budget.spend(len(rows))
        return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]

    def values(self, operand: Operand, rows: Sequence[int]) -> Sequence[Held]:
        """Return what an operand is at some spans; of events and links the first with a value."""
        self._budget.spend(len(rows))
        return self._values(operand, self._spaces.spans, rows)

    def _values(self, operand: Operand, space: Space, rows: Sequence[int]) -> Sequence[Held]:
        match operand:
            case Literal(_, value):
                return [value] * len(rows)
            case Attribute() | Intrinsic():
                return self._read(operand, space, rows)
            case Calculation(op, left, right):
                lasting = is_duration(left) or is_duration(right)
                a, b = self._values(left, space, rows), self._values(right, space, rows)
                return list(map(calculator(op, duration=lasting), a, b))
            case Negative(inner):
                return list(map(negative, self._values(inner, space, rows)))
            case Not(inner):
                values = self._values(inner, space, rows)
                return [not value if value.__class__ is bool else None for value in values]
            case Comparison() | Matches() | Exists() | And() | Or():
                mask = self._truth(operand, space, rows).mask
                return [mask[row] == 1 for row in rows]
            case _:
                assert_never(operand)

    def _truth(self, operand: Operand, space: Space, rows: Sequence[int]) -> Picked:
        within = Picked(space.size, rows=rows)
        if not space.homes:
            return self.holds(operand, within)
        return self._true(operand, space, within)

    def _read(self, field: Field, space: Space, rows: Sequence[int]) -> Sequence[Held]:
        home = home_of(field)
        if not space.homes:
            values = self.fields.first_values(field)
            return [values[row] for row in rows]
        values = self.fields.values(field)
        places = space.rows_of(home)
        if places is not None:
            rows = [places[row] for row in rows]
        if home is Home.SPAN:
            return [values[row] for row in rows]
        count = len(values)
        return [values[row] if row < count else None for row in rows]


def _cost(operand: Operand) -> int:
    """Return a rank by which the cheap parts of ``a && b`` come first."""
    match operand:
        case Literal():
            return 0
        case Attribute() | Intrinsic():
            return 1
        case Comparison(_, left, right) if isinstance(left, Literal) or isinstance(right, Literal):
            field = right if isinstance(left, Literal) else left
            if isinstance(field, Attribute):
                return 1
            if isinstance(field, Intrinsic):
                return 1 if field.name in STORED or field.name in OF_TRACE else 3
            return 5
        case Exists(Attribute() | Intrinsic()):
            return 2
        case Matches(Attribute() | Intrinsic()):
            return 3
        case _:
            return 4
