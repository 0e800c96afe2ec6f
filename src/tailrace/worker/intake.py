"""Runs that were taken and wait for an engine: few, and only where runs are short.

Taking several at once costs the queue and this process a fraction of taking each. What has to wait
for longer than a moment after all is given back, for others to take.
"""

from __future__ import annotations

import time
from asyncio import Task
from collections import OrderedDict
from dataclasses import dataclass

from tailrace.model.remote import CancelRequest, Job
from tailrace.ports import Delivery

_SHORT = 0.05
"""Seconds that runs may take for others to be taken ahead of time."""
_LONG = 1.0
_MOST = 64
_PER_ENGINE = 16
_PATIENCE = 1.0
"""Seconds that a run may wait here."""
_WEIGHT = 0.1
"""Of the newest run in the average."""


@dataclass(slots=True)
class Taken:
    """A run that waits here."""

    delivery: Delivery
    job: Job
    wishes: Task[dict[str, CancelRequest]] | None
    """Says which of the runs taken with it are to be cancelled; None: it is known not to be."""
    at: float
    wish: CancelRequest | None = None
    """Heard since."""


class Intake:
    """The runs that wait, oldest first."""

    def __init__(self, concurrency: int) -> None:
        self._most = min(_MOST, _PER_ENGINE * concurrency)
        self._average = 2 * _SHORT
        self._waiting: OrderedDict[str, Taken] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def saw(self, seconds: float) -> None:
        """Take in how long a run has taken."""
        self._average += _WEIGHT * (min(seconds, _LONG) - self._average)

    def expect_long(self) -> None:
        """Take nothing ahead of time until runs are short again."""
        self._average = _LONG

    @property
    def are_short(self) -> bool:
        """Whether runs end so soon that others may begin before there is a thread for them."""
        return self._average < _SHORT

    def wanted(self, free: int) -> int:
        """Return how many runs to take now, with so many engines free."""
        ahead = self._most if self.are_short else 0
        if free <= 0 and len(self._waiting) > ahead // 2:
            return 0
        return max(0, free + ahead - len(self._waiting))

    def find(self, run_id: str) -> Taken | None:
        """Return a run that waits."""
        return self._waiting.get(run_id)

    def put(self, taken: Taken) -> None:
        """Have a run wait."""
        self._waiting[taken.job.run_id] = taken

    def next(self) -> Taken | None:
        """Return the run that waits longest, which waits no more; None: there is none."""
        return self._waiting.popitem(last=False)[1] if self._waiting else None

    def overdue(self) -> list[Taken]:
        """Return all that waits when the oldest has waited too long; nothing is taken ahead now."""
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None or time.monotonic() - oldest.at < _PATIENCE:
            return []
        self.expect_long()
        return self.all()

    def all(self) -> list[Taken]:
        """Return all that waits, which waits no more."""
        found = list(self._waiting.values())
        self._waiting.clear()
        return found
