"""The client of nats-py with shorter ways for what is done for each message.

Its own cost more than all else. They may change or vanish in nats-py: then what it has is used,
and all that is lost is speed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import nats.errors
from nats.aio.client import PING_PROTO, Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tailrace.jetstream.parsing import FastParser

Receiver = Callable[[Msg], None]
"""Told each message of a subscription, at once; it must not wait, nor raise."""
_NEEDED = (
    "_flush_queue",
    "_flusher_task",
    "_max_payload",
    "_max_pending_size",
    "_pending",
    "_pongs",
    "_send_command",
)
_MOST_BUFFERED = 512 * 1024
"""Bytes that may wait for the server before more is held back."""
_LINE = len("NATS/1.0")
_FRAME = len("NATS/1.0\r\n\r\n")
"""Bytes of a block of headers besides them."""
_STATUS = 3
_log = logging.getLogger(__name__)


class FastClient(Client):
    """Writes and reads headers as plain text: ours are ASCII, and so are the server's."""

    def __init__(self) -> None:
        super().__init__()
        self._receivers: dict[int, Receiver] = {}
        self._is_flushing = False
        self._is_known = all(hasattr(self, name) for name in _NEEDED)
        self._ps = FastParser(self)

    async def close(self) -> None:
        """Disconnect; who was never connected has nothing to do."""
        if getattr(self, "_flush_queue", True) is not None:
            await super().close()

    def receive(self, subscription: Subscription, receiver: Receiver) -> None:
        """Have messages of a subscription taken in at once, without its queue and its task."""
        number = getattr(subscription, "_id", None)
        if number is not None:
            self._receivers[number] = receiver

    def forget(self, subscription: Subscription) -> None:
        """Have nobody told of the messages of a subscription any more."""
        self._receivers.pop(getattr(subscription, "_id", -1), None)

    def deliver(
        self, number: int, subject: bytes, reply: bytes, data: bytes, header: bytes
    ) -> bool:
        """Take a message in, if somebody wants it at once; False: nobody does."""
        receiver = self._receivers.get(number)
        if receiver is None:
            return False
        try:
            headers = _headers_of(header) if header else None
            receiver(Msg(self, subject.decode(), reply.decode(), data, headers))
        except Exception:  # noqa: BLE001 - one message must not end the reading of all
            _log.exception("a message could not be taken in", extra={"subject": subject})
        return True

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        if not self.deliver(sid, subject, reply, data, headers):
            await super()._process_msg(sid, subject, reply, data, headers)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                found[name] = value.strip()
        return found

    def put(self, subject: str, reply: str, payload: bytes, headers: dict[str, str] | None) -> bool:
        """Send a message if that can be done at once; False: ``publish`` it.

        Raises:
            BadSubjectError, BadHeaderError: it cannot be sent at all.
        """
        if not self._is_known or not self.is_connected or self.is_draining_pubs:
            return False
        queue, flusher = self._flush_queue, self._flusher_task
        if queue is None or flusher is None or flusher.done() or len(payload) > self._max_payload:
            return False
        command = _command(subject, reply, payload, headers)
        size = self._pending_data_size + len(command)
        if 0 < self._max_pending_size < size:
            return False
        self._pending.append(command)
        self._pending_data_size = size
        if not self._is_flushing and queue.empty():
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush_now, queue)
        return True

    def _flush_now(self, queue: asyncio.Queue[asyncio.Future[None]]) -> None:
        """Hand over what this turn of the loop has put, or leave it to the flusher, which waits."""
        self._is_flushing = False
        writer = getattr(self._transport, "_io_writer", None)
        if not self._pending or queue is not self._flush_queue or not queue.empty():
            return
        if (
            not self.is_connected
            or not isinstance(writer, asyncio.StreamWriter)
            or writer.transport.get_write_buffer_size() > _MOST_BUFFERED
        ):
            queue.put_nowait(asyncio.get_running_loop().create_future())
        else:
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            with suppress(OSError, RuntimeError):  # the connection is lost: the reader will notice
                writer.write(b"".join(pending))

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """Ask for an answer to all that was sent; nats-py asks before what still waits is sent."""
        if not self._is_known:
            await super()._send_ping(future)
            return
        self._pongs.append(asyncio.get_running_loop().create_future() if future is None else future)
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def _send_publish(
        self,
        subject: str,
        reply: str,
        payload: bytes,
        payload_size: int,
        headers: dict[str, str] | None,
    ) -> None:
        command = _command(subject, reply, payload, headers)
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += payload_size
        await self._send_command(command)
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()


def _command(subject: str, reply: str, payload: bytes, headers: dict[str, str] | None) -> bytes:
    """Return what is sent for a message."""
    if not subject or " " in subject or "\n" in subject:
        raise nats.errors.BadSubjectError
    if not headers:
        return b"%b%b\r\n" % (f"PUB {subject} {reply} {len(payload)}\r\n".encode(), payload)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers):
        raise nats.errors.BadHeaderError(lines)
    size = len(lines) if lines.isascii() else len(lines.encode())
    size += _FRAME
    head = f"HPUB {subject} {reply} {size} {size + len(payload)}\r\nNATS/1.0\r\n{lines}\r\n"
    return b"%b%b\r\n" % (head.encode(), payload)


def _headers_of(block: bytes) -> dict[str, str]:
    """Return the headers of a message, and the status in their first line as two of them."""
    first, *lines = block.decode("utf-8", "replace").split("\r\n")
    found: dict[str, str] = {}
    said = first[_LINE:].strip()
    if said:
        status, about = said[:_STATUS], said[_STATUS:].strip()
        if status.isdigit():
            found["Status"] = status
        if about:
            found["Description"] = about
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found
