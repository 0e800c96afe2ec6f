"""Spans of a server as they end, over breaks of the connection."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from tailrace.client.refusals import not_ours
from tailrace.client.traces import pairs
from tailrace.store.follow_runs import Growth

if TYPE_CHECKING:
    from tailrace.client.sync import Client
    from tailrace.model.span import Span

_PATH = "/api/traces/tail"
_LONGEST = 600
_REMEMBERED = 50_000


class _Grown(Struct):
    items: list[Growth]
    is_behind: bool = False


class RemoteFollower:
    """Tells each span of a server once, when it has ended; see ``SpanFollower``.

    Args:
        client: the server; closed with this.
        since_ns: what ended since then is told first; None: from now on.
    """

    def __init__(self, client: Client, *, since_ns: int | None = None) -> None:
        self._client = client
        self._since = since_ns
        self._told: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._events = self._listen()
        self.is_behind = False
        """Whether more was there than one look takes; the next look is due at once."""

    def close(self) -> None:
        """Close the connection."""
        self._events.close()
        self._client.close()

    def look(self) -> list[Growth]:
        """Return what has ended since the last look; waits a while where it is nothing.

        Raises:
            TransportError: the server does not answer for longer than the client is patient.
            NotAllowed: the key is missing, wrong, or may not.
        """
        return next(self._events, [])

    def _listen(self) -> Generator[list[Growth], None, None]:
        """Yield what comes, and nothing with every sign of life."""
        query = pairs(timeout_sec=_LONGEST, since_ns=self._since)
        for event in self._client.events(_PATH, query):
            yield self._grown(event.data) if event.kind == "spans" else []

    def _grown(self, data: str) -> list[Growth]:
        try:
            said = msgspec.json.decode(data, type=_Grown)
        except (msgspec.DecodeError, RecursionError) as error:
            raise not_ours(f"GET {_PATH}", str(error)) from error
        self.is_behind = said.is_behind
        for growth in said.items:
            growth.ended = [span for span in growth.ended if self._is_new(span)]
        return [growth for growth in said.items if growth.ended]

    def _is_new(self, span: Span) -> bool:
        key = span.span_id, span.start_ns
        if key in self._told:
            return False
        self._told[key] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True
