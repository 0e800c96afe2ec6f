"""Live views of a run: tracers that see its spans as they happen."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Sequence

from tailrace.model.journal import AnyRecord
from tailrace.model.span import Span
from tailrace.ports import Journal, Tracer
from tailrace.tracing.spans import Spans

_log = logging.getLogger(__name__)
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
    """A journal that also shows every record to tracers, after it is durable."""

    def __init__(self, journal: Journal, tracers: Sequence[Tracer]) -> None:
        self._journal = journal
        self._tracers = [Guarded(tracer) for tracer in tracers]
        self._spans = Spans(keep=False)
        self._lock = threading.Lock()

    def append(self, records: Sequence[AnyRecord]) -> Awaitable[None] | None:
        """Make the records durable, then show them."""
        pending = self._journal.append(records)
        if pending is None:
            self._show(records)
            return None
        return self._show_after(pending, records)

    async def _show_after(self, pending: Awaitable[None], records: Sequence[AnyRecord]) -> None:
        await pending
        self._show(records)

    def note(self, record: AnyRecord) -> None:
        """Hand the record on, and show it."""
        self._journal.note(record)
        self._show((record,))

    def close(self) -> None:
        """Close the journal and the tracers."""
        self._journal.close()
        for tracer in self._tracers:
            tracer.close()

    def _show(self, records: Sequence[AnyRecord]) -> None:
        with self._lock:
            changes = self._spans.apply(records)
            for span in changes.started:
                for guarded in self._tracers:
                    guarded.call(guarded.tracer.on_start, span)
            for span in changes.ended:
                for guarded in self._tracers:
                    guarded.call(guarded.tracer.on_end, span)
