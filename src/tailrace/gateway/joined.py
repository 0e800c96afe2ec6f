"""Connections on which what is written in one turn of the loop leaves in one piece."""

from __future__ import annotations

import asyncio
from typing import Any


class JoinedTransport:
    """A transport; head and body of an answer cost one call of the system instead of two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send bytes, at the end of this turn of the loop at the latest."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def _flush(self) -> None:
        pieces = self._pieces
        if pieces:
            self._pieces = []
            self._transport.write(b"".join(pieces))

    def write_now(self, data: bytes) -> None:
        """Send bytes after those that are still to be sent, in this moment."""
        if self._pieces:
            self._flush()
        self._transport.write(data)

    def close(self) -> None:
        """Send what is still to be sent, and disconnect."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def joined(protocol: type[Any]) -> type[Any]:
    """Return a protocol of HTTP whose connections join what they write."""

    class Joined(protocol):  # type: ignore[misc]  # known when the server starts
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(JoinedTransport(transport))

    return Joined
