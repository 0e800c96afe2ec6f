"""What the failures of a run leave: a dead letter, or the end of the redrive of one."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from tailrace.engine.giving_up import given_up
from tailrace.errors import DefinitionError
from tailrace.failures import capture
from tailrace.failures.supervision import Escalation, LetterChange
from tailrace.model.finding import Finding, Severity, finding_to_dict
from tailrace.model.ids import new_span_base
from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    FailureOrigin,
    NodeFinished,
    RunContinued,
    RunFinished,
    RunStarted,
    ScopeFinished,
)
from tailrace.model.letter import DeadLetter, LetterReason
from tailrace.model.remote import Job, StoredLetter
from tailrace.model.states import RunStatus
from tailrace.runtime.inputs import encode_inputs
from tailrace.runtime.resuming import ResumeRefused
from tailrace.tracing.propagation import parse_traceparent
from tailrace.tracing.summary import summarize_inputs
from tailrace.worker.catalogue import FlowNotFound

_TELLING = frozenset({AttemptFailed, NodeFinished, ScopeFinished, RunFinished})
_TOLD = _TELLING | {RunContinued}
_WHY: dict[type[BaseException], LetterReason] = {
    FlowNotFound: LetterReason.FLOW_NOT_FOUND,
    ResumeRefused: LetterReason.VERSION_MISMATCH,
}
"""Why work is given up that no worker like this one can do."""
_encode = msgspec.msgpack.Encoder().encode
_MOST_PAYLOAD = 4096
_MOST, _LONGEST = 50, 1000
"""Findings of a run, and characters of one."""


class Fallout:
    """Follows the failures of one run; a run without any costs next to nothing."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._started: RunStarted | None = None
        self._escalation: Escalation | None = None
        self.letter: DeadLetter | None = None
        """Left by the end of the run."""
        self.settled: LetterChange | None = None
        """The end of a redrive."""

    def see(self, records: Sequence[AnyRecord]) -> None:
        """Take records in, in order."""
        if self._escalation is None:
            self._escalation = self._first(records)
        if self._escalation is not None:
            self._apply(self._escalation, records)

    def _first(self, records: Sequence[AnyRecord]) -> Escalation | None:
        """Return what follows failures from now on; None: there is none yet."""
        for record in records:
            kind = record.__class__
            if kind is RunStarted:
                self._started = record  # type: ignore[assignment]  # it is one
            elif kind in _TOLD and self._tells(record):
                host = os.uname().nodename
                escalation = Escalation(worker_id=self._worker_id, host=host)
                if self._started is not None:
                    escalation.apply([self._started])
                return escalation
        return None

    def _tells(self, record: AnyRecord) -> bool:
        kind = record.__class__
        if kind in _TELLING:
            redrives = self._started is not None and bool(self._started.letter)
            has_failed = getattr(record, "failure", None) is not None
            return has_failed or (redrives and kind is RunFinished)
        return isinstance(record, RunContinued) and bool(record.lost)

    def _apply(self, escalation: Escalation, records: Sequence[AnyRecord]) -> None:
        escalation.apply(records)
        changes = escalation.drain()
        self.letter = changes.letter or self.letter
        self.settled = changes.settled or self.settled


def stored_letter(
    letter: DeadLetter, job: Job, *, reason: str, error: str, worker_id: str, deliveries: int
) -> StoredLetter:
    """Return a letter with the fields of the older contract around it."""
    return StoredLetter(
        letter_id=letter.dl_id,
        timestamp=letter.created_ns / 1e9,
        reason=reason,
        error=error,
        run_id=job.run_id,
        flow_name=job.flow_name,
        tag=job.tag,
        tags=job.tags,
        worker_id=worker_id,
        num_delivered=deliveries,
        tenant_id=job.tenant_id,
        api_key_id=job.api_key_id,
        job=job,
        letter=_encode(replace(letter, source={**letter.source, "deliveries": deliveries})),
    )


def invalid_letter(
    letter_id: str, body: bytes, error: str, *, subject: str, worker_id: str, deliveries: int
) -> StoredLetter:
    """Return the letter of a message that is no job."""
    tokens = subject.split(".")
    return StoredLetter(
        letter_id=letter_id,
        timestamp=time.time(),
        reason="invalid_job",
        error=error,
        tag=tokens[2] if len(tokens) > 3 else None,
        subject=subject,
        worker_id=worker_id,
        num_delivered=deliveries,
        payload=body[: _MOST_PAYLOAD * 4].decode("utf-8", "backslashreplace")[:_MOST_PAYLOAD],
    )


def start_of(job: Job) -> RunStarted:
    """Return the record that opens the run of a job which never gets to an engine."""
    caller = parse_traceparent(job.traceparent, job.tracestate)
    adopts = caller is not None and caller.trace_id == job.run_id
    kept = encode_inputs(job.params, None, {}, policy=None, target="")
    return RunStarted(
        job.run_id,
        job.flow_name,
        "",
        "",
        time.time_ns(),
        summarize_inputs(job.params),
        job.source,
        new_span_base(),
        caller.span_id if caller is not None and adopts else "",
        job.resumed_from,
        inputs=kept.body,
        inputs_codec=kept.codec,
        lineage=job.lineage,
        letter=job.letter,
        generation=job.generation,
    )


def end_by(error: BaseException, job: Job) -> RunFinished:
    """Return the record that ends a run which cannot be executed."""
    why = next((why.value for kind, why in _WHY.items() if isinstance(error, kind)), "")
    origin = FailureOrigin((f"flow:{job.flow_name}",), "", attempt=0)
    failure = given_up(capture(error), origin, why)
    return RunFinished(time.time_ns(), RunStatus.FAILED, failure)


def findings_of(error: BaseException) -> list[dict[str, Any]]:
    """Return what is wrong with a definition that cannot be used; nothing for any other error."""
    if not isinstance(error, DefinitionError):
        return []
    alone = Finding(
        code=error.code, severity=Severity.ERROR, message=error.message, hint=error.hint
    )
    found = [one for one in error.findings if one.severity is Severity.ERROR] or [alone]
    return [finding_to_dict(replace(one, message=one.message[:_LONGEST])) for one in found[:_MOST]]
