"""Following a run over breaks of the connection; both clients do it by this."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from tailrace.client.calls import Pairs, watch_path
from tailrace.client.refusals import not_ours
from tailrace.client.shapes import Run, RunEvent
from tailrace.client.sse import EventParser

SILENCE = 10.0
"""Seconds without a byte after which a connection is given up; servers say something every two."""
_LONGEST = 600
_SLACK = 1.0


class _Snapshot(Struct, frozen=True, kw_only=True):
    snapshot: Run
    ts: float = 0.0


class Following:
    """A run that is followed until it is over."""

    def __init__(self, run_id: str, *, records: bool, last_event_id: str = "") -> None:
        self.path = watch_path(run_id)
        self._query: Pairs = (("states", "full"), *([("include", "records")] if records else []))
        self.last_event_id = last_event_id
        self.is_over = False
        self._parser = EventParser()

    def query(self, left: float) -> Pairs:
        """Return the query of the next connection, with ``left`` seconds to go."""
        seconds = max(1, min(_LONGEST, math.ceil(min(left, _LONGEST) + _SLACK)))
        return (*self._query, ("timeout_sec", str(seconds)))

    def headers(self) -> dict[str, str]:
        """Return the headers of the next connection, which begins a new stream."""
        self._parser = EventParser()
        last = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        return {"Accept": "text/event-stream", **last}

    def feed(self, piece: bytes) -> Iterator[RunEvent]:
        """Yield what has changed.

        Raises:
            TransportError: this is no stream of a run (TR407).
        """
        for event in self._parser.feed(piece):
            if event.kind != "snapshot" or self.is_over:
                continue
            try:
                said = msgspec.json.decode(event.data, type=_Snapshot)
            except (msgspec.DecodeError, RecursionError) as error:
                raise not_ours(f"GET {self.path}", str(error)) from error
            if event.event_id and event.event_id == self.last_event_id:
                continue  # seen before the break
            self.last_event_id = event.event_id
            self.is_over = said.snapshot.is_terminal
            yield RunEvent(run=said.snapshot, ts=said.ts, event_id=event.event_id)
