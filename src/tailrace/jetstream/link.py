"""One connection to NATS, and the few calls of JetStream that we need.

nats-py carries the bytes. Its own JetStream helpers cost twice the processor and lack what the
queue is built on (fencing by another subject, reading many subjects at once).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tailrace.errors import TransportError
from tailrace.jetstream.address import Address, begin, denial_in, is_rejection, unopened
from tailrace.jetstream.answers import (
    NO_STREAM,
    RETRYABLE,
    Denied,
    NotReady,
    Refused,
    Rejected,
    Stored,
    Unreachable,
    check_answer,
    decode_ack,
    raise_for,
)
from tailrace.jetstream.direct import NO_RESPONDERS, EndOfBatch, stored_of
from tailrace.jetstream.transport import FastClient, Receiver
from tailrace.jetstream.waiting import Batch, Taker, Waiting

Listener = Callable[[bool], None]
"""Told True when the connection stands (again), False when it is lost."""
Handler = Callable[[Msg], Awaitable[None]]
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)
_STREAM_LOOK = 1.0
"""Seconds until a missing stream is looked for again."""
_RETRY_FIRST = 0.01
_RETRY_MOST = 0.5
_LOOK = 0.05
"""Seconds between looks for requests that have waited too long."""
_MOST_BYTES = 8 * 1024 * 1024
"""Of one answer of many messages; the rest is asked for again."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The last sequence that a subject must have for a write to be taken; 0: none must be there."""

    subject: str
    sequence: int


