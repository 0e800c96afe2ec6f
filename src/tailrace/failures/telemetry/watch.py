"""The failures of one run, from its journal to the hub."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tailrace.failures.telemetry.event import FailureEvent, FailureEventKind
from tailrace.failures.telemetry.hub import FailureHub
from tailrace.model import AnyRecord, RunStarted
from tailrace.model.failure import Disposition

if TYPE_CHECKING:
    from tailrace.failures.supervision.changes import FailureChanges
    from tailrace.failures.supervision.escalation import Escalation

_log = logging.getLogger("tailrace.telemetry")
_TERMINAL = Disposition.TERMINAL.value


class RunWatch:
    """Folds the records of a run and tells a hub what follows from them.

    One watch belongs to one run and is called from one thread at a time, after the records are
    durable; so the hub does not record them again. Of a run without a store (``stored`` is False)
    no dead letter is told, for none is kept.
    """

    def __init__(self, hub: FailureHub, escalation: Escalation, *, stored: bool = True) -> None:
        self._hub = hub
        self._stored = stored
        self._escalation = escalation
        self.faults = 0
        """Calls in which the fold itself went wrong; telemetry missed what they held."""

    def take(self, records: Sequence[AnyRecord], errors: Mapping[str, BaseException]) -> None:
        """Take records that carry failures, in order; ``errors``: live exceptions by failure id."""
        try:
            self._escalation.apply(records)
            if self._hub.wants_hops and self._stored:
                self._tell_redriven(records)
            self._tell(self._escalation.drain(), errors)
        except Exception as error:  # noqa: BLE001 - watching must not fail the run
            self.faults += 1
            if self.faults == 1:
                _log.warning("failures of a run could not be followed", exc_info=error)

    def _tell_redriven(self, records: Sequence[AnyRecord]) -> None:
        for record in records:
            if isinstance(record, RunStarted) and record.letter:
                self._hub.publish(
                    FailureEvent(
                        kind=FailureEventKind.REDRIVEN,
                        at_ns=record.at,
                        letter_id=record.letter,
                        data={"generation": record.generation},
                    )
                )

    def _tell(self, changes: FailureChanges, errors: Mapping[str, BaseException]) -> None:
        hub = self._hub
        if hub.wants_hops:
            for snapshot, hop in changes.hops:
                hub.hop(snapshot, hop)
        for snapshot in changes.ended:
            if snapshot.disposition == _TERMINAL:
                error = errors.get(snapshot.failure_id)
                hub.escalated(snapshot, error, stored=True)
        if hub.wants_hops and self._stored:
            self._tell_letters(changes)

    def _tell_letters(self, changes: FailureChanges) -> None:
        at = time.time_ns()
        letter, settled = changes.letter, changes.settled
        if letter is not None:
            kind = FailureEventKind.DEAD_LETTERED
            self._hub.publish(
                FailureEvent(kind=kind, at_ns=at, letter=letter, letter_id=letter.dl_id)
            )
        if settled is not None:
            is_resolved = settled.outcome == "resolved"
            self._hub.publish(
                FailureEvent(
                    kind=FailureEventKind.RESOLVED
                    if is_resolved
                    else FailureEventKind.DEAD_LETTERED,
                    at_ns=at,
                    snapshot=settled.failure,
                    letter_id=settled.dl_id,
                    data={"outcome": settled.outcome, "generation": settled.generation},
                )
            )
