"""Runs that wait for workers, on consumers of the work-queue stream."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tailrace.errors import Conflict, TransportError
from tailrace.jetstream.answers import Unreachable
from tailrace.jetstream.delivery import ACK, JetStreamDelivery
from tailrace.jetstream.link import Fence, Link
from tailrace.jetstream.names import PRIORITIES, Names, is_token
from tailrace.jetstream.objects import JetStreamObjects
from tailrace.jetstream.pull import Pull
from tailrace.jetstream.resources import Limits, ensure_consumers
from tailrace.model.remote import Job, decode_job, encode
from tailrace.ports import Delivery

_DAY = 86_400
LONGEST_JOB = 128 * 1024
"""Bytes of a job from which on its params and workflow are kept beside the message."""
_LOOK = 1.0
"""Seconds after which a take that waits looks after its requests."""
_GONE = frozenset({"409", "503"})
"""Statuses that may mean that a consumer is no longer there, or has no leader."""
_PAUSE = 0.05
"""Seconds after one of these."""
_log = logging.getLogger(__name__)


class JetStreamQueue:
    """See ``ports.WorkQueue``. One event loop uses it, one ``take`` at a time.

    High priorities come first, and tags in turn. A message that arrives while nobody takes is
    handed back at once, so that it never waits here.
    """

    def __init__(self, link: Link, names: Names, limits: Limits | None = None) -> None:
        self._link = link
        self._names = names
        self._limits = limits or Limits()
        self.objects = JetStreamObjects(link, names, self._limits)
        """Where params and workflows go that are too large for a message."""
        self.ack_wait = self._limits.ack_wait
        """Seconds until a delivery that nobody extends is made again: as the server has it."""
        self._known: set[str] = set()
        self._told: set[str] = set()
        self._pulls: dict[str, Pull] = {}
        self._by_token: dict[str, Pull] = {}
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._arrived: deque[JetStreamDelivery] = deque()
        self._news = asyncio.Event()
        self._returns: set[asyncio.Task[None]] = set()
        self._taking = False
        self._turn = 0
        link.listen(self._connection_changed)

    async def submit(self, job: Job) -> bool:
        """Queue a run with one message; False: it was there already, waiting, running or over.

        Raises:
            Unreachable: it may be queued all the same; submit it again to find out.
            TransportError: TR403, it is too large.
            ValueError: run id or tag is no token, or there is no such priority.
        """
        names = self._names
        if not (is_token(job.run_id) and is_token(job.tag) and job.priority in PRIORITIES):
            raise ValueError(f"no run to queue: {job.run_id!r}, {job.tag!r}, {job.priority!r}")
        delay = 0.0 if job.run_at is None else job.run_at - time.time()
        try:
            body = encode(job)
        except OverflowError:
            body = b""  # an integer of more than 64 bits
        if not body or len(body) > LONGEST_JOB:
            keep = max(delay, 0.0) + self._limits.keep_days * _DAY
            body = encode(await self._boxed(job, keep=keep))
        headers = {}
        subject = target = names.queue(job.tag, job.priority, job.run_id)
        if job.run_at is not None and delay > 0:
            subject = names.delayed(job.run_id)
            moment = datetime.fromtimestamp(job.run_at, UTC).isoformat().replace("+00:00", "Z")
            headers = {"Nats-Schedule": f"@at {moment}", "Nats-Schedule-Target": target}
        try:
            _, known = await self._link.store(
                subject,
                body,
                message_id=job.run_id,
                fence=Fence(names.state(job.run_id), 0),
                headers=headers,
            )
        except Conflict:
            return False
        return not known

    async def _boxed(self, job: Job, *, keep: float) -> Job:
        kept = job.params, job.workflow_yaml
        try:
            data = msgspec.msgpack.encode(kept)
        except OverflowError:
            data = json.dumps(kept).encode()
        name = await self.objects.put(data, keep=keep)
        return msgspec.structs.replace(job, params={}, workflow_yaml="", params_object=name)

    async def load(self, job: Job) -> Job:
        """Return a job with params and workflow, which may be kept beside its message.

        Raises:
            NotFound: they are not there any more.
        """
        if not job.params_object:
            return job
        data = await self.objects.get(job.params_object)
        params, text = (json.loads if data.startswith(b"[") else msgspec.msgpack.decode)(data)
        return msgspec.structs.replace(job, params=params, workflow_yaml=text, params_object="")

    async def find(self, run_id: str) -> Job | None:
        """Return a run that waits, or is to wait later; None: it does not."""
        if not is_token(run_id):
            return None
        names = self._names
        found = await self._link.last_of(names.runs, [names.queued(run_id), names.delayed(run_id)])
        try:
            return decode_job(found[-1].body) if found else None
        except msgspec.DecodeError:
            return None  # no run of ours

    async def withdraw(self, run_id: str) -> bool:
        """Remove a run that waits; False: it does not wait (any more)."""
        if not is_token(run_id):
            return False
        names = self._names
        removed = await self._link.purge(names.runs, names.delayed(run_id))
        return bool(await self._link.purge(names.runs, names.queued(run_id)) + removed)

    async def take(self, tags: Sequence[str], *, most: int, wait: float) -> list[Delivery]:
        """Return up to ``most`` deliveries; see ``ports.WorkQueue``."""
        end = time.monotonic() + wait
        await self._connected(end)
        await self._prepare(tags)
        self._taking = True
        try:
            found = self._collected(most)
            if not found:
                await self._sweep(tags, most)
                found = self._collected(most)
            if not found and wait > 0:
                await self._wait(tags, end)
                found = self._collected(most)
            return found
        finally:
            self._taking = False
            while self._arrived:
                await self._return(self._arrived.popleft())

    async def _connected(self, end: float) -> None:
        """Wait for a connection, so that nobody asks in a circle while there is none."""
        while not self._link.is_up:
            left = end - time.monotonic()
            if left <= 0:
                raise Unreachable("NATS is not connected at the moment")
            await self._any_news(left)

    def _collected(self, most: int) -> list[Delivery]:
        count = min(most, len(self._arrived))
        return [self._arrived.popleft() for _ in range(count)]

    async def _return(self, delivery: JetStreamDelivery) -> None:
        with suppress(Unreachable):
            await delivery.give_back()

    async def _prepare(self, tags: Sequence[str]) -> None:
        if self._subscription is None:
            self._inbox = self._link.new_inbox()
            self._subscription = await self._link.receive(f"{self._inbox}.*", self._take_in)
        fresh = [tag for tag in tags if tag not in self._known]
        if not fresh:
            return
        ack_wait, differences = await ensure_consumers(self._link, self._names, self._limits, fresh)
        self.ack_wait = min(self.ack_wait, ack_wait)
        for difference in differences:
            if str(difference) not in self._told:
                self._told.add(str(difference))
                _log.warning("%s; `tailrace server migrate` changes it", difference)
        self._known.update(fresh)
        for name in [self._names.consumer(tag, one) for tag in fresh for one in PRIORITIES]:
            if name not in self._pulls:
                pull = Pull(self._names.runs, name, str(len(self._pulls)))
                self._pulls[name] = self._by_token[pull.token] = pull

    def _in_turn(self, tags: Sequence[str]) -> list[Pull]:
        """Return the pulls by priority; the tags begin with another one each time."""
        self._turn += 1
        start = self._turn % len(tags)
        turned = [*tags[start:], *tags[:start]]
        return [self._pulls[self._names.consumer(tag, one)] for one in PRIORITIES for tag in turned]

    async def _sweep(self, tags: Sequence[str], most: int) -> None:
        """Ask each consumer in order for what it has at the moment."""
        for pull in self._in_turn(tags):
            missing = most - len(self._arrived)
            if missing <= 0:
                return
            if not pull.is_open():
                await pull.ask(self._link, self._inbox, missing, wait=0)
                while pull.is_open():
                    await self._any_news(_LOOK)

    async def _any_news(self, seconds: float) -> None:
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def _wait(self, tags: Sequence[str], end: float) -> None:
        """Wait at all consumers at once until something comes."""
        while not self._arrived:
            left = end - time.monotonic()
            if left <= 0:
                return
            if not self._known:
                await asyncio.sleep(min(left, _PAUSE))
                await self._connected(end)
                await self._prepare(tags)
            for pull in self._in_turn(tags):
                if not pull.is_open():
                    await pull.ask(self._link, self._inbox, 1, wait=max(left, 0.1))
            if not self._arrived:
                await self._any_news(min(left, _LOOK))

    def _take_in(self, message: Msg) -> None:
        """Take a message of a pull, or word that none comes."""
        if not message.reply.startswith(ACK):
            token, _, request = message.subject.rpartition(".")[2].partition("-")
            self._hear_status(token, request, message.headers or {})
            return
        delivery = JetStreamDelivery(self._link, message)
        pull = self._pulls.get(delivery.consumer)
        if pull is not None:
            pull.hear()
        if self._taking:
            self._arrived.append(delivery)
            self._news.set()
        else:
            task = asyncio.create_task(self._return(delivery))
            self._returns.add(task)
            task.add_done_callback(self._returns.discard)

    def _hear_status(self, token: str, request: str, headers: dict[str, str]) -> None:
        pull = self._by_token.get(token)
        status = headers.get("Status", "")
        if pull is None or not pull.hear_status(request, status):
            return
        if status in _GONE:
            self._known.clear()
        self._news.set()

    def _connection_changed(self, up: bool) -> None:  # noqa: FBT001 - a listener's signature
        """Whatever was asked for on the connection before will not come."""
        for pull in self._pulls.values():
            pull.forget()
        if not up:
            self._known.clear()
        self._news.set()

    async def close(self) -> None:
        """Stop asking; what was asked for and still comes is handed over to others."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(TransportError):
                await self._link.unsubscribe(subscription, drain=True)
        if self._returns:
            await asyncio.wait(self._returns)
