"""Connections of HTTP on which plain submissions take the short way."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tailrace.gateway.express import START, Express
from tailrace.gateway.joined import JoinedTransport
from tailrace.gateway.seat import Seat

_MOST_WAITING = 64 * 1024
"""Bytes that a client may send ahead while a submission is under way."""
_SOONEST = 1.0


class Lane(HttpToolsProtocol):
    """A connection on which plain submissions take the short way, and events are written at once.

    The two ways never mix: a request takes the short one only where the parser is between
    messages and all that came before is answered; what comes meanwhile waits.
    """

    def __init__(self, express: Express, **given: Any) -> None:
        super().__init__(**given)
        self._express = express
        self._between = True
        self._busy = False
        self._leaving = False
        self._held = b""
        self._waiting: list[bytes] = []
        self._touched = 0.0
        self.timeout_keep_alive_task: asyncio.TimerHandle | None = None
        self.seat: Seat | None = None

    def on_message_begin(self) -> None:
        """Take note that a request has begun."""
        self._between = False
        super().on_message_begin()
        self.scope["state"]["line"] = self

    def on_message_complete(self) -> None:
        """Take note that a request has come as a whole."""
        self._between = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take in bytes, by the short way where it is open."""
        if self._busy:
            self._wait(data)
            return
        if self._held:
            data, self._held = self._held + data, b""
        if not (data.startswith(START) and self._is_idle() and self._takes(data)):
            super().data_received(data)

    def _is_idle(self) -> bool:
        cycle = self.cycle
        return (
            self._between
            and (cycle is None or cycle.response_complete)
            and not self._leaving
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _takes(self, data: bytes) -> bool:
        head = self._express.head(data)
        if head is None:
            return False
        self._touched = self.loop.time()
        missing = head.size + head.length - len(data)
        if missing > 0:
            self._held = data
            self._watch()
            return True
        if missing < 0:
            return False
        self._busy = True

        def answer(reply: bytes | None) -> None:
            self._end(reply, data)

        body, given = data[head.size :], self.server_state.default_headers
        self._busy = self._express.submit(head, body, given, answer)
        return self._busy

    def _wait(self, data: bytes) -> None:
        self._waiting.append(data)
        if sum(map(len, self._waiting)) > _MOST_WAITING:
            self.flow.pause_reading()

    def _end(self, reply: bytes | None, data: bytes) -> None:
        """Answer a submission, or leave it to the server; what has come meanwhile follows."""
        self._busy = False
        waiting = b"".join(self._waiting)
        self._waiting.clear()
        if self.parser is None or self.transport.is_closing():
            return  # the client has left; the run is queued all the same
        self.flow.resume_reading()
        if reply is None:
            super().data_received(data + waiting)
            if self._leaving:
                super().shutdown()
            return
        self._line.write_now(reply)
        self.server_state.total_requests += 1
        if self._leaving:
            self.transport.close()
            return
        self._touched = self.loop.time()
        self._watch()
        if waiting:
            self.data_received(waiting)

    def _watch(self, seconds: float = 0.0) -> None:
        """See to it that a connection ends that nothing comes on; one timer lasts for long."""
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                max(seconds or self.timeout_keep_alive, _SOONEST),
                self.timeout_keep_alive_handler,
            )

    def timeout_keep_alive_handler(self) -> None:
        """Disconnect a client of which nothing has come for long."""
        self.timeout_keep_alive_task = None
        left = self._touched + self.timeout_keep_alive - self.loop.time()
        if self._busy or left > 0:
            self._watch(left)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Disconnect, after the answer to what is under way."""
        if self._busy:
            self._leaving = True
        else:
            super().shutdown()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; what is written in one turn of the loop leaves in one piece."""
        self._line = JoinedTransport(transport)
        super().connection_made(self._line)  # type: ignore[arg-type]  # it does what one does

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who sends events that the client has left."""
        super().connection_lost(exc)
        if self.seat is not None:
            self.seat.left()

    def resume_writing(self) -> None:
        """Tell who sends events that there is room again."""
        super().resume_writing()
        if self.seat is not None:
            self.seat.has_room()

    @property
    def is_full(self) -> bool:
        """Whether the client is slow: there is no room for more."""
        return bool(self.flow.write_paused)

    def write_now(self, data: bytes) -> None:
        """Send bytes at once."""
        if not self.transport.is_closing():
            self._line.write_now(data)

    def abort(self) -> None:
        """Disconnect at once."""
        self.transport.abort()
