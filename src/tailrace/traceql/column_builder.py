"""Values that come row by row, gathered into columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate, chain
from math import isnan
from typing import Any

from tailrace.traceql.block import Values
from tailrace.traceql.limits import MAX_INT, MIN_INT
from tailrace.traceql.tree import Type

Element = str | int | float | bool
_ORDER = {kind: place for place, kind in enumerate(Type)}


class ColumnBuilder:
    """Gathers the values of one attribute or intrinsic; rows come in ascending order."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Type, bool], dict[Any, list[int]]] = {}
        self._nan: dict[bool, list[int]] = {}

    def add(self, row: int, value: Any) -> None:
        """Add the value of a row as OpenTelemetry or JSON has it.

        None and an empty list are no value, a list of one element is that element. What is
        neither a text, a number, a boolean nor a list of these is kept as its JSON text.
        """
        if isinstance(value, list | tuple):
            array = len(value) > 1
            for element in dict.fromkeys(typed(one) for one in value):
                if element is not None:
                    self.add_typed(row, *element, array=array)
            return
        found = typed(value)
        if found is not None:
            self.add_typed(row, *found)

    def add_typed(self, row: int, kind: Type, value: Element, *, array: bool = False) -> None:
        """Add a value of a known type; of an array one element, each once."""
        known = self._rows.setdefault((kind, array), {})
        is_number = not (isinstance(value, float) and isnan(value))
        rows = known.setdefault(value, []) if is_number else self._nan.setdefault(array, [])
        if is_number or not rows or rows[-1] != row:
            rows.append(row)

    def finish(self) -> list[Values]:
        """Return the columns; the order of their types is always the same."""
        made: list[Values] = []
        for kind, array in sorted(self._rows, key=lambda key: (_ORDER[key[0]], key[1])):
            by_value = self._rows[kind, array]
            values: Sequence[Any] = sorted(by_value)
            rows = list(chain.from_iterable(by_value[value] for value in values))
            offsets = list(accumulate((len(by_value[value]) for value in values), initial=0))
            nan = self._nan.get(array, ()) if kind is Type.FLOAT else ()
            made.append(Values(kind, array, values, offsets, rows, nan))
        return made


def typed(value: Any) -> tuple[Type, Element] | None:
    """Return the type and value of one value as it is stored; None is no value.

    An integer beyond 64 bits becomes a float.
    """
    match value:
        case None:
            return None
        case bool():
            return Type.BOOL, bool(value)
        case int():
            if MIN_INT <= value <= MAX_INT:
                return Type.INT, int(value)
            try:
                return Type.FLOAT, float(value)
            except OverflowError:
                return Type.FLOAT, float("inf") if value > 0 else float("-inf")
        case float():
            return Type.FLOAT, float(value)
        case str():
            return Type.STRING, str(value)
        case _:
            return Type.STRING, json.dumps(value, ensure_ascii=False, default=str)
