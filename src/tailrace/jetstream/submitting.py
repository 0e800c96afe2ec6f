"""Queueing a run without waiting: the short way of ``JetStreamQueue.submit`` for nearly all."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from tailrace.errors import TransportError
from tailrace.jetstream.answers import Unreachable, decode_ack
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.queue import LONGEST_JOB
from tailrace.model.remote import Job, encode

Told = Callable[[bool | TransportError], None]
"""Told True: it is queued; False: it is not, or was before: ``JetStreamQueue.submit`` says what
is so; an error: it may be queued all the same."""


class _Answer:
    """Takes the one answer to a submission."""

    __slots__ = ("_told",)

    def __init__(self, told: Told) -> None:
        self._told: Told | None = told

    def done(self) -> bool:
        """Whether it has been told."""
        return self._told is None

    def set_result(self, message: Msg, /) -> None:
        """Take the answer; one without a body says that nobody was there to answer."""
        try:
            ack = decode_ack(message.data)
        except msgspec.DecodeError:
            is_queued = False
        else:
            is_queued = ack.error is None and not ack.duplicate and ack.seq > 0
        self._tell(is_queued)

    def set_exception(self, error: BaseException, /) -> None:
        """Take that there is none."""
        known = isinstance(error, TransportError)
        self._tell(error if known else Unreachable(str(error)))  # type: ignore[arg-type]  # just seen

    def _tell(self, what: bool | TransportError) -> None:  # noqa: FBT001 - as Told has it
        told, self._told = self._told, None
        if told is not None:
            told(what)


class Submitter:
    """Queues runs whose answers come in later, in the reading of the connection."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names

    def submit(self, job: Job, told: Told) -> bool:
        """Queue a run and have somebody told; False: it takes ``JetStreamQueue.submit``."""
        if job.run_at is not None:
            return False
        try:
            body = encode(job)
        except (OverflowError, UnicodeEncodeError):
            return False
        if len(body) > LONGEST_JOB:
            return False
        run_id, names = job.run_id, self._names
        headers = {
            "Nats-Msg-Id": run_id,
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-Expected-Last-Subject-Sequence-Subject": names.state(run_id),
        }
        subject = names.queue(job.tag, job.priority, run_id)
        return self._link.ask(subject, body, _Answer(told), headers=headers)
