"""Runs that this gateway has queued and the stream has not told of yet."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

from tailrace.model.remote import Job

_PATIENCE = 30.0
"""Seconds after which a run is no longer shown that the stream does not tell of."""
_MOST = 20_000


class Overlay:
    """Makes a run visible at once to who has submitted it. One event loop uses it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, tuple[float, Job]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Show a run from now on."""
        self._jobs[job.run_id] = (time.monotonic(), job)
        if len(self._jobs) > _MOST:
            self._jobs.popitem(last=False)

    def confirm(self, run_ids: Iterable[str]) -> None:
        """Leave runs to the index, which has them now."""
        if self._jobs:
            for run_id in run_ids:
                self._jobs.pop(run_id, None)

    def newest_first(self) -> list[Job]:
        """Return the runs, the newest first."""
        oldest = time.monotonic() - _PATIENCE
        while self._jobs:
            since, job = next(iter(self._jobs.values()))
            if since >= oldest:
                break
            del self._jobs[job.run_id]
        return [job for _, job in reversed(self._jobs.values())]
