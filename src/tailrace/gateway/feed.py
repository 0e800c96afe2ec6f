"""All changes of runs in one stream, for who looks at many runs at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from tailrace.gateway.caller import Caller
from tailrace.gateway.known import KnownRun
from tailrace.jetstream.answers import instant_of
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.model.remote import decode_state

_MOST = 1000
"""Changed runs that wait for a slow listener; after that it is told that it has missed some."""


class Listener:
    """Runs that changed since they were taken last, each once, as it is now."""

    def __init__(self, caller: Caller, flow: str) -> None:
        self._caller = caller
        self._flow = flow
        self._changed: OrderedDict[str, KnownRun] = OrderedDict()
        self._news = asyncio.Event()
        self.missed = False
        """Whether changes were dropped: what is shown must be read anew."""

    def offer(self, run: KnownRun) -> None:
        """Take a change, unless it is none of the listener's business."""
        if not self._caller.sees(run.job) or self._flow not in {"", run.job.flow_name}:
            return
        self._changed[run.job.run_id] = run
        if len(self._changed) > _MOST:
            self._changed.popitem(last=False)
            self.missed = True
        self._news.set()

    async def changed(self, seconds: float) -> list[KnownRun]:
        """Return what has changed, or nothing after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        found = list(self._changed.values())
        self._changed.clear()
        return found


class Feed:
    """One subscription for all listeners, while there are any."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names
        self._listeners: set[Listener] = set()
        self._subscription: Any = None
        self._lock = asyncio.Lock()
        link.listen(self._connection_changed)

    @asynccontextmanager
    async def listen(self, caller: Caller, *, flow: str = "") -> AsyncIterator[Listener]:
        """Hear of changes.

        Raises:
            TransportError: NATS does not answer.
        """
        listener = Listener(caller, flow)
        self._listeners.add(listener)
        try:
            async with self._lock:
                if self._subscription is None:
                    subject = self._names.live(self._names.state("*"))
                    self._subscription = await self._link.subscribe(subject, self._hear)
            yield listener
        finally:
            self._listeners.discard(listener)
            async with self._lock:
                subscription = self._subscription
                if not self._listeners and subscription is not None:
                    self._subscription = None
                    await self._link.unsubscribe(subscription)

    async def _hear(self, message: Any) -> None:
        with suppress(msgspec.DecodeError, ValueError):
            state = decode_state(message.data)
            headers = message.headers or {}
            run = KnownRun(
                job=state.job,
                state=state,
                sequence=int(headers.get("Nats-Sequence", 0)),
                stored_at=instant_of(headers.get("Nats-Time-Stamp", "")),
            )
            for listener in self._listeners:
                listener.offer(run)

    def _connection_changed(self, up: bool) -> None:  # noqa: FBT001 - a listener's signature
        if up:
            for listener in self._listeners:
                listener.missed = True
