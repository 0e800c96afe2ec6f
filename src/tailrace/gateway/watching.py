"""Runs as they change, as events: each is made once and written to all who watch, in one go."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from msgspec.structs import replace

from tailrace.errors import TransportError
from tailrace.gateway.events import HEARTBEAT, frame
from tailrace.gateway.known import KnownRun, RunLookup
from tailrace.gateway.problems import encode_json
from tailrace.gateway.seat import Seat
from tailrace.gateway.shown import snapshot
from tailrace.jetstream.live import LiveStates, Watcher
from tailrace.model.remote import CancelRequest

_log = logging.getLogger(__name__)
_REREAD = 30.0
"""Seconds after which a run is read again although nothing was heard of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client wants to see of a run."""

    include: frozenset[str] = frozenset()
    full_states: bool = False
    since: float | None = None
    """The first snapshot is left out if the run has not changed since."""
    timeout: float = 60.0
    last_event: str = ""
    """Id of the last event that the client has seen."""


def event_id(run: KnownRun) -> str:
    """Return the id of what a run is at the moment: where its state is stored, and the wish."""
    return f"{run.sequence}{'c' if run.cancel is not None and not run.is_terminal else ''}"


class Show:
    """A run that is watched in one form, and all who watch it so. One event loop uses it."""

    def __init__(self, live: LiveStates, lookup: RunLookup, run: KnownRun, wish: Wish) -> None:
        self._live = live
        self._lookup = lookup
        self._run = run
        self._wish = wish
        self._name = encode_json(run.job.run_id)
        self._body = b""
        self._body_id = ""
        self._seats: dict[Seat, str] = {}
        """With the id of the event that each has had last."""
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._seats)

    def join(self, seat: Seat, run: KnownRun, wish: Wish) -> None:
        """Show the run to one more, as it is and as it changes, until it is over."""
        self._renew(run if run.sequence > self._run.sequence else self._run, run.cancel)
        sent, run = wish.last_event, self._run
        if not sent and wish.since is not None and wish.since > run.updated_at:
            sent = event_id(run)
        self._seats[seat] = sent
        seat.catch_up = lambda: self._catch_up(seat)
        if sent == event_id(run):
            seat.put(self.heartbeat())
        else:
            self._catch_up(seat)
        if run.is_terminal:
            seat.end()
        elif self._task is None:
            self._task = asyncio.create_task(self._follow())
            self._task.add_done_callback(self._over)

    def leave(self, seat: Seat) -> None:
        """Show it to one less."""
        self._seats.pop(seat, None)

    def close(self) -> None:
        """Ask nobody any more."""
        if self._task is not None:
            self._task.cancel()

    def heartbeat(self) -> bytes:
        """Return a sign of life."""
        return frame("heartbeat", b'{"run_id":%b,"ts":%.6f}' % (self._name, time.time()))

    def _event(self) -> bytes:
        """Return the run as it is now."""
        now = event_id(self._run)
        if now != self._body_id or not self._body:
            shown = snapshot(self._run, self._wish.include, full_states=self._wish.full_states)
            self._body, self._body_id = encode_json(shown), now
        data = b'{"run_id":%b,"snapshot":%b,"ts":%.6f}' % (self._name, self._body, time.time())
        return frame("snapshot", data, event_id=now)

    def _catch_up(self, seat: Seat) -> None:
        """Tell one how the run is, who has not been told yet."""
        now = event_id(self._run)
        if self._seats.get(seat, now) != now and seat.put(self._event()):
            self._seats[seat] = now

    def _tell_all(self) -> None:
        """Tell everybody how the run is now; who is slow is told the newest when there is room."""
        now, event = event_id(self._run), self._event()
        for seat, sent in self._seats.items():
            if sent != now and seat.put(event):
                self._seats[seat] = now
        if self._run.is_terminal:
            for seat in self._seats:
                seat.end()

    async def _follow(self) -> None:
        """Tell of changes until the run is over."""
        run_id, read_at = self._run.job.run_id, time.monotonic()
        while True:
            try:
                async with self._live.watch(run_id) as watcher:
                    while not self._take(watcher):
                        if await watcher.changed(HEARTBEAT):
                            continue
                        if time.monotonic() - read_at > _REREAD:
                            read_at = time.monotonic()
                            await self._reread(watcher)
                        self._beat()
                    return
            except TransportError:
                await asyncio.sleep(HEARTBEAT)
                self._beat()

    def _beat(self) -> None:
        beat = self.heartbeat()
        for seat in tuple(self._seats):
            seat.put(beat)
            seat.look()

    def _over(self, task: asyncio.Task[None]) -> None:
        """End what nobody tells of any more."""
        if not task.cancelled() and task.exception() is not None:
            _log.error("a run cannot be watched", exc_info=task.exception())
            for seat in self._seats:
                seat.end()

    def _renew(self, run: KnownRun, cancel: CancelRequest | None) -> None:
        """Take in what is newer, and tell everybody."""
        before = event_id(self._run)
        self._run = run if cancel is None else replace(run, cancel=cancel)
        if event_id(self._run) != before:
            self._tell_all()

    def _take(self, watcher: Watcher) -> bool:
        """Take in what is new, and return whether the run is over."""
        run = self._run
        if watcher.state is not None and watcher.sequence > run.sequence:
            run = replace(
                run,
                state=watcher.state,
                job=watcher.state.job,
                sequence=watcher.sequence,
                stored_at=watcher.stored_at,
            )
        self._renew(run, watcher.cancel)
        return self._run.is_terminal

    async def _reread(self, watcher: Watcher) -> None:
        with suppress(TransportError):
            found = await self._lookup.find(self._run.job.run_id)
            if found is not None and found.state is not None:
                watcher.offer(found.state, found.sequence, found.stored_at)
            if found is not None and found.cancel is not None:
                watcher.offer_cancel(found.cancel)


_Key = tuple[str, frozenset[str], bool]


class Shows:
    """All runs that are watched, by run and form."""

    def __init__(self, live: LiveStates, lookup: RunLookup) -> None:
        self._live = live
        self._lookup = lookup
        self._shows: dict[_Key, Show] = {}

    @asynccontextmanager
    async def seated(self, seat: Seat, run: KnownRun, wish: Wish) -> AsyncIterator[Show]:
        """Show a run to somebody, for as long as the block lasts."""
        key = (run.job.run_id, wish.include, wish.full_states)
        show = self._shows.get(key)
        if show is None:
            show = self._shows[key] = Show(self._live, self._lookup, run, wish)
        show.join(seat, run, wish)
        try:
            yield show
        finally:
            show.leave(seat)
            if not len(show):
                show.close()
                if self._shows.get(key) is show:
                    del self._shows[key]
