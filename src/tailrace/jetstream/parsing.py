"""Reads the protocol of NATS: messages quickly, all else as nats-py does."""

from __future__ import annotations

from typing import Any

from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

_END = b"\r\n"
_WORDS = {(b"MSG", 4): (0, 3), (b"MSG", 5): (0, 4), (b"HMSG", 5): (3, 4), (b"HMSG", 6): (4, 5)}
"""Which words of a message's first line are the sizes of its headers (0: none) and of all."""
_REPLY = 3
"""The word that is the subject for replies, where there is one."""


class FastParser(Parser):
    """Takes messages from what has come in without a regular expression and a copy for each.

    Its ``nc`` is a ``FastClient``, which is asked first whether it takes a message at once.
    """

    def __init__(self, nc: Any) -> None:
        self._epoch = 0
        super().__init__(nc)

    def reset(self) -> None:
        """Forget what has come in: it was another connection's."""
        super().reset()
        self._wanted = 0
        self._epoch += 1

    async def parse(self, data: bytes = b"") -> None:
        """Take in what has come, and keep what is not complete."""
        if self.state != AWAITING_CONTROL_LINE:
            await super().parse(data)
            return
        if self.buf:
            self.buf.extend(data)
            if len(self.buf) < self._wanted:
                return
            data = bytes(self.buf)
            self.buf = bytearray()
        self._wanted = at = 0
        epoch, deliver = self._epoch, self.nc.deliver
        while at < len(data):
            end = data.find(_END, at)
            words = data[at:end].split() if end >= 0 else [b""]
            sizes = _WORDS.get((words[0], len(words)))
            if sizes is None:
                self.buf = bytearray(data[at:])
                await super().parse()
                return
            middle, size = sizes
            first = end + 2
            last = first + int(words[size])
            if last + 2 > len(data):
                self._wanted = last + 2 - at
                break
            body = first + int(words[middle]) if middle else first
            reply = words[_REPLY] if (middle or size) > _REPLY else b""
            at = last + 2
            message = (int(words[2]), words[1], reply, data[body:last], data[first:body])
            if not deliver(*message):
                await self.nc._process_msg(*message)  # noqa: SLF001 - as its own parser does
                if self._epoch != epoch:
                    return
        if at < len(data):
            self.buf = bytearray(data[at:])
