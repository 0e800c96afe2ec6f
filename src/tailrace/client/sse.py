"""Server-sent events, out of bytes that come in pieces."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tailrace.errors import TransportError

_LONGEST = 32 * 1024 * 1024
"""Bytes of one event; no snapshot of a run comes near."""


class Event(Struct, frozen=True, kw_only=True):
    """An event of a stream."""

    kind: str = "message"
    data: str = ""
    event_id: str = ""
    """The last one that was said, be it with this event or an earlier one."""


class EventParser:
    """Takes bytes, gives events (the format of HTML's ``text/event-stream``)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._size = 0
        self._kind = ""
        self._data: list[str] = []
        self._id = ""
        self._is_first = True

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that are complete with this piece.

        Raises:
            TransportError: an event is larger than anything we would send (TR407).
        """
        self._buffer += piece
        self._size += len(piece)
        if self._size > _LONGEST:
            raise TransportError("the server sends an event without an end", code="TR407")
        start = 0
        while (end := self._line_end(start)) is not None:
            line = bytes(self._buffer[start : end[0]])
            start = end[1]
            event = self._line(line)
            if event is not None:
                self._size = len(self._buffer) - start
                yield event
        del self._buffer[:start]

    def _line_end(self, start: int) -> tuple[int, int] | None:
        """Return where the line ends and the next one begins; None: the end is still to come."""
        ends = [at for at in (self._buffer.find(b, start) for b in (b"\n", b"\r")) if at >= 0]
        if not ends:
            return None
        at = min(ends)
        if self._buffer[at] == ord("\n"):
            return at, at + 1
        if at + 1 == len(self._buffer):
            return None  # perhaps the first half of \r\n
        return at, at + (2 if self._buffer[at + 1] == ord("\n") else 1)

    def _line(self, raw: bytes) -> Event | None:
        if self._is_first:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            self._is_first = False
        if not raw:
            return self._end()
        name, _, value = raw.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case _:
                pass  # a comment, or a field that we have no use for
        return None

    def _end(self) -> Event | None:
        kind, data = self._kind, self._data
        self._kind, self._data = "", []
        if not data:
            return None
        return Event(kind=kind or "message", data="\n".join(data), event_id=self._id)
