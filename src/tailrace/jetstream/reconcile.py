"""Messages that the server would never deliver again: found, revived, or made dead letters.

Our consumers deliver without limit, so there are none but where somebody changed a consumer, or
a message was removed without its dead letter.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tailrace.errors import Conflict
from tailrace.jetstream.answers import Refused, Stored
from tailrace.jetstream.letter_text import letter_id_of
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.jetstream.link import Fence, Link
from tailrace.jetstream.names import PRIORITIES, Names
from tailrace.jetstream.resources import known_tags
from tailrace.model.remote import StoredLetter

_TERMINATED = "io.nats.jetstream.advisory.v1.terminated"


class _Advisory(msgspec.Struct):
    type: str = ""
    consumer: str = ""
    stream_seq: int = 0
    deliveries: int = 0
    reason: str = ""


_decode = msgspec.json.Decoder(_Advisory).decode


@dataclass(slots=True)
class Mended:
    """What a reconciliation did."""

    revived: int = 0
    """Messages put into the queue again."""
    letters: list[str] = field(default_factory=list)
    """Dead letters written for messages that had been removed without one."""


class Reconciler:
    """Looks after the queue; any gateway may run it, several at once do no harm."""

    def __init__(self, link: Link, names: Names, letters: JetStreamLetters) -> None:
        self._link = link
        self._names = names
        self._letters = letters

    async def run_once(self) -> Mended:
        """Read the server's reports, and look at the consumers they are about."""
        mended = Mended()
        reports = await self._reports()
        for report, _ in reports:
            letter = self._letter(report) if report.type == _TERMINATED else None
            if letter is not None and await self._letters.put(letter):
                mended.letters.append(letter.letter_id)
        for tag in await known_tags(self._link, self._names):
            for priority in PRIORITIES:
                mended.revived += await self._revive(tag, priority)
        if reports:
            body = {"seq": reports[-1][1] + 1}
            await self._link.api(f"STREAM.PURGE.{self._names.advisories}", body)
        return mended

    async def _reports(self) -> list[tuple[_Advisory, int]]:
        found: list[tuple[_Advisory, int]] = []
        first = 1
        while page := await self._link.scan(self._names.advisories, first):
            found += [(_report(one), one.sequence) for one in page]
            first = page[-1].sequence + 1
        return found

    def _letter(self, report: _Advisory) -> StoredLetter | None:
        """Return the letter of a message that was removed as nobody's job."""
        kind, _, rest = report.consumer.partition("-")
        tag, _, priority = rest.rpartition("-")
        if kind != "q" or priority not in PRIORITIES or not tag:
            return None
        return StoredLetter(
            letter_id=letter_id_of(report.stream_seq),
            timestamp=time.time(),
            reason="invalid_job",
            error=report.reason or "removed by a worker without a reason",
            tag=tag,
            num_delivered=report.deliveries,
            subject=self._names.queues(tag, priority),
        )

    async def _revive(self, tag: str, priority: str) -> int:
        """Store again what a consumer has given up on, each over itself; return how many."""
        call = f"CONSUMER.INFO.{self._names.runs}.{self._names.consumer(tag, priority)}"
        try:
            info = await self._link.api(call)
        except Refused:
            return 0
        if info["config"].get("max_deliver", -1) <= 0:
            return 0
        subject = self._names.queues(tag, priority)
        revived, first = 0, 1
        while page := await self._link.scan(self._names.runs, first, subject=subject):
            for stored in page:
                if _is_given_up(info, stored):
                    revived += await self._store_again(stored)
            first = page[-1].sequence + 1
        return revived

    async def _store_again(self, stored: Stored) -> bool:
        try:
            fence = Fence(stored.subject, stored.sequence)
            await self._link.store(stored.subject, stored.body, fence=fence)
        except Conflict:
            return False
        return True


def _report(stored: Stored) -> _Advisory:
    try:
        return _decode(stored.body)
    except msgspec.DecodeError:
        return _Advisory()


def _is_given_up(info: dict[str, Any], stored: Stored) -> bool:
    """Whether a message was delivered as often as is allowed, and nobody has it any more."""
    idle = info["num_pending"] == 0 and info["num_ack_pending"] == 0
    given = info["delivered"] if idle else info["ack_floor"]
    return stored.sequence <= int(given["stream_seq"])
