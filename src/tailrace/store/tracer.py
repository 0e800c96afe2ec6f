"""A tracer that writes what it sees into a store's file."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path

from msgspec.structs import replace

from tailrace.errors import StoreError
from tailrace.model.ids import RunId
from tailrace.model.span import NO_SCOPE, InstrumentationScope, Span
from tailrace.model.states import SpanType
from tailrace.settings import database_for, load_settings
from tailrace.store.foreign.writer import ForeignWriter

_log = logging.getLogger(__name__)
_SCOPE = InstrumentationScope(name="tailrace")
_DELAY = 0.1
_BATCH = 512
_MOST = 100_000
"""Spans that wait; more are dropped and counted."""
_PATIENCE = 10.0


class SQLiteTracer:
    """Copies the spans of runs into a database, such as one that several projects share.

    A thread of its own writes ended spans, 100 ms after the first of them at the latest, and
    ``close`` waits for them; a file that cannot be written costs the run nothing. A run needs no
    such tracer for its own database: it is there anyway.

    Args:
        db_path: the file; made by the first write. None: the project's database.
    """

    def __init__(self, db_path: Path | str | None = None) -> None:
        path = database_for(Path.cwd(), load_settings()) if db_path is None else Path(db_path)
        self._writer = ForeignWriter(path)
        self._waiting: deque[Span] = deque()
        self._changed = threading.Condition()
        self._resources: dict[RunId, dict[str, str]] = {}
        self._thread: threading.Thread | None = None
        self._hurried = self._busy = False
        self.dropped = 0
        """Spans that were not written."""

    def on_start(self, span: Span) -> None:
        """Remember the flow of a run."""
        if span.type is SpanType.RUN:
            flow = str(span.attributes.get("tailrace.flow.name", ""))
            self._resources[span.trace_id] = {"service.name": flow} if flow else {}

    def on_end(self, span: Span) -> None:
        """Put the span where the writing thread finds it."""
        resource = self._resources.get(span.trace_id, {})
        if span.type is SpanType.RUN:
            self._resources.pop(span.trace_id, None)
        scope = _SCOPE if span.scope == NO_SCOPE else span.scope
        copied = replace(span, resource=span.resource or resource, scope=scope)
        with self._changed:
            if len(self._waiting) >= _MOST:
                self.dropped += 1
                return
            self._waiting.append(copied)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="tailrace-sqlite-tracer", daemon=True
                )
                self._thread.start()
            elif len(self._waiting) in (1, _BATCH):
                self._changed.notify_all()

    def close(self) -> None:
        """Wait until all that has ended is in the file, ten seconds at most."""
        deadline = time.monotonic() + _PATIENCE
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            while (self._waiting or self._busy) and time.monotonic() < deadline:
                self._changed.wait(_DELAY)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._hurried = False
                    self._changed.wait()
                if not self._hurried and len(self._waiting) < _BATCH:
                    self._changed.wait(_DELAY)
                batch = [*self._waiting]
                self._waiting.clear()
                self._busy = True
            try:
                self._write(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _write(self, batch: list[Span]) -> None:
        try:
            self._writer.write(batch)
        except StoreError as error:
            if not self.dropped:
                _log.warning("spans are not written to %s: %s", self._writer.path, error)
            self.dropped += len(batch)
