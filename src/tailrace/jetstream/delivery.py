"""A message in the hands of a worker, and what its acknowledgement subject says."""

from __future__ import annotations

import msgspec
from nats.aio.msg import Msg

from tailrace.jetstream.link import Link

ACK = "$JS.ACK."
"""How the reply subject of a delivery begins."""
_ACK_TOKENS = 9
"""Tokens of an acknowledgement's subject; newer servers put two in front of the stream's name."""
_SECOND = 1_000_000_000
_MOST_REASON = 256
_encode = msgspec.json.Encoder().encode


class JetStreamDelivery:
    """One hand-over of a message; see ``ports.Delivery``.

    Settling is not confirmed. When it gets lost, the message is handed over once more, and the
    state of its run says that there is nothing left to do.
    """

    __slots__ = ("_link", "_reply", "body", "consumer", "number", "sequence", "subject")

    def __init__(self, link: Link, message: Msg) -> None:
        self._link = link
        self._reply = message.reply
        self.subject = message.subject
        self.body = message.data
        tokens = message.reply.split(".")
        first = 4 if len(tokens) == _ACK_TOKENS else 6
        self.consumer = tokens[first - 1]
        """That it came from."""
        self.number = int(tokens[first])
        self.sequence = int(tokens[first + 1])
        """Of the message in the stream."""

    @property
    def stored_ns(self) -> int:
        """When the server stored the message, nanoseconds since the epoch by its clock."""
        return int(self._reply.rsplit(".", 2)[1])

    async def extend(self) -> None:
        """Keep it from being handed over again for another ack wait."""
        await self._link.send(self._reply, b"+WPI")

    async def done(self) -> None:
        """Remove the message from the stream."""
        await self._link.send(self._reply, b"+ACK")

    def done_soon(self) -> bool:
        """Do so at once; False: that is not possible at the moment."""
        return self._link.put(self._reply, b"+ACK")

    async def give_back(self, delay: float = 0.0) -> None:
        """Have it handed over again after ``delay`` seconds."""
        body = b"-NAK"
        if delay > 0:
            body += b" " + _encode({"delay": int(delay * _SECOND)})
        await self._link.send(self._reply, body)

    async def drop(self, reason: str) -> None:
        """Remove a message that nobody can execute; the server reports the reason."""
        text = " ".join(reason.split()).encode()[:_MOST_REASON]
        await self._link.send(self._reply, b"+TERM " + text)
