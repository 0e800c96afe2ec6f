"""What messages tell of the journals of runs, by run."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from tailrace.model.remote import RunState
from tailrace.store.remote.listed import TERMINAL
from tailrace.store.remote.messages import Batch, Message, Stands


class Piece(Struct, gc=False):
    """Batches of one run's journal, and how it ended."""

    run_id: str
    batches: dict[int, bytes] = field(default_factory=dict)
    ended: RunState | None = None
    """Its terminal state; None: it goes on, as far as is told."""
    at: int = 0
    """When it ended, by the server's clock; microseconds since the epoch."""
    is_whole: bool = False
    """Whether these are all batches that exist: those that are missing will not come."""

    @property
    def is_complete(self) -> bool:
        """Whether it holds every batch of a run that is over."""
        count = len(self.batches)
        if self.ended is None or self.ended.batches != count:
            return False
        return max(self.batches, default=0) == count  # they are numbered from 1

    def take(self, state: RunState, at: int) -> None:
        """Add what a state tells."""
        first = state.batches - len(state.journal) + 1
        for number, body in enumerate(state.journal, first):
            self.batches[number] = body
        if state.status in TERMINAL:
            self.ended, self.at = state, at


def pieces_of(messages: Iterable[Message]) -> list[Piece]:
    """Return what messages tell of journals; runs that wait tell nothing."""
    found: dict[str, Piece] = {}
    for message in messages:
        if isinstance(message, Stands):
            run_id = message.run_id
            piece = found.get(run_id)
            if piece is None:
                piece = found[run_id] = Piece(run_id)
            piece.take(message.state, message.at)
        elif isinstance(message, Batch):
            piece = found.get(message.run_id)
            if piece is None:
                piece = found[message.run_id] = Piece(message.run_id)
            piece.batches[message.number] = message.body
    return list(found.values())
