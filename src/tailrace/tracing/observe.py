"""Live views of a run: tracers that see its spans as they happen."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from tailrace.model.journal import AnyRecord, Noted
from tailrace.model.span import Span
from tailrace.tracing.spans import Spans

if TYPE_CHECKING:
    from tailrace.ports import Journal, Tracer

_log = logging.getLogger(__name__)
_DELAY = 0.05
"""Seconds between something noted and its being shown."""
_MOST_NOTES = 10_000
"""Notes that wait; who notes more shows them first."""
_FAILURES_ALLOWED = 5
"""Failures in one run after which a tracer is switched off."""


class Guarded:
    """A tracer whose faults never reach the run: counted, reported once, then switched off."""

    __slots__ = ("_failures", "_reported", "tracer")

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self._failures = 0
        self._reported = False

    def call(self, method: Callable[[Span], None], span: Span) -> None:
        """Tell the tracer of a span, unless it is switched off."""
        if self._failures >= _FAILURES_ALLOWED:
            return
        try:
            method(span)
        except Exception as error:  # noqa: BLE001 - a tracer of the user's may raise anything
            self._failed(error)

    def close(self) -> None:
        """Close the tracer."""
        try:
            self.tracer.close()
        except Exception as error:  # noqa: BLE001 - a tracer of the user's may raise anything
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if not self._reported:
            self._reported = True
            _log.warning("a tracer failed", extra={"error": repr(error)})
        if self._failures == _FAILURES_ALLOWED:
            _log.warning("a tracer is switched off", extra={"failures": self._failures})


class ObservedJournal:
    """A journal that also shows every record to tracers, after it is durable.

    What is noted is shown by a thread of its own, 50 ms later at the latest, or by the next append:
    a task that opens spans does not wait for tracers.
    """

    def __init__(self, journal: Journal, tracers: Sequence[Tracer]) -> None:
        self._journal = journal
        self._tracers = [Guarded(tracer) for tracer in tracers]
        self._spans = Spans(keep=False)
        self._lock = threading.RLock()
        self._notes: deque[Noted] = deque()
        self._wake = threading.Event()
        self._armed = self._over = False
        self._thread: threading.Thread | None = None

    def append(self, records: Sequence[AnyRecord]) -> Awaitable[None] | None:
        """Make the records durable, then show them."""
        if self._notes:
            self._pass_on()
        pending = self._journal.append(records)
        if pending is None:
            self._show(records)
            return None
        return self._show_after(pending, records)

    async def _show_after(self, pending: Awaitable[None], records: Sequence[AnyRecord]) -> None:
        await pending
        self._show(records)

    def note(self, record: Noted) -> None:
        """Hand it on soon, and show it."""
        self._notes.append(record)
        if not self._armed:
            self._arm()
        elif len(self._notes) >= _MOST_NOTES:
            self._pass_on()

    def close(self) -> None:
        """Close the journal and the tracers."""
        self._pass_on()
        self._over = True
        self._wake.set()
        self._journal.close()
        for tracer in self._tracers:
            tracer.close()

    def _arm(self) -> None:
        self._armed = True
        self._wake.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work, name="tailrace-tracers", daemon=True
                    )
                    self._thread.start()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._over:
                return
            time.sleep(_DELAY)
            self._armed = False  # before the look: what comes after it arms again
            self._pass_on()

    def _pass_on(self) -> None:
        """Hand on what was noted, in order, and show it."""
        with self._lock:
            taken: list[AnyRecord] = []
            while self._notes:
                self._notes.popleft().take(taken)
            for record in taken:
                self._journal.note(record)
            if taken:
                self._show(taken)

    def _show(self, records: Sequence[AnyRecord]) -> None:
        with self._lock:
            changes = self._spans.apply(records)
            for span in changes.started:
                for guarded in self._tracers:
                    guarded.call(guarded.tracer.on_start, span)
            for span in changes.ended:
                for guarded in self._tracers:
                    guarded.call(guarded.tracer.on_end, span)
