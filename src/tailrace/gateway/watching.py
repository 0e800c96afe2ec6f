"""A run as it changes, as events: pushed when it does, with a sign of life in between."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from msgspec.structs import replace

from tailrace.errors import TransportError
from tailrace.gateway.events import HEARTBEAT, frame
from tailrace.gateway.known import KnownRun
from tailrace.gateway.problems import encode_json
from tailrace.gateway.service import Gateway
from tailrace.gateway.shown import snapshot
from tailrace.jetstream.live import Watcher

_REREAD = 30.0
"""Seconds after which a run is read again although nothing was heard of it."""
_KEPT = 256


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


class Frames:
    """Snapshots as JSON, made once for all who watch the same run."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def body(self, run: KnownRun, include: Collection[str], *, full_states: bool) -> bytes:
        """Return the snapshot of a run."""
        key = (run.job.run_id, event_id(run), frozenset(include), full_states)
        body = self._made.get(key)
        if body is None:
            body = encode_json(snapshot(run, include, full_states=full_states))
            self._made[key] = body
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return body


def event_id(run: KnownRun) -> str:
    """Return the id of what a run is at the moment: where its state is stored, and the wish."""
    return f"{run.sequence}{'c' if run.cancel is not None and not run.is_terminal else ''}"


async def watch(
    gateway: Gateway, frames: Frames, run: KnownRun, wish: Wish
) -> AsyncIterator[bytes]:
    """Yield the events of a run until it is over, or the time is."""
    run_id = run.job.run_id
    name = encode_json(run_id)
    end = time.monotonic() + wish.timeout
    sent = wish.last_event
    if not sent and wish.since is not None and wish.since > run.updated_at:
        sent = event_id(run)
    async with AsyncExitStack() as stack:
        watcher: Watcher | None = None
        read_at = time.monotonic()
        while True:
            run = _newest(run, watcher)
            now = event_id(run)
            if now == sent and watcher is None:
                yield _heartbeat(name)
            elif now != sent:
                yield _event(frames, name, run, wish)
                sent = now
            left = end - time.monotonic()
            if run.is_terminal or left <= 0:
                return
            if watcher is None:
                watcher = await _watcher(gateway, run_id, stack)
                if watcher is None:
                    await asyncio.sleep(min(HEARTBEAT, left))
                continue
            if await watcher.changed(min(HEARTBEAT, left)):
                continue
            if time.monotonic() - read_at > _REREAD:
                read_at = time.monotonic()
                await _reread(gateway, run_id, watcher)
            yield _heartbeat(name)


async def _watcher(gateway: Gateway, run_id: str, stack: AsyncExitStack) -> Watcher | None:
    """Begin to watch; None: NATS does not answer at the moment."""
    try:
        return await stack.enter_async_context(gateway.live.watch(run_id))
    except TransportError:
        return None


async def _reread(gateway: Gateway, run_id: str, watcher: Watcher) -> None:
    with suppress(TransportError):
        found = await gateway.lookup.find(run_id)
        if found is not None and found.state is not None:
            watcher.offer(found.state, found.sequence, found.stored_at)
        if found is not None and found.cancel is not None:
            watcher.offer_cancel(found.cancel)


def _newest(run: KnownRun, watcher: Watcher | None) -> KnownRun:
    if watcher is None:
        return run
    if watcher.state is not None and watcher.sequence > run.sequence:
        run = replace(
            run,
            state=watcher.state,
            job=watcher.state.job,
            sequence=watcher.sequence,
            stored_at=watcher.stored_at,
        )
    return run if watcher.cancel is None else replace(run, cancel=watcher.cancel)


def _event(frames: Frames, name: bytes, run: KnownRun, wish: Wish) -> bytes:
    body = frames.body(run, wish.include, full_states=wish.full_states)
    data = b'{"run_id":%b,"snapshot":%b,"ts":%.6f}' % (name, body, time.time())
    return frame("snapshot", data, event_id=event_id(run))


def _heartbeat(name: bytes) -> bytes:
    return frame("heartbeat", b'{"run_id":%b,"ts":%.6f}' % (name, time.time()))
