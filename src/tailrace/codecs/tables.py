"""Tables, columns and indexes of pandas, column by column; checked to come back equal.

What pandas offers beyond that (subclasses, attributes of a frame, indexes with a frequency that
cannot be named) is left out of what codecs know rather than being stored nearly right.
"""

from __future__ import annotations

import sys
from typing import Any

from tailrace.codecs.families import Family
from tailrace.codecs.types import NotThisValue

_SCALARS = ("Timestamp", "Timedelta", "NaTType", "NAType")
_TABLES = ("DataFrame", "Series")
_INDEXES = ("RangeIndex", "MultiIndex", "DatetimeIndex", "Index")


def table_family(kind: type) -> Family | None:
    """Return the family of a class of pandas; None for those that have none."""
    return TABLES if kind.__name__ in (*_SCALARS, *_TABLES, *_INDEXES) else None


def _to_data(value: Any) -> tuple[str, Any]:
    layout = type(value).__name__
    if getattr(value, "attrs", None):
        raise NotThisValue("with attributes, which no codec knows")
    data = _data(value, layout)
    if layout not in _SCALARS and not _is_same(_from_data(layout, data), value, layout):
        raise NotThisValue("that its parts do not make up again")
    return layout, data


def _data(value: Any, layout: str) -> Any:
    match layout:
        case "DataFrame":
            columns = [_column(value.iloc[:, number]) for number in range(value.shape[1])]
            return [value.columns, value.index, columns]
        case "Series":
            return [value.name, value.index, _column(value)]
        case "RangeIndex":
            return [value.name, value.start, value.stop, value.step]
        case "MultiIndex":
            return [list(value.names), value.tolist()]
        case "DatetimeIndex":
            return [value.name, value.freqstr, _column(value)]
        case "Index":
            return [value.name, _column(value)]
        case "Timestamp":
            return [value.value, value.unit, None if value.tz is None else str(value.tz)]
        case "Timedelta":
            return [value.value, value.unit]
        case _:
            return None


def _from_data(layout: str, data: Any) -> Any:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: PLC0415 - where one is

    match layout:
        case "DataFrame":
            columns, index, values = data
            made = {number: _values(column) for number, column in enumerate(values)}
            frame = pd.DataFrame(made, index=index, copy=False)
            frame.columns = columns
            return frame
        case "Series":
            name, index, values = data
            return pd.Series(_values(values), index=index, name=name)
        case "RangeIndex":
            name, start, stop, step = data
            return pd.RangeIndex(start, stop, step, name=name)
        case "MultiIndex":
            names, tuples = data
            return pd.MultiIndex.from_tuples(tuples, names=names)
        case "DatetimeIndex":
            name, frequency, values = data
            return pd.DatetimeIndex(_values(values), freq=frequency, name=name)
        case "Index":
            name, values = data
            return pd.Index(_values(values), name=name, dtype=_dtype(values))
        case "Timestamp":
            value, unit, zone = data
            made = pd.Timestamp(value, unit="ns", tz="UTC").as_unit(unit)
            return made.tz_convert(zone)
        case "Timedelta":
            value, unit = data
            return pd.Timedelta(value, unit="ns").as_unit(unit)
        case _:
            return pd.NaT if layout == "NaTType" else pd.NA


def _column(column: Any) -> list[Any]:
    """Return values with the name of their type: a numpy array where there is one behind them."""
    kind = column.dtype
    if getattr(kind, "name", "") == "category":
        values = column.array
        return ["category", [values.codes.copy(), values.categories, bool(values.ordered)]]
    if hasattr(kind, "hasobject"):  # a type of numpy's own
        return ["numpy", column.to_numpy()]
    return [str(kind), list(column.array)]


def _values(column: list[Any]) -> Any:
    import pandas as pd  # noqa: PLC0415 - as above

    kind, values = column
    if kind == "numpy":
        return values
    if kind == "category":
        codes, categories, is_ordered = values
        return pd.Categorical.from_codes(codes, categories=categories, ordered=is_ordered)
    return pd.array(values, dtype=kind)


def _dtype(column: list[Any]) -> Any:
    kind, values = column
    return values.dtype if kind == "numpy" else None


def _is_same(made: Any, value: Any, layout: str) -> bool:
    """Return whether nothing was lost: values, their types, names and indexes."""
    testing: Any = sys.modules["pandas"].testing
    check = {"DataFrame": testing.assert_frame_equal, "Series": testing.assert_series_equal}.get(
        layout, testing.assert_index_equal
    )
    try:
        check(made, value, check_exact=True)
    except AssertionError:
        return False
    return bool(type(made) is type(value))


TABLES = Family("pandas", _to_data, _from_data)
