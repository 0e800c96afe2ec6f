"""Wishes to cancel runs: which of the runs that are about to begin nobody needs to ask about.

A run cannot be cancelled before it was queued. So who has heard of every wish since before a run
was queued knows without asking that there is none. Which came first is told by sequences of the
stream, never by clocks; and whether a wish that comes at the same moment or the claim was first is
decided by the fence of the state, which both write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tailrace.errors import TransportError
from tailrace.model.remote import CancelRequest, Job
from tailrace.ports import Delivery
from tailrace.worker.presence import BEAT
from tailrace.worker.transport import Transport

_MOST_HEARD = 10_000
Asked = asyncio.Task[dict[str, CancelRequest]]


class Wishes:
    """The wishes that were heard, and answers to questions after others.

    Args:
        transport: of the worker.
        tell: told of each wish; True: the run is here.
        keep: keeps a task until it is over.
    """

    def __init__(
        self,
        transport: Transport,
        tell: Callable[[str, CancelRequest], bool],
        keep: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self._transport = transport
        self._tell = tell
        self._keep = keep
        self._heard: set[str] = set()
        """Runs that are not here, of which a wish was heard."""
        self._since: int | None = None
        """Sequence of the stream from which on every wish was heard; None: it is not known."""
        self._connection = 0
        """The connection on which that holds."""
        self._is_looking = False
        self._forgotten = 0
        """Times that too much was heard to be remembered."""

    async def listen(self) -> None:
        """Hear of wishes from now on.

        Raises:
            TransportError: NATS refuses.
        """
        transport = self._transport
        await transport.reachability.insist(lambda: transport.states.on_cancel(self._hear))
        await self._look()

    def _hear(self, run_id: str, request: CancelRequest) -> None:
        if self._tell(run_id, request):
            return
        self._heard.add(run_id)
        if len(self._heard) > _MOST_HEARD:
            self._heard.clear()
            self._since = None
            self._forgotten += 1

    async def _look(self) -> None:
        """Find out how far the stream goes, now that wishes are heard."""
        connection, forgotten = self._transport.reachability.connection, self._forgotten
        self._is_looking = True
        try:
            with suppress(TransportError):
                newest = await self._transport.newest()
                if forgotten == self._forgotten:
                    self._since, self._connection = newest, connection
        finally:
            self._is_looking = False

    def rules_out(self, delivery: Delivery, job: Job) -> bool:
        """Whether it is certain that nobody wanted a run cancelled before it came here."""
        is_first = delivery.number == 1 and job.run_at is None
        if self._since is None or self._connection != self._transport.reachability.connection:
            if not self._is_looking:
                self._keep(asyncio.create_task(self._look()))
            return False
        return is_first and delivery.sequence > self._since and job.run_id not in self._heard

    def ask(self, run_ids: Sequence[str]) -> Asked:
        """Ask which of these runs are to be cancelled."""
        task = asyncio.create_task(self._asked(run_ids))
        self._keep(task)
        return task

    async def _asked(self, run_ids: Sequence[str]) -> dict[str, CancelRequest]:
        transport = self._transport
        return await transport.reachability.insist(lambda: transport.wishes(run_ids))

    async def look_again(self, runs: Callable[[], Sequence[str]]) -> None:
        """See for ever to wishes that were uttered while the connection was lost.

        Args:
            runs: returns the runs of which no wish was heard.
        """
        while True:
            await asyncio.sleep(BEAT)
            waiting = runs()
            if not waiting:
                continue
            try:
                wishes = await self._transport.wishes(waiting)
            except TransportError:
                continue
            for run_id, wish in wishes.items():
                self._tell(run_id, wish)
