"""Whom the writer of a run deals with."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tailrace.errors import Conflict, TransportError
from tailrace.model.journal import AnyRecord, RunFinished
from tailrace.model.remote import RunState

if TYPE_CHECKING:
    from tailrace.worker.writer import RunWriter


class Reachability(Protocol):
    """Whether NATS answers."""

    async def wait(self) -> None:
        """Return when it is worth while to try again."""
        ...


class Spool(Protocol):
    """Keeps on disk what NATS cannot take at the moment."""

    def keep(self, run_id: str, number: int, batch: bytes, claim: int) -> None:
        """Write a batch; one that is there already stays."""
        ...

    def drop(self, run_id: str) -> None:
        """Forget the batches of a run: JetStream has them, or nobody wants them."""
        ...


class Gate(Protocol):
    """Says before the claim whether a run may begin."""

    def is_open(self) -> bool:
        """Whether it is known by now that it may."""
        ...

    def tell(self, known: Callable[[], None]) -> bool:
        """Have somebody called once that is known; False: it is."""
        ...

    def __await__(self) -> Generator[Any, None, bool]:
        """Return whether it may."""
        ...


class Watcher(Protocol):
    """Told what becomes of a run, on the loop that talks to NATS."""

    def see(self, records: Sequence[AnyRecord]) -> None:
        """Records are about to be written."""
        ...

    def before_end(self, state: RunState, end: RunFinished) -> None:
        """The state is about to be written for the last time."""
        ...

    def ended_soon(self) -> bool:
        """The last state is stored; False: that takes time, ``ended`` is to be awaited."""
        ...

    async def ended(self, writer: RunWriter) -> None:
        """The last state is stored."""
        ...

    def refused(self, writer: RunWriter, error: TransportError) -> None:
        """Something will never be stored: end the run by that."""
        ...

    async def given_up(self, writer: RunWriter, error: TransportError) -> None:
        """Not even the end of the run can be stored."""
        ...

    def lost(self, writer: RunWriter, error: Conflict) -> None:
        """Somebody else has the run."""
        ...


class _Nobody:
    """Watches a run that is settled."""

    def see(self, records: Sequence[AnyRecord]) -> None:
        """See nothing."""

    def before_end(self, state: RunState, end: RunFinished) -> None:
        """Say nothing."""

    def ended_soon(self) -> bool:
        """Have nothing left to do."""
        return True

    async def ended(self, writer: RunWriter) -> None:
        """Do nothing."""

    def refused(self, writer: RunWriter, error: TransportError) -> None:
        """Do nothing."""

    async def given_up(self, writer: RunWriter, error: TransportError) -> None:
        """Do nothing."""

    def lost(self, writer: RunWriter, error: Conflict) -> None:
        """Do nothing."""


NOBODY: Watcher = _Nobody()
