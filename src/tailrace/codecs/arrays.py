"""Arrays and scalars of numpy, in numpy's own file format; arrays of objects value by value."""

from __future__ import annotations

import sys
from binascii import a2b_base64, b2a_base64
from io import BytesIO
from typing import Any

from tailrace.codecs.families import Family
from tailrace.codecs.types import NotThisValue


def array_family(kind: type) -> Family | None:
    """Return the family of a class of numpy; None for those that have none."""
    numpy: Any = sys.modules["numpy"]
    if kind is numpy.ndarray or issubclass(kind, numpy.generic):
        return ARRAYS
    return None


def _to_data(value: Any) -> tuple[str, Any]:
    numpy: Any = sys.modules["numpy"]
    is_array = type(value) is numpy.ndarray
    array = value if is_array else numpy.asarray(value)
    if array.dtype.hasobject:
        if array.dtype != object or not is_array:
            raise NotThisValue("with objects inside its records, which no codec knows")
        return "objects", [list(array.shape), array.ravel().tolist()]
    buffer = BytesIO()
    numpy.save(buffer, array, allow_pickle=False)
    body = b2a_base64(buffer.getvalue(), newline=False).decode("ascii")
    return "array" if is_array else "scalar", body


def _from_data(layout: str, data: Any) -> Any:
    import numpy  # type: ignore[import-not-found,unused-ignore] # noqa: ICN001,PLC0415 - where one is

    if layout == "objects":
        shape, values = data
        array = numpy.empty(len(values), dtype=object)
        for index, value in enumerate(values):  # a slice would take nested lists apart
            array[index] = value
        return array.reshape(shape)
    array = numpy.load(BytesIO(a2b_base64(data)), allow_pickle=False)
    return array if layout == "array" else array[()]


ARRAYS = Family("numpy", _to_data, _from_data)
