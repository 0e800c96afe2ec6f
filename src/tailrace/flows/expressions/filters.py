"""Which filters there are: ``value | name`` and ``value | name(argument)``."""

from __future__ import annotations

from collections.abc import Mapping

from tailrace.errors import ExpressionError
from tailrace.flows.findings import meant

TAKES: Mapping[str, tuple[int, int]] = {
    "default": (1, 1),
    "first": (0, 0),
    "join": (0, 1),
    "last": (0, 0),
    "length": (0, 0),
    "lower": (0, 0),
    "tojson": (0, 0),
    "upper": (0, 0),
}
"""Every filter, with the least and the most arguments it takes."""


def check_filter(name: str, count: int, column: int) -> None:
    """Refuse a filter that does not exist or does not take that many arguments.

    Raises:
        ExpressionError: with the filters that exist, or the arguments it takes.
    """
    if name not in TAKES:
        raise ExpressionError(
            f"there is no filter {name!r} (filters: {', '.join(TAKES)}){meant(name, TAKES)}",
            code="TR143",
            column=column,
            hint="Use one of these, or compute the value in a task.",
        )
    least, most = TAKES[name]
    if not least <= count <= most:
        takes = str(least) if least == most else f"{least} or {most}"
        raise ExpressionError(
            f"the filter {name!r} takes {takes} arguments, not {count}",
            code="TR143",
            column=column,
            hint=f"Write '| {name}(\"-\")'." if most else f"Write '| {name}' alone.",
        )
