"""Conditions on one field, answered by the rows that are kept under each value."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, cast

from tailrace.traceql.block import Owner, Values
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Regex
from tailrace.traceql.evaluate.fields import (
    OF_TRACE,
    STORED,
    Fields,
    Single,
    home_of,
)
from tailrace.traceql.evaluate.picked import Picked
from tailrace.traceql.evaluate.reckon import COMPARE, TYPE_CLASSES, class_of
from tailrace.traceql.matcher import matcher, prefix
from tailrace.traceql.tree import Attribute, BinaryOp, Field, Intrinsic, IntrinsicName, Scope, Type

Holds = Callable[[Any], bool]
_EQUALITY = frozenset({BinaryOp.EQ, BinaryOp.NE})
_DURATION = Intrinsic(IntrinsicName.DURATION)
_SPARSE = 4
"""Up to one row in so many, looking at each is quicker than at all of them at once."""


class Leaves:
    """Conditions on one field of a block; results are rows of the field's home."""

    def __init__(self, fields: Fields, budget: Budget) -> None:
        self._fields = fields
        self._budget = budget

    def compared(self, field: Field, op: BinaryOp, value: Single, within: Picked) -> Picked:
        """Return the rows for which ``field op value`` holds.

        Args:
            field: an attribute or intrinsic.
            op: one of ``= != < <= > >=``.
            value: what it is compared with.
            within: rows that are asked for; more may be returned where that is cheaper.
        """
        if op not in _EQUALITY and value.__class__ is bool:
            return Picked.none(within.size)
        if field == _DURATION and op is not BinaryOp.NE and len(within) * _SPARSE > within.size:
            found = self._lasting(op, value)
            if found is not None:
                return self._counted(found)
        compare = COMPARE[op]
        return self._where(
            field,
            lambda columns, size: _compared(columns, op, value, size),
            class_of(value),
            lambda held: compare(held, value),
            within,
            (compare, value),
        )

    def _lasting(self, op: BinaryOp, value: Single) -> Picked | None:
        """Return the spans for whose durations ``op value`` holds; None: looking at all is quicker.

        Args:
            op: any of those for numbers but ``!=``.
            value: what durations are compared with.
        """
        block, size = self._fields.block, self._fields.size
        durations, order = block.durations, block.by_duration
        if class_of(value) != "number" or value != value:  # noqa: PLR0124 - NaN
            return None
        low, high = _range(order, op, value, durations.__getitem__)
        if (high - low) * _SPARSE <= size:
            return Picked.of(size, order[low:high])
        if (size - high + low) * _SPARSE > size:
            return None
        others = Picked.of(size, [*order[:low], *order[high:]])
        return Picked.all(size) - others

    def boolean(self, field: Field, *, value: bool) -> Picked:
        """Return the rows where the field is this boolean, and no array."""

        def held(columns: Sequence[Values], size: int) -> Picked:
            single = [column for column in columns if not column.array]
            return _compared(single, BinaryOp.EQ, value, size)

        none = Picked.none(self._fields.count(home_of(field)))
        return self._where(field, held, "truth", lambda held: held is value, none, None)

    def matched(self, field: Field, regex: Regex, within: Picked, *, negated: bool) -> Picked:
        """Return the rows of texts that match; negated: of which no text matches."""
        holds = matcher(regex, self._budget)
        begin = prefix(regex)

        def found(columns: Sequence[Values], size: int) -> Picked:
            texts = [column for column in columns if column.type is Type.STRING]
            hits = Picked.none(size)
            for column in texts:
                values = cast("Sequence[str]", column.values)
                low, high = _beginning(values, begin)
                self._budget.spend(high - low)
                # The rest of the texts need not be unpacked where only some may match.
                some = (
                    values
                    if high - low == len(values)
                    else map(values.__getitem__, range(low, high))
                )
                chosen = [place for place, text in enumerate(some, low) if holds(text)]
                hits |= _chosen(column, chosen, size)
            return _present(texts, size) - hits if negated else hits

        return self._where(
            field, found, "text", lambda held: holds(held) is not negated, within, None
        )

    def present(self, field: Field) -> Picked:
        """Return the rows that have the field."""
        size = self._fields.count(home_of(field))
        if isinstance(field, Intrinsic):
            if field.name is IntrinsicName.SPAN_PARENT_ID:
                rows = [row for row, parent in enumerate(self._fields.block.parent_ids) if parent]
                return Picked.of(size, rows)
            return Picked.all(size)
        if field.scope is not Scope.ANY:
            return _present(self._fields.columns(field), size)
        block = self._fields.block
        own = _present(block.column(Owner.SPAN, field.name), size)
        return own | _present(block.column(Owner.RESOURCE, field.name), size)

    def _where(
        self,
        field: Field,
        by_columns: Callable[[Sequence[Values], int], Picked],
        kind: str,
        holds: Holds,
        within: Picked,
        operation: tuple[Holds, Single] | tuple[Callable[[Any, Any], bool], Single] | None,
    ) -> Picked:
        """Return the rows of a field for which a condition on single values holds.

        Args:
            field: an attribute or intrinsic.
            by_columns: the condition on columns.
            kind: class of the values that can meet it.
            holds: the condition on one value of that class.
            within: rows that are asked for.
            operation: the condition as a function of two values and the second of them.
        """
        fields = self._fields
        size = fields.count(home_of(field))
        self._budget.spend(0)
        if isinstance(field, Attribute):
            if field.scope is not Scope.ANY:
                return self._counted(by_columns(fields.columns(field), size))
            return self._unscoped(field.name, by_columns, size)
        if field.name in STORED:
            columns = fields.columns(field)
            found = by_columns(columns, size)
            absent = STORED[field.name]
            if absent is not None and kind == "text" and holds(absent):
                found |= Picked.all(size) - _present(columns, size)
            return self._counted(found)
        if field.name in OF_TRACE:
            return self._of_traces(field.name, kind, holds)
        return self._counted(self._dense(field, kind, holds, within, operation))

    def _counted(self, picked: Picked) -> Picked:
        self._budget.spend(len(picked))
        return picked

    def _unscoped(
        self, name: str, by_columns: Callable[[Sequence[Values], int], Picked], size: int
    ) -> Picked:
        block = self._fields.block
        own = block.column(Owner.SPAN, name)
        other = block.column(Owner.RESOURCE, name)
        found = by_columns(own, size)
        if other:
            inherited = by_columns(other, size)
            found |= inherited - _present(own, size) if own else inherited
        return self._counted(found)

    def _of_traces(self, name: IntrinsicName, kind: str, holds: Holds) -> Picked:
        fields = self._fields
        heads = fields.of_traces(name)
        self._budget.spend(len(heads))
        if not heads or class_of(heads[0]) != kind:
            return Picked.none(fields.size)
        hits = [trace for trace, value in enumerate(heads) if holds(value)]
        if len(hits) == len(heads):
            return Picked.all(fields.size)
        firsts = fields.block.firsts
        if len(hits) == 1:
            return Picked(fields.size, rows=_rows_of_trace(firsts, hits[0], fields.size))
        mask = bytearray(fields.size)
        for trace in hits:
            rows = _rows_of_trace(firsts, trace, fields.size)
            mask[rows.start : rows.stop] = b"\1" * len(rows)
        return Picked(fields.size, mask=mask)

    def _dense(
        self,
        field: Intrinsic,
        kind: str,
        holds: Holds,
        within: Picked,
        operation: tuple[Callable[..., bool], Single] | None,
    ) -> Picked:
        fields = self._fields
        if field.name is IntrinsicName.NESTED_SET_PARENT and operation is not None:
            roots = self._roots(kind, operation)
            if roots is not None:
                return roots
        values = fields.values(field)
        size = len(values)
        if not size or kind != _kind_of(field):
            return Picked.none(size)
        if field.name is IntrinsicName.SPAN_PARENT_ID:
            hits = [row for row in within.rows if values[row] is not None and holds(values[row])]
            return Picked(size, rows=hits)
        if operation is not None and len(within) * _SPARSE > size:
            return Picked(size, mask=bytes(map(operation[0], values, repeat(operation[1]))))
        return Picked(size, rows=[row for row in within.rows if holds(values[row])])

    def _roots(self, kind: str, operation: tuple[Callable[..., bool], Single]) -> Picked | None:
        """Return the spans for a comparison of ``nestedSetParent`` that is about roots alone."""
        compare, value = operation
        if kind != "number" or isinstance(value, str) or not value < 1:
            return None
        fields = self._fields
        size = fields.size
        unplaced = Picked.of(size, list(fields.nested.unplaced))
        no_parent = [row for row, parent in enumerate(fields.block.parents) if parent < 0]
        roots = Picked.of(size, no_parent) - unplaced
        found = Picked.none(size)
        if compare(-1, value):
            found |= roots
        if compare(0, value):
            found |= unplaced
        if compare(1, value):
            found |= Picked.all(size) - roots - unplaced
        return found


