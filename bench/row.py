"""One line of the table: a measurement beside the raw limit it is held against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured, in ``unit``, and the raw limit in the same unit."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    """The raw limit, measured in the same run."""
    limit_name: str = ""
    most: float | None = None
    """The value must not be above this."""
    most_ratio: float | None = None
    """… nor its ratio to the limit above this; for rates both are lower bounds."""
    either: bool = False
    """True where one of the two aims is enough."""
    is_rate: bool = False
    """True where more is better."""

    @property
    def ratio(self) -> float | None:
        """How many times the raw limit; None without one."""
        return self.value / self.limit if self.limit else None

    @property
    def is_met(self) -> bool | None:
        """True when the aims are met; None when there are none."""
        pairs = ((self.value, self.most), (self.ratio, self.most_ratio))
        held = [
            value >= bound if self.is_rate else value <= bound
            for value, bound in pairs
            if value is not None and bound is not None
        ]
        if not held:
            return None
        return any(held) if self.either else all(held)


def medians(works: Sequence[Callable[[], object]], *, repeat: int) -> list[float]:
    """Return the median duration of each work in seconds: how long one waits for it."""
    return [median(taken) for taken in _durations(works, repeat)]


def least(works: Sequence[Callable[[], object]], *, repeat: int) -> list[float]:
    """Return the shortest duration of each work in seconds: what the code itself costs.

    What a repetition takes beyond that is what else the machine did meanwhile
    (https://docs.python.org/3/library/timeit.html#timeit.Timer.repeat).
    """
    return [min(taken) for taken in _durations(works, repeat)]


def _durations(works: Sequence[Callable[[], object]], repeat: int) -> list[list[float]]:
    """Time the works in turns, so that what else the machine does falls on all of them alike."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(repeat):
        for work, taken in zip(works, times, strict=True):
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
    return times
