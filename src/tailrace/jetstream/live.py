"""States of runs as they change, pushed by the server to who watches them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tailrace.errors import TransportError
from tailrace.jetstream.answers import instant_of
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.states import JetStreamStates
from tailrace.model.remote import CancelRequest, RunState, decode_cancel, decode_state

_log = logging.getLogger(__name__)
_AHEAD = 2.0
"""Seconds for which a run is listened to although nobody watches it yet."""


class Watcher:
    """The newest state of a run. Who is slow misses states in between, never the newest one."""

    def __init__(self) -> None:
        self.state: RunState | None = None
        self.sequence = 0
        self.stored_at = 0.0
        """The server's time of the state in Unix seconds; 0: it is not known."""
        self.cancel: CancelRequest | None = None
        """The wish to cancel the run, where it was uttered while it is watched."""
        self._news = asyncio.Event()

    async def changed(self, seconds: float) -> bool:
        """Wait until there is something new since the last call; False: there is not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        was_set = self._news.is_set()
        self._news.clear()
        return was_set

    def offer(self, state: RunState, sequence: int, stored_at: float = 0.0) -> None:
        """Take a state, unless it is older than the one here."""
        if sequence > self.sequence:
            self.state, self.sequence, self.stored_at = state, sequence, stored_at
            self._news.set()

    def offer_cancel(self, request: CancelRequest) -> None:
        """Take the wish to cancel the run."""
        if self.cancel is None:
            self.cancel = request
            self._news.set()


class _Watched:
    """A run, all who watch it, and its subscriptions."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()
        self.subscriptions: list[Subscription] = []
        self.newest = Watcher()
        """What all of them know; read once, and told of every change from then on."""
        self.is_read = False
        self.opening = asyncio.Lock()

    def offer(self, state: RunState, sequence: int, stored_at: float = 0.0) -> None:
        """Tell everybody of a state."""
        for watcher in (self.newest, *self.watchers):
            watcher.offer(state, sequence, stored_at)

    def offer_cancel(self, request: CancelRequest) -> None:
        """Tell everybody of the wish to cancel."""
        for watcher in (self.newest, *self.watchers):
            watcher.offer_cancel(request)

    def inform(self, watcher: Watcher) -> None:
        """Tell one that is new what the others know."""
        newest = self.newest
        if newest.state is not None:
            watcher.offer(newest.state, newest.sequence, newest.stored_at)
        if newest.cancel is not None:
            watcher.offer_cancel(newest.cancel)


class LiveStates:
    """Runs that are watched. One event loop uses it; any number may watch one run.

    Only runs that somebody watches cost anything. After a lost connection the states are read
    again, so that no last state is missed.
    """

    def __init__(self, link: Link, names: Names, states: JetStreamStates) -> None:
        self._link = link
        self._names = names
        self._states = states
        self._runs: dict[str, _Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        link.listen(self._connection_changed)

    @asynccontextmanager
    async def watch(self, run_id: str) -> AsyncIterator[Watcher]:
        """Watch a run; its present state, if one is stored, is there at once.

        Raises:
            Unreachable: NATS does not answer.
        """
        watcher = Watcher()
        watched = self._runs.setdefault(run_id, _Watched())
        watched.watchers.add(watcher)
        try:
            async with watched.opening:
                if not watched.subscriptions:
                    await self._subscribe(run_id, watched)
                if not watched.is_read:
                    await self._read(run_id, watched)
            watched.inform(watcher)
            yield watcher
        finally:
            watched.watchers.discard(watcher)
            await self._let_go(run_id, watched)

    @asynccontextmanager
    async def ahead(self, run_id: str) -> AsyncIterator[None]:
        """Listen to a run while it is read, so that ``watch`` need not read it again.

        Within the block ``tell`` says what was read; somebody should watch the run soon after.

        Raises:
            Unreachable: NATS is not connected.
        """
        watched = self._runs.setdefault(run_id, _Watched())
        try:
            async with watched.opening:
                if not watched.subscriptions:
                    await self._subscribe(run_id, watched)
            yield
        except BaseException:
            await self._let_go(run_id, watched)
            raise
        asyncio.get_running_loop().call_later(_AHEAD, self._give_up, run_id, watched)

    def tell(
        self,
        run_id: str,
        state: RunState | None,
        sequence: int,
        *,
        stored_at: float,
        cancel: CancelRequest | None,
    ) -> None:
        """Take in how a run is that was read after it was listened to."""
        watched = self._runs.get(run_id)
        if watched is None or not watched.subscriptions or watched.opening.locked():
            return
        watched.is_read = True
        if state is not None:
            watched.offer(state, sequence, stored_at)
        if cancel is not None:
            watched.offer_cancel(cancel)

    def _give_up(self, run_id: str, watched: _Watched) -> None:
        """Listen no more if nobody has come to watch."""
        if not watched.watchers and self._runs.get(run_id) is watched:
            self._keep(self._let_go(run_id, watched))

    async def _let_go(self, run_id: str, watched: _Watched) -> None:
        if watched.watchers or watched.opening.locked() or self._runs.get(run_id) is not watched:
            return
        del self._runs[run_id]
        for subscription in watched.subscriptions:
            await self._link.unsubscribe(subscription)

    async def _subscribe(self, run_id: str, watched: _Watched) -> None:
        def hear_state(message: Msg) -> None:
            headers = message.headers or {}
            sequence = int(headers.get("Nats-Sequence", 0))
            if not message.data or not sequence:
                return
            with suppress(msgspec.DecodeError):
                state = decode_state(message.data)
                watched.offer(state, sequence, instant_of(headers.get("Nats-Time-Stamp", "")))

        def hear_cancel(message: Msg) -> None:
            with suppress(msgspec.DecodeError):
                watched.offer_cancel(decode_cancel(message.data))

        names = self._names
        for subject, handler in (
            (names.live(names.state(run_id)), hear_state),
            (names.cancel(run_id), hear_cancel),
        ):
            watched.subscriptions.append(await self._link.receive(subject, handler))

    def _connection_changed(self, up: bool) -> None:  # noqa: FBT001 - a listener's signature
        if up and self._runs:
            self._keep(self._read_again())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_again(self) -> None:
        """Read the states of all watched runs: what was pushed meanwhile is lost."""
        for run_id, watched in list(self._runs.items()):
            try:
                await self._read(run_id, watched)
            except TransportError as error:
                _log.info("the state of a watched run cannot be read", extra={"error": str(error)})
                return

    async def _read(self, run_id: str, watched: _Watched) -> None:
        found, request = await self._states.read_with_wish(run_id)
        watched.is_read = True
        if found is not None:
            watched.offer(*found)
        if request is not None:
            watched.offer_cancel(request)
