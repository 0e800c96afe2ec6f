"""Starting parts in order, passing on what they say, restarting and stopping them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

from tailrace.cli.supervising.child import Child, Part, how_it_ended

RESTARTS = 3
"""Times that a part is started again within ``WINDOW`` seconds."""
WINDOW = 60.0
_PAUSE = 0.05
"""Seconds between two questions whether a part is ready."""
_DELAYS = (0.0, 0.5, 2.0)
"""Seconds before each restart."""
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Voice(Protocol):
    """Who hears what happens."""

    def said(self, name: str, line: str) -> None:
        """Take a line of a part."""
        ...

    def note(self, text: str) -> None:
        """Take a line of the supervisor itself."""
        ...


class PartFailed(Exception):  # noqa: N818 - an outcome of the supervisor
    """A part does not start, or ends again and again."""

    def __init__(self, name: str, why: str, last_words: list[str]) -> None:
        super().__init__(f"{name} {why}")
        self.name = name
        self.why = why
        self.last_words = last_words


class Stopped(Exception):  # noqa: N818 - the usual end
    """Somebody wants everything to end."""


class Supervisor:
    """Children of this process. Used by the main thread, inside ``signals``."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._children: list[Child] = []
        self._ends: dict[str, deque[float]] = {}
        self._selector = selectors.DefaultSelector()
        self._signals = 0

    @property
    def children(self) -> list[Child]:
        """Those that were started, in order."""
        return list(self._children)

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Take signals to end as a wish; the second one ends everything at once."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        before_wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        before: dict[int, Any] = {
            number: signal.signal(number, self._on_signal)
            for number in (*_STOPPING, signal.SIGCHLD)
            if not (number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN)  # nohup
        }
        self._selector.register(reading, selectors.EVENT_READ)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before_wakeup)
            self._selector.close()
            os.close(reading)
            os.close(writing)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._signals += 1

    @property
    def signals_seen(self) -> int:
        """How often somebody wanted it to end."""
        return self._signals

    def start(self, *parts: Part) -> None:
        """Start parts side by side and return when all are ready.

        Raises:
            PartFailed: one has ended, or is not ready in time.
            Stopped: somebody wants to end meanwhile.
        """
        begun = time.monotonic()
        for part in parts:
            self._children.append(self._spawn(part))
        waiting = self._children[-len(parts) :] if parts else []
        while waiting:
            self._turn(_PAUSE)
            if self._signals:
                raise Stopped
            waiting = [child for child in waiting if not self._has_started(child, begun)]

    def _has_started(self, child: Child, begun: float) -> bool:
        part = child.part
        if child.has_ended:
            self._listen(child)
            why = f"did not start ({self._end_of(child)})"
            raise PartFailed(part.name, why, list(child.last_words))
        if part.is_ready():
            return True
        if time.monotonic() - begun > part.patience:
            why = f"was not ready within {part.patience:g} s"
            raise PartFailed(part.name, why, list(child.last_words))
        return False

    def run(self) -> None:
        """Pass on what the parts say, and start those again that end, until told to stop.

        Raises:
            PartFailed: a part has ended more often than it is started again.
        """
        while not self._signals:
            self._turn(1.0)
            for place, child in enumerate(self._children):
                if child.has_ended and not self._signals:
                    self._children[place] = self._again(child)

    def stop(self) -> None:
        """End the parts, the last one started first, each in its own time."""
        for child in reversed(self._children):
            self._end(child)
        self._children.clear()

    def _end(self, child: Child) -> None:
        asked = time.monotonic()
        child.end(at_once=self._signals > 1)
        while not child.has_ended:
            if self._signals > 1 or time.monotonic() - asked > child.part.grace:
                if self._signals <= 1:
                    self._voice.note(f"{child.part.name} takes too long to end; killed")
                child.end(at_once=True)
                child.process.wait()
            self._turn(0.2)
        self._listen(child)
        self._forget(child)

    def _again(self, child: Child) -> Child:
        self._listen(child)
        part, end = child.part, self._end_of(child)
        now = time.monotonic()
        ends = self._ends.setdefault(part.name, deque())
        ends.append(now)
        while now - ends[0] > WINDOW:
            ends.popleft()
        if len(ends) > RESTARTS:
            raise PartFailed(
                part.name,
                f"ended {len(ends)} times in {WINDOW:g} s ({end})",
                list(child.last_words),
            )
        self._forget(child)
        self._voice.note(f"{part.name} ended ({end}); restart {len(ends)} of {RESTARTS}")
        until = now + _DELAYS[len(ends) - 1]
        while not self._signals and (left := until - time.monotonic()) > 0:
            self._turn(left)
        return self._spawn(part)

    def _spawn(self, part: Part) -> Child:
        child = Child(part)
        self._selector.register(child.output, selectors.EVENT_READ, child)
        return child

    def _forget(self, child: Child) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.output)
        child.close()

    def _turn(self, seconds: float) -> None:
        """Wait for output, the end of a child or a signal; pass on what was said."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Child):
                self._listen(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 1024)

    def _listen(self, child: Child) -> None:
        for line in child.read():
            self._voice.said(child.part.name, line)
        if child.is_silent:
            with contextlib.suppress(KeyError):
                self._selector.unregister(child.output)  # its end would be news for ever

    @staticmethod
    def _end_of(child: Child) -> str:
        return how_it_ended(child.process.wait())
