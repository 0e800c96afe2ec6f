"""Series while they are calculated with."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.model.search import Exemplar, Value

Point = float | None


@dataclass(slots=True)
class Line:
    """Points of one set of labels, one per step; None is no point."""

    labels: dict[str, Value | None]
    values: list[Point]
    exemplars: list[tuple[int, Exemplar]] = field(default_factory=list)
    """Each with the number of its step."""
    is_note: bool = False
    """Whether it says something without points, and is kept without any."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is left to tell."""
        return not self.is_note and all(value is None for value in self.values)

    def masked(self, kept: list[Point]) -> Line:
        """Return the same series with other points, and the exemplars of those that are left."""
        exemplars = [pair for pair in self.exemplars if kept[pair[0]] is not None]
        return Line(self.labels, kept, exemplars, self.is_note)
