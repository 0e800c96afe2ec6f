"""News of runs that may be over in a moment: one trace at once costs a third of one in pieces."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tailrace.store.remote import Batch, Message, Stands
from tailrace.store.remote.listed import TERMINAL

_PATIENCE = 0.2
"""Seconds for which news of a run that goes on are held back from its trace."""
_MOST = 5_000
"""Runs held back at once."""


@dataclass(slots=True)
class _Run:
    due: float
    first: int
    """Number of its first message."""
    messages: list[Message] = field(default_factory=list)


class HeldNews:
    """Messages that wait for the end of their run, or for a short time."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def take(self, messages: Iterable[Message]) -> list[Message]:
        """Take messages, and return those whose traces are to be made now."""
        due = time.monotonic() + _PATIENCE
        ready: list[Message] = []
        for message in messages:
            if isinstance(message, Stands) and message.state.status in TERMINAL:
                known = self._runs.pop(message.run_id, None)
                ready += [*known.messages, message] if known is not None else [message]
            elif isinstance(message, Stands | Batch):
                run = self._runs.get(message.run_id)
                if run is None:
                    run = self._runs[message.run_id] = _Run(due, message.sequence)
                run.messages.append(message)
        return ready + self.due()

    def due(self) -> list[Message]:
        """Return those that have waited long enough, or are too many."""
        now, ready = time.monotonic(), list[Message]()
        while self._runs:
            run_id, run = next(iter(self._runs.items()))
            if run.due > now and len(self._runs) <= _MOST:
                break
            ready += run.messages
            del self._runs[run_id]
        return ready

    def before(self, sequence: int) -> int:
        """Return up to which message nothing is held, where all are known up to a sequence."""
        first = min((run.first for run in self._runs.values()), default=sequence + 1)
        return min(first - 1, sequence)

    def clear(self) -> None:
        """Forget what is held: it is read again."""
        self._runs.clear()
