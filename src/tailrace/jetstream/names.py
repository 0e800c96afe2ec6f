"""Subjects, streams and consumers: every name on the wire, built from one prefix.

One work-queue stream holds all that belongs to runs, one message per subject, so that a write can
be fenced by the last sequence of another subject of the same run. Only the subjects of queues have
consumers; the others are state that is read by subject.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A tag, a worker id, a prefix: one token of a subject."""


def is_token(text: str) -> bool:
    """Whether a text can be a token of a subject; all else is no name of anything here."""
    return TOKEN.fullmatch(text) is not None


PRIORITIES = ("high", "normal", "low")
"""In the order in which workers take them."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names under one prefix."""

    prefix: str = "tailrace"

    @property
    def runs(self) -> str:
        """The stream of queues, states, journals and schedules of runs (work-queue retention)."""
        return f"{self.prefix}-runs"

    @property
    def letters(self) -> str:
        """The stream of dead letters (limits)."""
        return f"{self.prefix}-letters"

    @property
    def spans(self) -> str:
        """The stream of spans from elsewhere (limits)."""
        return f"{self.prefix}-spans"

    @property
    def registry(self) -> str:
        """The stream of workers, API keys and what else there is one of each (limits)."""
        return f"{self.prefix}-registry"

    @property
    def decisions(self) -> str:
        """The stream of what people decide about groups of failures (limits)."""
        return f"{self.prefix}-groups"

    @property
    def advisories(self) -> str:
        """The stream of the server's own reports on deliveries (limits)."""
        return f"{self.prefix}-advisories"

    @property
    def objects(self) -> str:
        """The stream of payloads too large for a message (limits)."""
        return f"{self.prefix}-objects"

    def chunk(self, object_name: str, number: int) -> str:
        """A piece of a large payload, numbered from 0."""
        return f"{self.prefix}.b.{object_name}.{number}"

    def chunks(self, object_name: str) -> str:
        """All pieces of a large payload (a filter)."""
        return f"{self.prefix}.b.{object_name}.*"

    def queue(self, tag: str, priority: str, run_id: str) -> str:
        """Where a run waits for a worker."""
        return f"{self.prefix}.q.{tag}.{priority}.{run_id}"

    def queued(self, run_id: str) -> str:
        """Where a run waits, whatever its tag and priority (a filter)."""
        return f"{self.prefix}.q.*.*.{run_id}"

    def queues(self, tag: str, priority: str) -> str:
        """All runs that wait for a tag with a priority (a filter)."""
        return f"{self.prefix}.q.{tag}.{priority}.*"

    def consumer(self, tag: str, priority: str) -> str:
        """The consumer of a tag and a priority."""
        return f"q-{tag}-{priority}"

    def state(self, run_id: str) -> str:
        """The state of a run; its last sequence is the claim that fences all its writes."""
        return f"{self.prefix}.s.{run_id}"

    def batch(self, run_id: str, number: int) -> str:
        """A batch of a run's journal, numbered from 1."""
        return f"{self.prefix}.j.{run_id}.{number}"

    def batches(self, run_id: str) -> str:
        """All batches of a run's journal (a filter)."""
        return f"{self.prefix}.j.{run_id}.*"

    def delayed(self, run_id: str) -> str:
        """A run that is to be queued later."""
        return f"{self.prefix}.d.{run_id}"

    def cancel_flag(self, run_id: str) -> str:
        """Says that a run is to be cancelled, by whom and why."""
        return f"{self.prefix}.x.{run_id}"

    def letters_named(self, letter_id: str) -> str:
        """A dead letter, whatever its tag (a filter)."""
        return f"{self.prefix}.dlq.*.{letter_id}"

    def letter(self, tag: str, letter_id: str) -> str:
        """A dead letter."""
        return f"{self.prefix}.dlq.{tag}.{letter_id}"

    def worker(self, worker_id: str) -> str:
        """The record of a worker, as it writes it itself."""
        return f"{self.prefix}.w.{worker_id}"

    def hidden(self, worker_id: str) -> str:
        """Whether a worker is hidden; outlives it."""
        return f"{self.prefix}.h.{worker_id}"

    def key(self, key_id: str) -> str:
        """An API key."""
        return f"{self.prefix}.k.{key_id}"

    def decision(self, scope: str, group: str) -> str:
        """What a tenant has decided about a group of failures."""
        return f"{self.prefix}.g.{scope}.{group}"

    def foreign(self, gateway: str) -> str:
        """Spans that a gateway took in."""
        return f"{self.prefix}.o.{gateway}"

    def live(self, subject: str) -> str:
        """Where the server repeats what is stored under a subject, at once and unstored."""
        return f"{self.prefix}.live{subject.removeprefix(self.prefix)}"

    def cancel(self, run_id: str) -> str:
        """Where a worker hears at once that a run is to be cancelled (unstored); ``*``: any run."""
        return f"{self.prefix}.ctl.cancel.{run_id}"
