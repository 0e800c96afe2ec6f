"""Runs whose workers are known to be gone are delivered again at once, not after the ack wait.

The server waits for as long as a worker might only be slow; and a server that was restarted has
forgotten what was handed back to it. Fences are as ever: should a worker live after all, what it
writes is refused once somebody else has its run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from tailrace.jetstream.answers import Refused, Stored
from tailrace.jetstream.delivery import ACK
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import PRIORITIES, Names
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.model.remote import WorkerRecord, decode_state

_SILENT = 20.0
"""Seconds after which a worker of another machine counts as lost; at least the ack wait."""
_STATES = 200
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Open:
    """A consumer with deliveries that nobody has settled."""

    subject: str
    consumer: str
    after: int
    last: int
    """Sequences between which their messages lie."""
    delivery: int
    """Number of its last delivery."""
    ack_wait: float


async def hand_over(
    link: Link,
    names: Names,
    tags: Iterable[str],
    is_gone: Callable[[WorkerRecord], bool],
    *,
    before: WorkerRecord | None = None,
    own: str = "",
) -> int:
    """Have the open deliveries of workers that are gone made again; return how many those are.

    Where no worker lives, these are all. Otherwise they are those of ``before``.

    Args:
        link: the connection.
        names: of streams and subjects.
        tags: whose queues are looked at.
        is_gone: says of a worker whether it is certain that its process has ended, and that
            nothing of its journals waits to be stored.
        before: the worker in whose stead the caller is, where that is gone.
        own: the caller's worker id; it is stored already that this one lives, so that of two
            callers at least one knows of the other.
    """
    queues = [one for tag in tags for one in await _open(link, names, tag)]
    if not queues:
        return 0
    registry = JetStreamRegistry(link, names)
    now, patience = await registry.now(), max(_SILENT, *(one.ack_wait for one in queues))
    others = [one for one, _ in (await registry.workers()).values() if one.worker_id != own]
    is_alone = all(
        one.stopped_at is not None or is_gone(one) or now - one.last_seen_at > patience
        for one in others
    )
    count = 0
    for queue in queues:
        found = await _unsettled(link, names, queue)
        if not is_alone:
            found = [] if before is None else await _held_by(link, names, found, before.instance_id)
        for stored in found:
            await link.send(_reply(names, queue, stored), b"-NAK")
        count += len(found)
    return count


async def _open(link: Link, names: Names, tag: str) -> list[_Open]:
    found: list[_Open] = []
    for priority in PRIORITIES:
        consumer = names.consumer(tag, priority)
        try:
            info: dict[str, Any] = await link.api(f"CONSUMER.INFO.{names.runs}.{consumer}")
        except Refused:
            continue  # nobody has asked for runs of this tag yet
        if info["num_ack_pending"]:
            found.append(
                _Open(
                    names.queues(tag, priority),
                    consumer,
                    int(info["ack_floor"]["stream_seq"]),
                    int(info["delivered"]["stream_seq"]),
                    int(info["delivered"]["consumer_seq"]),
                    info["config"]["ack_wait"] / _SECOND,
                )
            )
    return found


async def _unsettled(link: Link, names: Names, queue: _Open) -> list[Stored]:
    """Return the messages that are delivered and still there: a settled one is removed."""
    found: list[Stored] = []
    first = queue.after + 1
    while first <= queue.last:
        page = await link.scan(names.runs, first, subject=queue.subject)
        if not page:
            break
        found += [one for one in page if one.sequence <= queue.last]
        first = page[-1].sequence + 1
    return found


async def _held_by(
    link: Link, names: Names, messages: Collection[Stored], instance_id: str
) -> list[Stored]:
    """Return the messages of runs that a process has claimed."""
    by_state = {names.state(one.subject.rpartition(".")[2]): one for one in messages}
    subjects, held = list(by_state), list[Stored]()
    for start in range(0, len(subjects), _STATES):
        for stored in await link.last_of(names.runs, subjects[start : start + _STATES]):
            if not stored.is_marker and _holder(stored) == instance_id:
                held.append(by_state[stored.subject])
    return held


def _holder(stored: Stored) -> str | None:
    try:
        return decode_state(stored.body).instance_id
    except msgspec.DecodeError:
        return None


def _reply(names: Names, queue: _Open, stored: Stored) -> str:
    """Return where a delivery is settled; the server looks at the two sequences only."""
    stream, sequence, delivery = names.runs, stored.sequence, queue.delivery
    return f"{ACK}{stream}.{queue.consumer}.1.{sequence}.{delivery}.0.0"