class Link:
    """A connection that reconnects for ever. One event loop uses it.

    Every call raises Unreachable when NATS does not answer within ``timeout`` seconds: what was
    asked for may have been done all the same. Writes may be repeated: their ids and fences see to
    it that they happen once.
    """

    def __init__(self, address: Address, *, timeout: float = 0.9) -> None:
        self.address = address
        self.timeout = timeout
        self._client = FastClient()
        self._inbox = ""
        self._waiting: dict[str, Waiting] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._batches: dict[str, Batch] = {}
        self._next = 0
        self._listeners: list[Listener] = []
        self._problem: Exception | None = None
        self._rejection: Exception | None = None
        self._refusal = asyncio.Event()
        self._denied: Denied | None = None

    @property
    def is_up(self) -> bool:
        """Whether the connection stands at the moment."""
        return self._client.is_connected

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message that the server takes."""
        return int(self._client.max_payload)

    def listen(self, listener: Listener) -> None:
        """Have somebody told when the connection is lost and found again."""
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Tell somebody no more; who was never to be told need not leave."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def open(self, *, wait: float | None = 2.0) -> None:
        """Connect.

        Args:
            wait: seconds to try for; None: for ever.

        Raises:
            Unreachable: nobody answered in that time.
            Rejected: TR411, it does not know us; TR412, no encrypted connection comes about.
            Denied: it lets nobody answer us.
        """
        try:
            async with asyncio.timeout(wait):
                await self._connect()
        except Rejected:
            raise  # a file of ours is not good: nobody was asked
        except (TimeoutError, OSError, nats.errors.Error, ValueError) as error:
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._client.close()
            raise unopened(self.address, self._rejection or self._problem or error) from error
        self._inbox = self.new_inbox()
        await self.receive(f"{self._inbox}.*", self._answered)
        await self.flush()
        if self._denied is not None:
            await self.close()
            raise self._denied
        self._tell(up=True)

    async def _connect(self) -> None:
        """Connect; tries again and again, but for who is refused."""
        self._problem = self._rejection = self._denied = None
        self._refusal.clear()
        trying = asyncio.ensure_future(self._try())
        refused = asyncio.ensure_future(self._refusal.wait())
        try:
            await asyncio.wait({trying, refused}, return_when=asyncio.FIRST_COMPLETED)
            if trying.done():
                trying.result()
            elif self._rejection is not None:
                raise self._rejection
        finally:
            refused.cancel()
            if not trying.done():
                trying.cancel()
                await asyncio.wait({trying})

    async def _try(self) -> None:
        while True:
            try:
                await self._try_once()
            except ConnectionResetError:  # before its last word was read: that comes next time
                await asyncio.sleep(_RETRY_FIRST)
            else:
                return

    async def _try_once(self) -> None:
        self._client = FastClient()
        await begin(
            self._client, self.address, failed=self._failed, lost=self._lost, found=self._found
        )

    async def close(self) -> None:
        """Send what is still to be sent, and disconnect."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        with contextlib.suppress(nats.errors.Error, OSError, asyncio.TimeoutError):
            if self._client.is_connected:
                await self._client.flush(timeout=1)
        with contextlib.suppress(nats.errors.Error, OSError):
            await self._client.close()

    async def _failed(self, error: Exception) -> None:
        """Take in an error that answers no request of its own accord."""
        self._problem = error
        if is_rejection(error):
            self._rejection = error
            self._refusal.set()
        denied = denial_in(error)
        if denied is not None:
            self._deny(*denied)

    def _deny(self, error: Denied, subject: str) -> None:
        """Fail the requests that the server does not let pass; it names subjects in lower case."""
        _log.warning("%s; %s", error.message, error.hint)
        if subject.startswith(self._inbox.lower()):
            self._denied = error
        for waiting in tuple(self._waiting.values()):
            if waiting.subject.lower() == subject and not waiting.future.done():
                waiting.future.set_exception(error)
        for batch in self._batches.values():
            if subject == f"$js.api.direct.get.{batch.stream}".lower() and not batch.future.done():
                batch.future.set_exception(error)

    async def _lost(self) -> None:
        for waiting in tuple(self._waiting.values()):
            if not waiting.future.done():
                waiting.future.set_exception(Unreachable("the connection to NATS was lost"))
        for batch in self._batches.values():
            if not batch.future.done():
                batch.future.set_exception(Unreachable("the connection to NATS was lost"))
        self._tell(up=False)

    async def _found(self) -> None:
        self._tell(up=True)

    def _tell(self, *, up: bool) -> None:
        for listener in tuple(self._listeners):
            listener(up)

    def _answered(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is None:
            batch = self._batches.get(message.subject)
            if batch is not None:
                batch.take(message)
        elif not waiting.future.done():
            waiting.future.set_result(message)

    async def request(
        self,
        subject: str,
        body: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> Msg:
        """Return the one answer to a message.

        Raises:
            Unreachable: none came, or nobody listens.
        """
        inbox = self._reply_to()
        loop = asyncio.get_running_loop()
        limit = self.timeout if timeout is None else timeout
        future: asyncio.Future[Msg] = loop.create_future()
        self._waiting[inbox] = Waiting(future, subject, limit, loop.time() + limit)
        self._watch_over(loop)
        try:
            await self.send(subject, body, reply=inbox, headers=headers)
            message = await future
        finally:
            self._waiting.pop(inbox, None)
        if not message.data and (message.headers or {}).get("Status") == NO_RESPONDERS:
            raise NotReady("JetStream does not answer yet: no server is its leader")
        return message

    def ask(self, subject: str, body: bytes, taker: Taker, *, headers: dict[str, str]) -> bool:
        """Send a request and have somebody told of its answer; False: it cannot be sent at once."""
        self._next += 1
        inbox = f"{self._inbox}.{self._next}"
        if not self._client.put(subject, inbox, body, headers):
            return False
        loop = asyncio.get_running_loop()
        self._waiting[inbox] = Waiting(taker, subject, self.timeout, loop.time() + self.timeout)
        self._watch_over(loop)
        return True

    def _reply_to(self) -> str:
        """Return a subject for one answer, or one batch of them."""
        if not self._client.is_connected:
            raise Unreachable("NATS is not connected at the moment")
        self._next += 1
        return f"{self._inbox}.{self._next}"

    def _watch_over(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watch is None:
            self._watch = loop.call_later(_LOOK, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up what has waited too long; one timer for all is cheaper than one for each."""
        now = loop.time()
        for waiting in tuple(self._waiting.values()):
            if now > waiting.end and not waiting.future.done():
                text = f"no answer to {waiting.subject} within {waiting.seconds:g} s"
                waiting.future.set_exception(Unreachable(text))
        for batch in self._batches.values():
            if now > batch.end and not batch.future.done():
                batch.future.set_exception(Unreachable(f"stream {batch.stream} stopped answering"))
        for inbox in [key for key, one in self._waiting.items() if one.future.done()]:
            del self._waiting[inbox]
        self._watch = None
        if self._waiting or self._batches:
            self._watch_over(loop)

    async def send(
        self, subject: str, body: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send a message that nobody confirms; it waits here while the connection is lost.

        Raises:
            TransportError: TR403, it is larger than the server takes.
            Unreachable: the connection is closed, or lost for long.
        """
        try:
            if not self._client.put(subject, reply, body, headers):
                await self._client.publish(subject, body, reply=reply, headers=headers)
        except nats.errors.MaxPayloadError as error:
            raise TransportError(
                f"a message of {len(body):,} bytes is larger than NATS takes", code="TR403"
            ) from error
        except (nats.errors.BadSubjectError, nats.errors.BadHeaderError) as error:
            raise ValueError(f"no subject or header of NATS: {subject!r}, {headers!r}") from error
        except (nats.errors.Error, OSError) as error:
            raise Unreachable(f"NATS is not connected: {error}") from error

    def put(self, subject: str, body: bytes) -> bool:
        """Send a message that nobody confirms; False: that cannot be done at once."""
        return self._client.put(subject, "", body, None)

    async def subscribe(self, subject: str, handler: Handler, *, most: int = 0) -> Subscription:
        """Call a handler with each message of a subject, until it is unsubscribed.

        Args:
            subject: or a filter.
            handler: called with one message after the other.
            most: messages after which the subscription is over; 0: any number.
        """
        try:
            subscription = await self._client.subscribe(subject, cb=handler, max_msgs=most)
            if most:
                await subscription.unsubscribe(limit=most)
        except (nats.errors.Error, OSError) as error:
            raise Unreachable(f"NATS is not connected: {error}") from error
        return subscription

    async def receive(self, subject: str, receiver: Receiver) -> Subscription:
        """Call somebody, who must not wait, with each message of a subject as it comes in.

        This costs a fraction of what ``subscribe`` does.
        """

        async def hear(message: Msg) -> None:
            receiver(message)

        subscription = await self.subscribe(subject, hear)
        self._client.receive(subscription, receiver)
        return subscription

    def new_inbox(self) -> str:
        """Return a subject that nobody else listens to; subjects below it are free, too."""
        return self._client.new_inbox()

    async def unsubscribe(self, subscription: Subscription, *, drain: bool = False) -> None:
        """End a subscription; where the connection is lost it has ended already.

        Args:
            subscription: of this link.
            drain: let the handler have what has been sent already.
        """
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            if drain and self.is_up:
                async with asyncio.timeout(self.timeout):
                    await subscription.drain()  # type: ignore[no-untyped-call]
            else:
                await subscription.unsubscribe()
        self._client.forget(subscription)

    async def flush(self) -> None:
        """Wait until the server has what was sent.

        Raises:
            Unreachable: it does not answer.
        """
        try:
            await self._client.flush(timeout=max(1, int(self.timeout)))
        except (nats.errors.Error, OSError) as error:
            raise Unreachable(f"NATS does not answer: {error}") from error

    async def api(
        self, call: str, body: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return what the JetStream API answers to a call such as ``STREAM.INFO.name``.

        Raises:
            Refused: it refused.
        """
        message = await self.request(
            f"$JS.API.{call}", b"" if body is None else _encode(body), timeout=timeout
        )
        return check_answer(message.data)

    async def store(
        self,
        subject: str,
        body: bytes,
        *,
        message_id: str = "",
        fence: Fence | None = None,
        headers: Mapping[str, str] | None = None,
        stream: str = "",
    ) -> tuple[int, bool]:
        """Store a message and return (sequence, whether it had been stored before).

        Answers that mean "in a moment" are asked again until the timeout. Where the stream is
        named, it is looked for when nobody takes the message.

        Raises:
            Conflict: the fence does not hold; nothing was stored.
            Refused: JetStream does not take it, or there is no such stream (any more).
        """
        sent = dict(headers or {})
        if message_id:
            sent["Nats-Msg-Id"] = message_id
        if fence is not None:
            sent["Nats-Expected-Last-Subject-Sequence"] = str(fence.sequence)
            if fence.subject != subject:
                sent["Nats-Expected-Last-Subject-Sequence-Subject"] = fence.subject
        pause, end = _RETRY_FIRST, asyncio.get_running_loop().time() + self.timeout
        while True:
            late = asyncio.get_running_loop().time() + pause > end
            try:
                ack = decode_ack((await self.request(subject, body, headers=sent or None)).data)
            except NotReady:
                if late:
                    await self._demand(stream)
                    raise
            else:
                if ack.error is None:
                    return ack.seq, ack.duplicate
                if ack.error.err_code not in RETRYABLE or late:
                    raise_for(ack.error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_MOST)

    async def _demand(self, stream: str) -> None:
        """Raise if a stream is certainly not there.

        Raises:
            Refused: number 10059.
        """
        try:
            if stream:
                await self.info(stream)
        except Refused as error:
            if error.number != NO_STREAM:
                return
            await asyncio.sleep(_STREAM_LOOK)  # a server that has just started may not know yet
            await self.info(stream)

    async def last(self, stream: str, subject: str) -> Stored | None:
        """Return the last message of a subject; None: there is none."""
        message = await self.request(f"$JS.API.DIRECT.GET.{stream}.{subject}")
        return stored_of(message)

    async def last_of(self, stream: str, subjects: Sequence[str]) -> list[Stored]:
        """Return the last message of each of these subjects (filters, too), in order.

        Raises:
            Refused: status 413, they mean more than 1,024 messages.
        """
        body: dict[str, Any] = {"multi_last": list(subjects), "max_bytes": _MOST_BYTES}
        found, rest = await self._batch(stream, body)
        while rest is not None and rest.left:
            more = {"seq": rest.last + 1, "up_to_seq": rest.upto}
            page, rest = await self._batch(stream, body | more)
            found += page
        return found

    async def scan(
        self, stream: str, first: int, *, subject: str = ">", limit: int = 1000
    ) -> list[Stored]:
        """Return messages from a sequence on, in order; none: there are no more.

        There may be fewer than ``limit`` although more follow, where they are large.
        """
        body = {"seq": first, "batch": limit, "next_by_subj": subject, "max_bytes": _MOST_BYTES}
        found, _ = await self._batch(stream, body)
        return found

    async def _batch(
        self, stream: str, body: dict[str, Any]
    ) -> tuple[list[Stored], EndOfBatch | None]:
        """Return the messages of one direct get, and what its end says (None: found nothing)."""
        inbox = self._reply_to()
        batch = self._batches[inbox] = Batch(stream, self.timeout)
        self._watch_over(asyncio.get_running_loop())
        try:
            await self.send(f"$JS.API.DIRECT.GET.{stream}", _encode(body), reply=inbox)
            rest = await batch.future
        finally:
            del self._batches[inbox]
        return batch.found, rest

    async def purge(self, stream: str, subject: str) -> int:
        """Delete the messages of a subject (or a filter) and return how many there were."""
        answer = await self.api(f"STREAM.PURGE.{stream}", {"filter": subject})
        return int(answer.get("purged", 0))

    async def info(self, stream: str) -> dict[str, Any]:
        """Return configuration and state of a stream.

        Raises:
            Refused: number 10059, there is no such stream.
        """
        return await self.api(f"STREAM.INFO.{stream}")