def _kind_of(field: Intrinsic) -> str:
    ids = (IntrinsicName.SPAN_ID, IntrinsicName.SPAN_PARENT_ID)
    return "text" if field.name in ids else "number"


def _rows_of_trace(firsts: Sequence[int], trace: int, size: int) -> range:
    return range(firsts[trace], firsts[trace + 1] if trace + 1 < len(firsts) else size)


def _compared(columns: Sequence[Values], op: BinaryOp, value: Single, size: int) -> Picked:
    kind = class_of(value)
    fitting = [column for column in columns if TYPE_CLASSES[column.type] == kind]
    if op is BinaryOp.NE:
        return _present(fitting, size) - _compared(fitting, BinaryOp.EQ, value, size)
    found = Picked.none(size)
    for column in fitting:
        low, high = _range(column.values, op, value)
        if low < high:
            found |= _slice(column, low, high, size)
    return found


def _range(
    values: Sequence[Any], op: BinaryOp, value: Any, key: Callable[[Any], Any] | None = None
) -> tuple[int, int]:
    """Return from where to where ``op value`` holds in what ascends, by its key if there is one."""
    match op:
        case BinaryOp.EQ:
            return bisect_left(values, value, key=key), bisect_right(values, value, key=key)
        case BinaryOp.LT:
            return 0, bisect_left(values, value, key=key)
        case BinaryOp.LE:
            return 0, bisect_right(values, value, key=key)
        case BinaryOp.GT:
            return bisect_right(values, value, key=key), len(values)
        case _:
            return bisect_left(values, value, key=key), len(values)


