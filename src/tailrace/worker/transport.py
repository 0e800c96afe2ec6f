"""What a worker needs of NATS, and how it gets there."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tailrace.errors import Conflict, TransportError
from tailrace.jetstream.access import address_of, limits_of, names_of
from tailrace.jetstream.answers import Unreachable
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.queue import JetStreamQueue
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.resources import ensure
from tailrace.jetstream.states import JetStreamStates
from tailrace.model.failure import FailureSnapshot
from tailrace.model.letter import DeadLetter
from tailrace.model.remote import CancelRequest, StoredLetter, WorkerRecord, decode_cancel
from tailrace.ports import CancelRequests, RunStates, WorkQueue
from tailrace.settings import NatsSettings

T = TypeVar("T")
_log = logging.getLogger("tailrace.worker")
_PAUSE = 0.2
_MOST_FLAGS = 500
"""Wishes that are asked for at once."""


class States(RunStates, CancelRequests, Protocol):
    """States of runs, and the wishes to cancel them."""


class Letters(Protocol):
    """Where dead letters go."""

    async def put(self, letter: StoredLetter) -> bool:
        """Store a letter; False: it is there already."""
        ...

    async def settle(
        self,
        letter: DeadLetter,
        outcome: str,
        *,
        failure: FailureSnapshot | None,
        run_id: str = "",
    ) -> Any:
        """End a redrive of a letter."""
        ...


class Registry(Protocol):
    """Where workers say that they are there."""

    async def put_worker(self, record: WorkerRecord) -> int:
        """Store a worker's record."""
        ...

    async def worker(self, worker_id: str) -> WorkerRecord | None:
        """Return a worker's record."""
        ...


class Reachability:
    """Whether NATS answers; waits for it with a little patience."""

    def __init__(self) -> None:
        self._up = asyncio.Event()

    def changed(self, up: bool) -> None:  # noqa: FBT001 - a listener's signature
        """Take in that the connection stands, or is lost."""
        if up:
            self._up.set()
        else:
            self._up.clear()

    async def wait(self) -> None:
        """Return when it is worth while to try again."""
        await asyncio.sleep(_PAUSE * (0.5 + random.random()))  # noqa: S311 - not a secret
        await self._up.wait()

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until NATS has answered.

        Raises:
            Conflict: somebody else wrote first.
        """
        while True:
            try:
                return await call()
            except Conflict:
                raise
            except TransportError:
                await self.wait()


@dataclass(slots=True, kw_only=True)
class Transport:
    """The parts."""

    queue: WorkQueue
    states: States
    letters: Letters
    registry: Registry
    reachability: Reachability
    wishes: Callable[[Sequence[str]], Awaitable[dict[str, CancelRequest]]]
    """Returns which of these runs are to be cancelled."""
    close: Callable[[], Awaitable[None]]
    stop_taking: Callable[[], Awaitable[None]]
    ack_wait: Callable[[], float]
    """Returns the seconds after which a delivery is made again, as they are in force."""


async def connect(settings: NatsSettings, *, name: str) -> Transport:
    """Return the parts once NATS answers; tries for ever, and says so once.

    Raises:
        TransportError: TR404, the server cannot do what is needed; TR405, a newer Tailrace made
            the streams.
    """
    link = Link(address_of(settings, name=name), timeout=settings.timeout)
    names, limits = names_of(settings), limits_of(settings)
    reachability = Reachability()
    link.listen(reachability.changed)
    has_said = False
    while True:
        try:
            await link.open(wait=2)
            differences = await ensure(link, names, limits)
            break
        except Unreachable as error:
            if not has_said:
                _log.warning("%s; trying again until one does", error)
                has_said = True
            await link.close()
            await asyncio.sleep(_PAUSE)
    for difference in differences:
        _log.warning("the streams are not as the settings say: %s", difference)
    queue = JetStreamQueue(link, names, limits)
    return Transport(
        queue=queue,
        states=JetStreamStates(link, names, limits),
        letters=JetStreamLetters(link, names),
        registry=JetStreamRegistry(link, names),
        reachability=reachability,
        wishes=_Wishes(link, names).of,
        close=link.close,
        stop_taking=queue.close,
        ack_wait=lambda: queue.ack_wait,
    )


class _Wishes:
    """The flags of runs that are to be cancelled, many at once."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names

    async def of(self, run_ids: Sequence[str]) -> dict[str, CancelRequest]:
        """Return which of these runs are to be cancelled."""
        found: dict[str, CancelRequest] = {}
        for start in range(0, len(run_ids), _MOST_FLAGS):
            flags = [self._names.cancel_flag(one) for one in run_ids[start : start + _MOST_FLAGS]]
            for stored in await self._link.last_of(self._names.runs, flags):
                if not stored.is_marker:
                    found[stored.subject.rpartition(".")[2]] = decode_cancel(stored.body)
        return found
