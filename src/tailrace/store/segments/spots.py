"""What single spans have, without spreading whole columns."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import compress, count
from math import nan

from tailrace.model.search import Value
from tailrace.traceql.block import Block, Owner, TraceHead, Values
from tailrace.traceql.codes import codes_of
from tailrace.traceql.evaluate import field_values
from tailrace.traceql.tree import Attribute, Field, Intrinsic, IntrinsicName, Scope

_OWNERS = {
    Scope.SPAN: (Owner.SPAN,),
    Scope.RESOURCE: (Owner.RESOURCE,),
    Scope.INSTRUMENTATION: (Owner.INSTRUMENTATION,),
    Scope.ANY: (Owner.SPAN, Owner.RESOURCE),
}
_FEW_VALUES = 48
"""Values of a column up to which each is tried."""
_FEW_ROWS = 48
"""Rows that are looked for by their bytes before the column is turned round."""
_MANY_EXPECTED = 8
"""Rows from which on one look through all of them costs less than a search for each."""
_FEW_PASSES = 8
"""Looks through all rows before the column is turned round."""
_N = IntrinsicName
_PLAIN = frozenset({
    _N.NAME, _N.STATUS, _N.KIND, _N.STATUS_MESSAGE, _N.INSTRUMENTATION_NAME,
    _N.INSTRUMENTATION_VERSION,
})  # fmt: skip
_OF_TRACE: dict[IntrinsicName, Callable[[TraceHead], Value]] = {
    _N.TRACE_ID: lambda head: head.trace_id,
    _N.TRACE_DURATION: lambda head: head.duration_ns,
    _N.ROOT_NAME: lambda head: head.root_name,
    _N.ROOT_SERVICE_NAME: lambda head: head.root_service,
}


class Spots:
    """Reads fields of single spans of a block."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._spread: dict[Field, Callable[[int], Value | None]] = {}
        self._lookups: dict[int, _Lookup] = {}
        self._expected: frozenset[int] = frozenset()

    def expect(self, spans: Iterable[int]) -> None:
        """Tell which spans are asked about next, so that they are looked for together."""
        self._expected = frozenset(spans)

    def value(self, field: Field, span: int) -> Value | None:
        """Return what a span has; None: nothing."""
        owners: tuple[Owner, ...] = ()
        name: str
        if isinstance(field, Attribute):
            owners, name = _OWNERS.get(field.scope, ()), field.name
        else:
            name = field.name.value
            if field.name in _PLAIN:
                owners = (Owner.INTRINSIC,)
        if not owners:
            return self._full(field, span)
        for owner in owners:
            columns = self._block.column(owner, name)
            if any(values.array for values in columns):
                return self._full(field, span)
            for values in columns:
                found = self._lookup(values).at(span, self._expected)
                if found is not None:
                    return found
        return None

    def _lookup(self, values: Values) -> _Lookup:
        known = self._lookups.get(id(values))
        if known is None:
            known = self._lookups[id(values)] = _Lookup(self._block, values)
        return known

    def _full(self, field: Field, span: int) -> Value | None:
        block = self._block
        if isinstance(field, Intrinsic):
            if field.name is _N.DURATION:
                return block.durations[span]
            if field.name is _N.SPAN_ID:
                return block.span_ids[span]
            if (of_trace := _OF_TRACE.get(field.name)) is not None:
                return of_trace(block.heads[bisect_right(block.firsts, span) - 1])
        read = self._spread.get(field)
        if read is None:
            read = self._spread[field] = field_values(field, block)
        return read(span)


class _Lookup:
    """Finds the value of single rows in the values of one type, none of them in arrays."""

    def __init__(self, block: Block, values: Values) -> None:
        self._block = block
        self._values = values
        self._asked = 0
        self._passes = 0
        self._bytes = b""
        self._found: dict[int, int | None] = {}
        """Numbers of the values of rows that were looked for."""

    def at(self, row: int, expected: frozenset[int]) -> Value | None:
        """Return the row's value; None: it has none. ``expected`` are rows asked for likewise."""
        values = self._values
        few = len(values.values) <= _FEW_VALUES
        index = self._group(row) if few else self._number(row, expected)
        if index is not None:
            found: Value = values.values[index]
            return found
        return nan if row in values.nan else None

    def _group(self, row: int) -> int | None:
        """Try each value: rows are sorted under it."""
        values = self._values
        for index in range(len(values.values)):
            end = values.offsets[index + 1]
            place = bisect_left(values.rows, row, values.offsets[index], end)
            if place < end and values.rows[place] == row:
                return index
        return None

    def _number(self, row: int, expected: frozenset[int]) -> int | None:
        """Look for a few rows by their bytes, for more in the column turned round."""
        if row in self._found:
            return self._found[row]
        if self._asked >= _FEW_ROWS or self._passes >= _FEW_PASSES:
            code = codes_of(self._block, self._values)[row]
            return code - 1 if code else None
        if len(expected) >= _MANY_EXPECTED and row in expected:
            self._found = self._looked_through(expected)
        else:
            self._asked += 1
            place = self._searched(row)
            self._found[row] = None if place is None else self._of_place(place)
        return self._found[row]

    def _of_place(self, place: int) -> int:
        return bisect_right(self._values.offsets, place) - 1

    def _looked_through(self, wanted: frozenset[int]) -> dict[int, int | None]:
        """Return the numbers of the values of some rows; None: there is none."""
        self._passes += 1
        rows = self._values.rows
        found: dict[int, int | None] = dict.fromkeys(wanted)
        for place in compress(count(), map(wanted.__contains__, rows)):
            found[rows[place]] = self._of_place(place)
        return found

    def _searched(self, row: int) -> int | None:
        rows = self._values.rows
        if not isinstance(rows, array):
            return rows.index(row) if row in rows else None
        if row >= 1 << 8 * rows.itemsize:
            return None
        self._bytes = self._bytes or rows.tobytes()
        wanted = array(rows.typecode, (row,)).tobytes()
        at = self._bytes.find(wanted)
        while at >= 0 and at % rows.itemsize:
            at = self._bytes.find(wanted, at + 1)
        return None if at < 0 else at // rows.itemsize