def _slice(column: Values, low: int, high: int, size: int) -> Picked:
    rows = column.rows[column.offsets[low] : column.offsets[high]]
    if high - low == 1:
        return Picked(size, rows=rows)
    if not column.array and len(rows) == size:
        return Picked.all(size)
    return Picked.of(size, rows)


def _beginning(values: Sequence[str], begin: str) -> tuple[int, int]:
    """Return from where to where in ascending texts they begin with one."""
    if not begin:
        return 0, len(values)
    return bisect_left(values, begin), bisect_right(
        values, begin, key=lambda text: text[: len(begin)]
    )


def _chosen(column: Values, hits: list[int], size: int) -> Picked:
    """Return the rows of the values at some places, which ascend."""
    if not hits:
        return Picked.none(size)
    if hits[-1] - hits[0] + 1 == len(hits):
        return _slice(column, hits[0], hits[-1] + 1, size)
    rows: list[int] = []
    for place in hits:
        rows.extend(column.rows[column.offsets[place] : column.offsets[place + 1]])
    return Picked.of(size, rows)


def _present(columns: Sequence[Values], size: int) -> Picked:
    found = Picked.none(size)
    for column in columns:
        found |= _slice(column, 0, len(column.values), size)
        if column.nan:
            found |= Picked(size, rows=column.nan)
    return found
