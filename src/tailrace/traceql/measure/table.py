"""What is counted, by group and step, with a bound on the groups."""

from __future__ import annotations

from typing import Generic, TypeVar

from tailrace.traceql.measure.columns import Cell

Group = tuple[Cell, ...]
"""The values of the fields that metrics are grouped by."""
T = TypeVar("T")


class Table(Generic[T]):
    """Cells of groups. Groups over the limit are not kept, and ``is_full`` then says so."""

    def __init__(self, limit: int) -> None:
        self.groups: dict[Group, dict[int, T]] = {}
        self.is_full = False
        self._limit = limit

    def row(self, group: Group) -> dict[int, T] | None:
        """Return the cells of a group by step; None: there are too many groups."""
        found = self.groups.get(group)
        if found is None:
            if len(self.groups) >= self._limit:
                self.is_full = True
                return None
            found = self.groups[group] = {}
        return found
