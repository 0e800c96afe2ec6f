"""Columns of what many spans share: resources and instrumentation scopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from tailrace.store.segments.column import sorted_values
from tailrace.store.segments.grouping import grouped_values
from tailrace.traceql.block import Values

Read = Callable[[str], Mapping[str, Any]]


class Shared:
    """Attributes of bodies, as columns with a row for each span that has the body.

    Args:
        bodies: the texts, with the spans of each.
        read: gives the attributes that a text stands for.
    """

    def __init__(self, bodies: Values, read: Read) -> None:
        self._attributes = [read(str(body)) for body in bodies.values]
        self.bodies = bodies
        """The texts, with the spans of each."""

    def names(self) -> Sequence[str]:
        """Return all names, sorted."""
        return sorted({name for attributes in self._attributes for name in attributes})

    def column(self, name: str) -> list[Values]:
        """Return the values of one name by type."""
        return [self._spread(values) for values in self.by_body(name)]

    def by_body(self, name: str) -> list[Values]:
        """Return the same, with the numbers of bodies instead of spans."""
        having = [n for n, attributes in enumerate(self._attributes) if name in attributes]
        if not having:
            return []
        given = [self._attributes[number][name] for number in having]
        return sorted_values([(having, given)])

    def _spread(self, values: Values) -> Values:
        """Replace each body by its spans."""
        places: dict[Any, Sequence[int]] = {}
        for index, value in enumerate(values.values):
            bodies = values.rows[values.offsets[index] : values.offsets[index + 1]]
            places[value] = self._spans(bodies)
        nan = self._spans(values.nan)
        return grouped_values(values.type, places, nan, is_array=values.array)

    def _spans(self, bodies: Sequence[int]) -> Sequence[int]:
        known = self.bodies
        groups = [known.rows[known.offsets[n] : known.offsets[n + 1]] for n in bodies]
        return groups[0] if len(groups) == 1 else sorted(chain.from_iterable(groups))
