"""Fields of all spans of a block as lists, for loops that look at every span."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress, repeat
from operator import sub
from typing import Any, TypeVar, cast

from tailrace.model.search import Value
from tailrace.traceql.block import Block, Owner, Values
from tailrace.traceql.evaluate import field_values
from tailrace.traceql.evaluate.fields import STORED
from tailrace.traceql.measure.log2 import exponent, exponents
from tailrace.traceql.tree import Attribute, Field, Intrinsic, IntrinsicName, Scope, Type


class Truth:
    """A boolean that is not equal to a number, as dictionaries need it."""

    def __init__(self, *, value: bool) -> None:
        self.value = value


TRUE, FALSE = Truth(value=True), Truth(value=False)
Cell = str | int | float | Truth | None
"""What a list holds for a span: a value, or None where it has none."""
Column = Sequence[Cell]
T = TypeVar("T")
_N = IntrinsicName
_DURATION = Intrinsic(_N.DURATION)
_STORED = (
    _N.NAME, _N.STATUS, _N.KIND, _N.STATUS_MESSAGE, _N.INSTRUMENTATION_NAME,
    _N.INSTRUMENTATION_VERSION,
)  # fmt: skip
_NUMERIC = (Type.INT, Type.FLOAT, Type.DURATION)
_OWNERS = {
    Scope.SPAN: (Owner.SPAN,),
    Scope.RESOURCE: (Owner.RESOURCE,),
    Scope.INSTRUMENTATION: (Owner.INSTRUMENTATION,),
    Scope.ANY: (Owner.RESOURCE, Owner.SPAN),
}


class Numbers:
    """The number of each span of a block that one function looks at.

    Args:
        values: for each span; what is no number, or NaN, is None.
        is_whole: whether none is None.
    """

    def __init__(self, values: Sequence[float | None], *, is_whole: bool) -> None:
        self.values = values
        self._is_whole = is_whole

    def of(self, spans: Sequence[int]) -> Sequence[float]:
        """Return the numbers of spans, without those that have none."""
        values = self.values
        if isinstance(spans, range):
            found = values[spans.start : spans.stop]
        else:
            found = [values[span] for span in spans]
        if self._is_whole:
            return cast("Sequence[float]", found)
        return [value for value in found if value is not None]


NO_NUMBERS = Numbers((), is_whole=True)


class Columns:
    """Lists of the fields of one block, each made once."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self._made: dict[Field, Column] = {}
        self._numbered: dict[object, Numbers] = {}

    def of(self, field: Field) -> Column:
        """Return the value of a field for each span. NaN is always the same object."""
        made = self._made.get(field)
        if made is None:
            made = self._quick(field)
            if made is None:
                value_of = field_values(field, self.block)
                made = [_cell(value_of(span)) for span in range(self.block.size)]
            self._made[field] = made
        return made

    def postings(self, field: Field) -> list[tuple[Cell, Sequence[int]]] | None:
        """Return each value of a field with the spans that have it, ascending, nil with the rest.

        None where that is not what is stored. Equal numbers may come twice.
        """
        parts = self._parts(field)
        if parts is None:
            return None
        if not parts:
            return [(_absent(field), range(self.block.size))]
        found: list[tuple[Cell, Sequence[int]]] = []
        for part in parts:
            rows, offsets = part.rows, part.offsets
            found += [
                (value, rows[low:high])
                for value, low, high in zip(boxed(part), offsets, offsets[1:], strict=False)
            ]
            if part.nan:
                found.append((math.nan, part.nan))
        if sum(len(rows) for _, rows in found) < self.block.size:
            missing = bytearray(b"\1") * self.block.size
            for _, rows in found:
                for row in rows:
                    missing[row] = 0
            found.append((_absent(field), list(compress(range(self.block.size), missing))))
        return found

    def numbers(self, field: Field) -> Numbers:
        """Return the numbers of a field."""
        if field == _DURATION:
            return Numbers(self.block.durations, is_whole=True)
        return self._numbers(field, None)

    def exponents(self, field: Field) -> Numbers:
        """Return the exponents that ``log2`` gives for a field; what is in no bucket has none."""
        if field == _DURATION and min(self.block.durations) > 1:
            return Numbers(exponents(self.block.durations), is_whole=True)
        return self._numbers(field, _exponent)

    def _numbers(self, field: Field, change: Callable[[Cell], float | None] | None) -> Numbers:
        key = (field, change)
        if key not in self._numbered:
            parts = self._parts(field)
            if parts is None:
                made = list(map(change or _number, self.of(field)))
                self._numbered[key] = Numbers(made, is_whole=None not in made)
            else:
                self._numbered[key] = self._of_parts(parts, change)
        return self._numbered[key]

    def _of_parts(
        self, parts: Sequence[Values], change: Callable[[Cell], float | None] | None
    ) -> Numbers:
        made: list[float | None] = [None] * self.block.size
        counted = 0
        for part in parts:
            if part.type not in _NUMERIC:
                continue
            values: Sequence[Any] = list(map(change, part.values)) if change else part.values
            for row, value in zip(part.rows, expanded(values, part.offsets), strict=True):
                made[row] = value
            counted += len(part.rows) if change is None or None not in values else 0
        return Numbers(made, is_whole=counted == self.block.size)

    def _parts(self, field: Field) -> Sequence[Values] | None:
        """Return a column whose rows are spans and in which a span stands once at most."""
        if isinstance(field, Intrinsic):
            if field.name not in _STORED:
                return None
            owners: tuple[Owner, ...] = (Owner.INTRINSIC,)
            name = field.name.value
        else:
            owners, name = _OWNERS.get(field.scope, ()), field.name
        found = [parts for owner in owners if (parts := self.block.column(owner, name))]
        if not owners or len(found) > 1 or any(part.array for parts in found for part in parts):
            return None
        return found[0] if found else ()

    def _quick(self, field: Field) -> Column | None:
        block = self.block
        if isinstance(field, Attribute):
            owners = _OWNERS.get(field.scope)
            if owners is None:
                return None
            both = [part for owner in owners for part in block.column(owner, field.name)]
            return None if any(part.array for part in both) else _filled(both, block.size, None)
        parts = self._parts(field)
        if parts is not None:
            return _filled(parts, block.size, _absent(field))
        match field.name:
            case _N.DURATION:
                return block.durations
            case _N.TRACE_DURATION | _N.ROOT_NAME | _N.ROOT_SERVICE_NAME | _N.TRACE_ID:
                return _per_trace(block, block.of_traces(field.name))
            case _:
                return None


