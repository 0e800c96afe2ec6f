"""A state of a run on its way to JetStream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.model.remote import RunState
from tailrace.worker.journal import Entry


@dataclass(slots=True)
class Update:
    """A state that is to be stored, with the entries that it holds."""

    shown: RunState
    """As it was: it may be repeated, whatever is wished meanwhile."""
    inline: list[tuple[int, bytes]]
    added: Sequence[tuple[int, bytes]]
    before: int
    """Batches before."""
    began: float
    entries: Sequence[Entry] = ()
    ends: bool = False
