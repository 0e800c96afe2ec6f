"""Labels of series: how they are told apart, ordered and written."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tailrace.model.search import Value
from tailrace.traceql.names import INTRINSIC_TYPES
from tailrace.traceql.numerals import write_duration
from tailrace.traceql.tree import Type

NAME = "__name__"
Labels = Mapping[str, Value | None]
Identity = frozenset[tuple[str, bool, Value | None]]
_DURATIONS = frozenset(n.value for n, kind in INTRINSIC_TYPES.items() if kind is Type.DURATION)
_LARGEST_PLAIN = 1e21


def series_name(labels: Labels) -> str:
    """Return ``{name="x", p="0.9"}``: labels in the order of their names, all values quoted.

    A missing value is ``<nil>``, an empty text ``<empty>``; durations are written as in queries.
    """
    pairs = (f"{name}={_quoted(_text(name, labels[name]))}" for name in sorted(labels))
    return f"{{{', '.join(pairs)}}}"


def identity(labels: Labels) -> Identity:
    """Return what two series have in common that calculate with one another: all but the name.

    Integers and floats are the same where they are equal; true is not 1.
    """
    return frozenset(
        (name, isinstance(value, bool), value) for name, value in labels.items() if name != NAME
    )


def label_order(labels: Labels) -> tuple[tuple[str, int, float, str], ...]:
    """Return a key that sorts series by their labels, numbers as numbers."""
    return tuple((name, *value_order(value)) for name, value in sorted(labels.items(), key=_first))


def value_order(value: Value | None) -> tuple[int, float, str]:
    """Return a key that sorts values: nil, booleans, numbers, texts."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, str):
        return (3, 0.0, value)
    if isinstance(value, bool):
        return (1, float(value), "")
    return (2, -math.inf if value != value else float(value), "")  # noqa: PLR0124 - NaN


def write_float(value: float) -> str:
    """Return a number without more digits than it needs: ``100``, ``0.5``, ``NaN``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if float(value).is_integer() and abs(value) < _LARGEST_PLAIN:
        return str(int(value))
    return repr(value)


def _first(pair: tuple[str, Value | None]) -> str:
    return pair[0]


def _text(name: str, value: Value | None) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, str):
        return value or "<empty>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if name in _DURATIONS and isinstance(value, int):
        return ("-" if value < 0 else "") + write_duration(abs(value))
    return write_float(value) if isinstance(value, float) else str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
