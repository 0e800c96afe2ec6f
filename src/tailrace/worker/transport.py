"""What a worker needs of NATS, and how it gets there."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tailrace.errors import TransportError
from tailrace.jetstream.access import address_of, limits_of, names_of
from tailrace.jetstream.answers import Rejected, Unreachable, is_final
from tailrace.jetstream.follow import identity
from tailrace.jetstream.handover import hand_over
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
from tailrace.ports import CancelRequests, Objects, RunStates, WorkQueue
from tailrace.settings import NatsSettings
from tailrace.worker.machine import has_left

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
        self.connection = 0
        """Grows with each connection that is found or lost."""

    def changed(self, up: bool) -> None:  # noqa: FBT001 - a listener's signature
        """Take in that the connection stands, or is lost."""
        self.connection += 1
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
            TransportError: it refuses, and will again.
        """
        while True:
            try:
                return await call()
            except TransportError as error:
                if is_final(error):
                    raise
                await self.wait()


@dataclass(slots=True, kw_only=True)
class Transport:
    """The parts."""

    queue: WorkQueue
    states: States
    letters: Letters
    registry: Registry
    objects: Objects
    reachability: Reachability
    wishes: Callable[[Sequence[str]], Awaitable[dict[str, CancelRequest]]]
    """Returns which of these runs are to be cancelled."""
    take_over: Callable[[Sequence[str], WorkerRecord, WorkerRecord | None, Path], Awaitable[None]]
    """Has runs of these tags delivered again at once whose workers are gone; is told of the worker
    that asks, of the one in whose stead it is, and of the folder where workers leave things."""
    newest: Callable[[], Awaitable[int]]
    """Returns the sequence of the last message in the stream of runs."""
    close: Callable[[], Awaitable[None]]
    stop_taking: Callable[[], Awaitable[None]]
    room: Callable[[], int]
    """Returns the bytes of the largest message that NATS takes."""
    ack_wait: Callable[[], float]
    """Returns the seconds after which a delivery is made again, as they are in force."""


async def connect(settings: NatsSettings, *, name: str) -> Transport:
    """Return the parts once NATS answers; tries for ever, and says so once.

    Raises:
        Rejected: TR411, NATS does not know us; TR412, we do not trust it, or it not us.
        TransportError: TR413, it does not allow what is needed; TR404, it cannot do it; TR405, a
            newer Tailrace made the streams.
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
        except Rejected:
            raise
        except Unreachable as error:
            if not has_said:
                _log.warning("%s; trying again until one does", error)
                has_said = True
            await link.close()
            await asyncio.sleep(_PAUSE)
    for difference in differences:
        _log.warning("the streams are not as the settings say: %s", difference)
    queue = JetStreamQueue(link, names, limits)

    async def newest() -> int:
        return (await identity(link, names.runs)).last

    return Transport(
        queue=queue,
        states=JetStreamStates(link, names, limits),
        letters=JetStreamLetters(link, names),
        registry=JetStreamRegistry(link, names),
        objects=queue.objects,
        reachability=reachability,
        wishes=_Wishes(link, names).of,
        take_over=partial(_take_over, link, names),
        newest=newest,
        close=link.close,
        stop_taking=queue.close,
        room=lambda: link.max_payload,
        ack_wait=lambda: queue.ack_wait,
    )


async def _take_over(
    link: Link,
    names: Names,
    tags: Sequence[str],
    own: WorkerRecord,
    before: WorkerRecord | None,
    folder: Path,
) -> None:
    gone = partial(has_left, folder)
    try:
        count = await hand_over(link, names, tags, gone, before=before, own=own.worker_id)
    except TransportError as error:
        _log.info("runs of workers that are gone come back by themselves: %s", error)
    else:
        if count:
            _log.info("takes over %d runs of workers that are gone", count)


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
