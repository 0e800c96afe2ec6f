"""Fan-out of failure events through bounded queues."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, Self

from tailrace.errors import SettingsError
from tailrace.failures.telemetry.event import FailureEvent, FailureEventKind
from tailrace.failures.telemetry.protocol import EventListener
from tailrace.model.failure import FailureSnapshot, Hop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    _Waiter = tuple[AbstractEventLoop, Future[None]]


class FailureEventSubscription:
    """The events of one subscriber, oldest first, for ``for`` and for ``async for``.

    Thread-safe. When the queue is full the oldest event is dropped and counted. It ends when it
    is closed, when its stream is, and when nothing refers to it any more; what waits is still
    given.
    """

    def __init__(self, size: int, kinds: Collection[FailureEventKind]) -> None:
        self.dropped = 0
        """Events that fell out of the queue."""
        self._kinds = frozenset(kinds)
        self._queue: deque[FailureEvent] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._waiters: list[_Waiter] = []
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """True when no further event will come."""
        return self._closed

    def push(self, event: FailureEvent) -> None:
        """Queue an event if its kind is wanted; never blocks."""
        if self._kinds and event.kind not in self._kinds:
            return
        with self._changed:
            if self._closed:
                return
            if len(self._queue) >= self._size:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(event)
            self._wake()

    def get(self, timeout: float | None = None) -> FailureEvent | None:
        """Return the next event; None after ``timeout`` seconds, or when no further will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed, timeout)
            return self._queue.popleft() if self._queue else None

    def close(self) -> None:
        """Take no further events."""
        with self._changed:
            self._closed = True
            self._wake()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FailureEvent:
        event = self.get()
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FailureEvent:
        while True:
            with self._changed:
                if self._queue:
                    return self._queue.popleft()
                if self._closed:
                    raise StopAsyncIteration
                waiter = self._new_waiter()
            try:
                await waiter[1]
            finally:
                with self._changed:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_waiter(self) -> _Waiter:
        from asyncio import get_running_loop  # noqa: PLC0415 - programs without a loop need none

        loop = get_running_loop()
        waiter = (loop, loop.create_future())
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        """Wake whoever waits; the lock is held."""
        self._changed.notify_all()
        waiters, self._waiters = self._waiters, []
        for loop, future in waiters:
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:  # its loop is closed: nobody waits there any more
                continue


def _resolve(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class FailureEventStream:
    """An ``EventListener`` to which any number may subscribe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[weakref.ref[FailureEventSubscription], ...] = ()
        self._closed = False

    def subscribe(
        self, *, size: int = 256, kinds: Collection[FailureEventKind] = ()
    ) -> FailureEventSubscription:
        """Return a subscription of the events from now on; ``kinds``: of these only.

        Keep it: the stream does not, and one that nothing refers to is over.

        Raises:
            SettingsError: the size is no positive number (TR330).
        """
        if size < 1:
            raise SettingsError(
                f"a queue of {size!r} events holds nothing; it must be 1 or more", code="TR330"
            )
        subscription = FailureEventSubscription(size, kinds)
        with self._lock:
            self._subscriptions = (*self._live(), weakref.ref(subscription))
            if self._closed:
                subscription.close()
        return subscription

    @property
    def subscribers(self) -> int:
        """Subscriptions that are not over."""
        return len(self._live())

    def on_event(self, event: FailureEvent, /) -> None:
        """Give the event to every subscription."""
        for reference in self._subscriptions:
            subscription = reference()
            if subscription is not None:
                subscription.push(event)

    def close(self) -> None:
        """End every subscription."""
        with self._lock:
            self._closed = True
            live, self._subscriptions = self._live(), ()
        for reference in live:
            subscription = reference()
            if subscription is not None:
                subscription.close()

    def _live(self) -> tuple[weakref.ref[FailureEventSubscription], ...]:
        live = []
        for reference in self._subscriptions:
            subscription = reference()
            if subscription is not None and not subscription.is_closed:
                live.append(reference)
        return tuple(live)


class ListenerAdapter:
    """Telemetry that forwards to a listener, for listeners behind filters and samplers."""

    def __init__(self, listener: EventListener) -> None:
        self._listener = listener

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Forward the failure as ``root_escalated``."""
        self._listener.on_event(
            FailureEvent(
                kind=FailureEventKind.ROOT_ESCALATED,
                at_ns=snapshot.trail[-1].at_ns if snapshot.trail else snapshot.captured_ns,
                snapshot=snapshot,
            )
        )

    def on_hop(self, snapshot: FailureSnapshot, hop: Hop, /) -> None:
        """Forward the hop as ``hop``, or as ``retried``."""
        self._listener.on_event(hop_event(snapshot, hop))


def hop_event(snapshot: FailureSnapshot, hop: Hop) -> FailureEvent:
    """Return the event of a hop."""
    kind = FailureEventKind.RETRIED if hop.directive == "retry" else FailureEventKind.HOP
    return FailureEvent(kind=kind, at_ns=hop.at_ns, snapshot=snapshot, hop=hop)