def unboxed(cell: Cell) -> Value | None:
    """Return a value as results hold it; whole floats as integers, which they are equal to."""
    if isinstance(cell, Truth):
        return cell.value
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell


def boxed(values: Values) -> Sequence[Cell]:
    """Return the distinct values of a column as lists hold them."""
    if values.type is Type.BOOL:
        return [TRUE if value else FALSE for value in values.values]
    return values.values


def _number(cell: Cell) -> float | None:
    return cell if isinstance(cell, int | float) and not math.isnan(cell) else None


def _exponent(cell: Cell) -> float | None:
    # Only integers from 2 are in buckets.
    return exponent(cell) if isinstance(cell, int) and cell > 1 else None


def _cell(value: Value | None) -> Cell:
    if isinstance(value, bool):
        return TRUE if value else FALSE
    return math.nan if isinstance(value, float) and math.isnan(value) else value


def _absent(field: Field) -> Cell:
    """Return what a span has that a column leaves out."""
    return STORED[field.name] if isinstance(field, Intrinsic) else None


def _filled(parts: Sequence[Values], size: int, absent: Cell) -> list[Cell]:
    made: list[Cell] = [absent] * size
    for part in parts:
        for row, value in zip(part.rows, expanded(boxed(part), part.offsets), strict=True):
            made[row] = value
        for row in part.nan:
            made[row] = math.nan
    return made


def expanded(values: Sequence[T], offsets: Sequence[int]) -> Iterable[T]:
    """Return the value of each row of a column."""
    if len(offsets) == offsets[-1] + 1:
        return values
    return chain.from_iterable(map(repeat, values, map(sub, offsets[1:], offsets)))


def _per_trace(block: Block, values: Sequence[Cell]) -> list[Cell]:
    made: list[Cell] = []
    firsts = block.firsts
    for value, first, end in zip(values, firsts, [*firsts[1:], block.size], strict=True):
        made += [value] * (end - first)
    return made
