"""The attempt that runs on the present thread or task, and what it leaves in the trace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from tailrace.engine.running import Running
from tailrace.failures.thread import thread_name
from tailrace.model import EventsDropped, Logged, Progress, Routing
from tailrace.tracing import bridge

MAX_EVENTS = 1_000
"""Events kept per attempt; further ones are counted."""
MAX_EVENT_TEXT = 256 * 1024
"""Characters of event text kept per attempt."""
MAX_LINE = 8 * 1024
"""Characters kept of one captured line."""


class Attempt:
    """One try of a node.

    Events may come from any thread the task has started, also after the attempt is over; then they
    are dropped.
    """

    cancelled = False
    open = True
    attributes: dict[str, Any] | None = None
    artifacts: dict[str, Any] | None = None
    thread = ""
    """Where it raised; empty: on the engine's own thread."""
    recorder: Any = None
    """Who takes spans of OpenTelemetry for it, once there are any."""
    _lock: threading.Lock | None = None
    _lines: dict[tuple[str, int], str] | None = None
    """What each thread has begun to write to each stream."""
    _events = 0
    _characters = 0
    _dropped = 0

    def __init__(self, run: Running, path: str, span: int, number: int) -> None:
        self.run = run
        self.path = path
        self.span = span
        self.number = number

    @property
    def idempotency_key(self) -> str:
        """Stable over attempts, resumes and redeliveries of one node path."""
        return f"{self.run.lineage}:{self.path}"

    def event(
        self,
        name: str,
        attributes: dict[str, Any],
        *,
        span: int | None = None,
        at: int | None = None,
    ) -> None:
        """Add an event, or count it when the attempt has had its share.

        ``span`` is the number of a span inside the attempt; None: its own.
        """
        if not self.open:
            return
        size = len(attributes.get("message", "")) if "message" in attributes else 64
        if self._events >= MAX_EVENTS or self._characters + size > MAX_EVENT_TEXT:
            self._dropped += 1
            return
        self._events += 1
        self._characters += size
        self.run.note(Logged(span or self.span, at or self.run.now(), name, attributes))

    def output(
        self, stream: str, text: str, span: int | None = None, thread: int | None = None
    ) -> None:
        """Take what the task wrote to ``stdout`` or ``stderr``; lines become events.

        ``thread`` is whose text it is; None: this thread's. Those of several are not mixed up.
        """
        if not self.open:
            return
        lock = self._lock
        if lock is None:
            lock = self._lock = threading.Lock()
        with lock:
            lines = self._lines
            if lines is None:
                lines = self._lines = {}
            if self._events >= MAX_EVENTS or self._characters >= MAX_EVENT_TEXT:
                self._dropped += text.count("\n")
                return
            whose = stream, threading.get_ident() if thread is None else thread
            *complete, rest = (lines.pop(whose, "") + text).split("\n")
            if rest:
                lines[whose] = rest[:MAX_LINE]
            for line in complete:
                self.event(stream, {"message": line[:MAX_LINE]}, span=span)

    def progress(self, done: float, total: float | None) -> None:
        """Report progress."""
        if self.open:
            self.run.note(Progress(self.span, self.run.now(), done, total))

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute that the node's span gets when it ends."""
        if self.attributes is None:
            self.attributes = {}
        self.attributes[key] = value

    def describe_route(self, routing: Routing) -> None:
        """Keep what a route said about its choice."""
        if routing.confidence is not None:
            self.set_attribute("tailrace.route.confidence", routing.confidence)
        if routing.reason:
            self.set_attribute("tailrace.route.reason", routing.reason)

    def close(self) -> None:
        """The attempt is over: write what is left, take no more."""
        if self._lines is not None:
            for (stream, _), rest in self._lines.items():
                self.event(stream, {"message": rest})
        self.open = False
        if self._dropped:
            self.run.note(EventsDropped(self.span, self._dropped))


CURRENT: ContextVar[Attempt | None] = ContextVar("tailrace_attempt", default=None)
"""The attempt whose code is running here."""


class Inner(bridge.Inner, Protocol):
    """A span that an attempt has opened with ``ctx.span``."""

    attempt: Attempt


INNER: ContextVar[Inner | None] = ContextVar("tailrace_inner_span", default=None)
"""The innermost span that was opened with ``ctx.span`` here."""


def within(attempt: Attempt, function: Callable[[], Any]) -> Any:
    """Call ``function`` as part of the attempt."""
    token = CURRENT.set(attempt)
    try:
        return function()
    except BaseException:
        attempt.thread = thread_name()
        raise
    finally:
        CURRENT.reset(token)
