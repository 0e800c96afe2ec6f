"""What people have decided about groups of failures: one message for each group and tenant."""

from __future__ import annotations

import msgspec

from tailrace.jetstream.answers import Stored
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.model.decision import GroupDecision, decode_decision, encode_decision

_ALL = "="
"""Stands for who sees all tenants; no tenant can be called so."""


class JetStreamDecisions:
    """Decisions in a stream of their own; they never expire, and the last one of a group counts.

    Concurrency: any number of gateways write; who was last has decided.
    """

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names

    async def put(self, decision: GroupDecision) -> int:
        """Store a decision, and return its sequence.

        Raises:
            TransportError: NATS does not answer; it may be stored all the same.
        """
        group = decision.fp_site.replace(":", "-")
        subject = self._names.decision(decision.tenant or _ALL, group)
        sequence, _ = await self._link.store(subject, encode_decision(decision))
        return sequence


def decisions_of(page: list[Stored]) -> list[tuple[int, GroupDecision]]:
    """Return the decisions of a page of their stream, with their sequences."""
    found = []
    for stored in page:
        if stored.is_marker:
            continue
        try:
            found.append((stored.sequence, decode_decision(stored.body)))
        except msgspec.DecodeError:
            continue  # of somebody who does not keep to the format
    return found
