"""One piece of work on its way through its attempts. Decides what is to be written; writes nothing.

Each step returns the rows that belong together. What is on disk after any of them is enough for
another process to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from tailrace.events.attempts import NOBODY, AttemptRow, AttemptState, StreamChanges
from tailrace.events.clean import clean
from tailrace.events.failing import arrived, unrecordable
from tailrace.events.ids import new_attempt_id
from tailrace.events.letters import letter_of
from tailrace.events.order import Order
from tailrace.events.story import Story
from tailrace.failures.verdict import is_exhausted
from tailrace.model import ErrorCategory, FailureRecord
from tailrace.model.event import Event, EventStatus
from tailrace.model.failure import Directive, FailureSnapshot
from tailrace.model.letter import DeadLetter, LetterReason
from tailrace.policy.retry import GiveUp, RetryAfter, RetryDecision

GREATEST_IMPORTANCE = 5
"""Importance of an event that tells of a dead letter."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What the end of an attempt leads to."""

    changes: StreamChanges
    status: str
    """A value of ``EventStatus``."""
    retry_at_ns: int | None = None
    """When the next attempt is due; None: there is none."""
    failure: FailureSnapshot | None = None

    @property
    def event_id(self) -> str:
        """Id of the event that tells of it."""
        return self.changes.events[-1].event_id


class Ending(msgspec.Struct, frozen=True):
    """How a failure ends its work."""

    status: EventStatus
    tag: str
    leaves_letter: bool

    @property
    def is_dead(self) -> bool:
        """True when all attempts are used up, and a letter is left."""
        return self.status is EventStatus.DEAD_LETTER


def ending_of(category: str, reason: str, *, wants_letter: bool) -> Ending:
    """Return how a failure ends its work.

    Args:
        category: a value of ``ErrorCategory``.
        reason: a value of ``LetterReason``.
        wants_letter: the policy asks for a dead letter.
    """
    if category == ErrorCategory.CANCELLED.value:
        return Ending(EventStatus.FAILED, "cancelled", leaves_letter=False)
    if reason == LetterReason.PERMANENT.value or not wants_letter:
        return Ending(EventStatus.FAILED, "permanent_failure", leaves_letter=wants_letter)
    return Ending(EventStatus.DEAD_LETTER, "max_retries_exceeded", leaves_letter=True)


class Work(msgspec.Struct, kw_only=True):
    """How far an order has come. Instants are nanoseconds since the epoch."""

    story: Story
    attempt: int = 1
    attempt_id: str = msgspec.field(default_factory=new_attempt_id)
    first_ns: int = 0
    """When the first attempt of this generation started."""
    started_ns: int = 0
    """When the present attempt started."""
    crashes: int = 0
    """Processes that died over it."""
    letter: str = ""
    """Id of the dead letter that is redriven; empty when none is."""
    is_over: bool = False
    """True once nothing is tried any more."""

    @property
    def order(self) -> Order:
        """What is to be done."""
        return self.story.order

    @property
    def key(self) -> str:
        """Key of the work; empty before it has begun."""
        return self.story.key

    def begin(self, now_ns: int) -> StreamChanges:
        """Return what must be on disk before the first attempt runs."""
        self.first_ns = self.started_ns = now_ns
        data = {"data": self.story.intent()}
        event = self.story.tell(now_ns, EventStatus.PENDING, data, attempt_id=self.attempt_id)
        return StreamChanges(events=(event,), attempts=(self.row(AttemptState.RUNNING),))

    def resume(self, now_ns: int) -> StreamChanges:
        """Return what must be on disk before an attempt runs that waited for its time."""
        self.started_ns = now_ns
        return StreamChanges(attempts=(self.row(AttemptState.RUNNING),))

    def succeed(self, value: Any, now_ns: int) -> Step:
        """Return the end of an attempt whose action is done: it is never run again.

        A result that has no JSON form makes for a failure, since it cannot be recorded.
        """
        result = clean(value)
        if result.lost:
            context = {"side_effects": "done", "result": result.value}
            reason = LetterReason.PERMANENT.value
            given_up = GiveUp("the action is done, its result cannot be recorded", reason)
            return self.fail(unrecordable(result.lost), given_up, now_ns, context=context)
        self.is_over = True
        kept = {} if value is None else value if isinstance(value, dict) else {"result": value}
        keys: dict[str, Any] = {"data": kept, "exit_code": 0}
        if self.story.recovery:
            keys["retry_info"] = self.story.retry(self.attempt - 1, elapsed=self.elapsed(now_ns))
        event = self._tell(now_ns, EventStatus.SUCCESS, keys)
        row = self._ended(AttemptState.SUCCEEDED, now_ns)
        changes = StreamChanges(events=(event,), attempts=(row,))
        return Step(changes=changes, status=EventStatus.SUCCESS.value)

    def decide(self, record: FailureRecord, rng: Random, now_ns: int) -> RetryDecision:
        """Return what the policy says about a failure of the present attempt."""
        return self.order.policy.decide(
            record.category,
            record.class_,
            attempt=self.attempt,
            elapsed=self.elapsed(now_ns),
            rng=rng,
            retry_after=record.retry_after,
            retryable=record.retryable,
            type_names=(record.type,),
            exhausted=is_exhausted(record.rule),
        )

    def fail(
        self,
        record: FailureRecord,
        decision: RetryDecision,
        now_ns: int,
        *,
        context: Mapping[str, Any] | None = None,
        state: AttemptState = AttemptState.FAILED,
    ) -> Step:
        """Return the end of an attempt that failed: another is due, or the work gives up.

        Args:
            record: the failure.
            decision: what is done about it.
            now_ns: when.
            context: facts about the attempt, for ``error_info``.
            state: of the attempt's row.
        """
        facts = {
            **(context or {}),
            "retry_count": self.attempt - 1,
            "max_retries": self.order.policy.max_attempts,
        }
        if isinstance(decision, RetryAfter):
            return self._retry(record, decision, now_ns, facts, state)
        return self._give_up(record, decision, now_ns, facts, state)

    def taken_over(self, now_ns: int, due_ns: int) -> StreamChanges:
        """Return what tells that another process waits with this work now."""
        story, delay = self.story, (due_ns - now_ns) / 1e9
        story.recovered(now_ns, "worker_lost", delay=delay, attempt=self.attempt)
        keys = story.failing("retrying")
        keys["retry_info"] = story.retry(
            self.attempt - 1,
            elapsed=self.elapsed(now_ns),
            delay=delay,
            due_ns=due_ns,
            source="recovery",
        )
        event = self._tell(now_ns, EventStatus.RETRYING, keys)
        row = self.row(AttemptState.WAITING, due_ns=due_ns)
        return StreamChanges(events=(event,), attempts=(row,))

    def row(self, state: AttemptState, due_ns: int | None = None) -> AttemptRow:
        """Return the present attempt as an open row, with all that another process needs."""
        return AttemptRow(
            attempt_id=self.attempt_id,
            task_key=self.key,
            generation=self.story.generation,
            attempt=self.attempt,
            state=state.value,
            started_ns=self.started_ns,
            next_retry_ns=due_ns,
            body={
                "order": self.order.to_body(),
                "last_event": self.story.last_event,
                "first_ns": self.first_ns,
                "recovery": self.story.recovery,
                "trail": self.story.trail,
                "crashes": self.crashes,
                "letter": self.letter,
            },
        )

    def left_behind(self) -> AttemptRow:
        """Return the present attempt as a row that waits for whoever takes it."""
        row = self.row(AttemptState.WAITING, due_ns=self.started_ns)
        return msgspec.structs.replace(row, owner=NOBODY)

    def _retry(
        self,
        record: FailureRecord,
        decision: RetryAfter,
        now_ns: int,
        facts: Mapping[str, Any],
        state: AttemptState,
    ) -> Step:
        story, delay = self.story, decision.delay
        due_ns = now_ns + int(delay * 1e9)
        reason = f"attempt {self.attempt} of {self._allowed} failed; {decision.source}"
        snapshot = self._arrive(record, Directive.RETRY, reason, now_ns)
        keys = {**story.failing("retrying"), **story.failure(snapshot, facts)}
        keys["retry_info"] = story.retry(
            self.attempt,
            elapsed=self.elapsed(now_ns),
            delay=delay,
            due_ns=due_ns,
            source=decision.source,
        )
        event = self._tell(now_ns, EventStatus.RETRYING, keys)
        ended = self._ended(state, now_ns, snapshot.failure_id)
        action = f"{self.order.schedule}_backoff"
        story.recovered(now_ns, action, delay=delay, attempt=self.attempt)
        self.attempt += 1
        self.attempt_id = new_attempt_id()
        self.started_ns = due_ns
        rows = (ended, self.row(AttemptState.WAITING, due_ns=due_ns))
        return Step(
            changes=StreamChanges(events=(event,), attempts=rows, failures=(snapshot,)),
            status=EventStatus.RETRYING.value,
            retry_at_ns=due_ns,
            failure=snapshot,
        )

    def _give_up(
        self,
        record: FailureRecord,
        decision: GiveUp,
        now_ns: int,
        facts: Mapping[str, Any],
        state: AttemptState,
    ) -> Step:
        self.is_over = True
        wants_letter = self.order.policy.on_exhausted == "dead_letter"
        ending = ending_of(record.category, decision.code, wants_letter=wants_letter)
        record = msgspec.structs.replace(record, given_up=decision.code)
        snapshot = self._arrive(record, Directive.STOP, decision.reason, now_ns)
        event = self._tell_end(snapshot, ending, now_ns, facts)
        if record.category == ErrorCategory.CANCELLED.value:
            state = AttemptState.CANCELLED
        row = self._ended(state, now_ns, snapshot.failure_id)
        is_new = ending.leaves_letter and not self.letter
        letters = (self._letter(snapshot, event),) if is_new else ()
        return Step(
            changes=StreamChanges(
                events=(event,), attempts=(row,), failures=(snapshot,), letters=letters
            ),
            status=ending.status.value,
            failure=snapshot,
        )

    def _tell_end(
        self, snapshot: FailureSnapshot, ending: Ending, now_ns: int, facts: Mapping[str, Any]
    ) -> Event:
        story = self.story
        keys = {**story.failing(ending.tag), **story.failure(snapshot, facts)}
        info = story.retry(self.attempt - 1, elapsed=self.elapsed(now_ns))
        keys["retry_info"] = {**info, "exhausted": ending.is_dead}
        if ending.is_dead:
            keys["importance"] = GREATEST_IMPORTANCE
        return self._tell(now_ns, ending.status, keys)

    def _tell(self, now_ns: int, status: EventStatus, keys: Mapping[str, Any]) -> Event:
        latency = max(now_ns - self.started_ns, 0) // 1_000_000
        return self.story.tell(now_ns, status, keys, attempt_id=self.attempt_id, latency_ms=latency)

    def _arrive(
        self, record: FailureRecord, directive: Directive, reason: str, now_ns: int
    ) -> FailureSnapshot:
        order = self.order
        return arrived(
            record,
            worker_id=order.worker_id,
            source="lost" if record.rule == "lost" else "event",
            directive=directive,
            reason=reason,
            at_ns=now_ns,
            node_id=order.action.name,
            task_ref=order.action.task_ref,
            attempt=self.attempt,
            max_attempts=self._allowed,
            generation=self.story.generation,
            code_version=order.code_version,
        )

    @property
    def _allowed(self) -> int:
        return self.order.policy.max_attempts + 1

    def elapsed(self, now_ns: int) -> float:
        """Return the seconds since the first attempt of this generation started."""
        return (now_ns - self.first_ns) / 1e9

    def _ended(self, state: AttemptState, now_ns: int, failure_id: str = "") -> AttemptRow:
        return AttemptRow(
            attempt_id=self.attempt_id,
            task_key=self.key,
            generation=self.story.generation,
            attempt=self.attempt,
            state=state.value,
            started_ns=self.started_ns,
            ended_ns=max(now_ns, self.started_ns),
            failure_id=failure_id,
        )

    def _letter(self, snapshot: FailureSnapshot, event: Event) -> DeadLetter:
        return letter_of(
            self.order,
            snapshot,
            task_key=self.key,
            event_id=event.event_id,
            at_ns=event.ts_ns,
            crashes=self.crashes,
        )


def new_work(order: Order) -> Work:
    """Return work that has not begun."""
    return Work(story=Story(order=order))


def work_of(row: AttemptRow, order: Order) -> Work:
    """Return the work of a row that another process has left open.

    Args:
        row: as ``Work.row`` made it.
        order: what its body holds, with an action to call.
    """
    body = row.body
    story = Story(
        order=order,
        key=row.task_key,
        generation=row.generation,
        last_event=body.get("last_event"),
        recovery=list(body.get("recovery", ())),
        trail=list(body.get("trail", ())),
    )
    return Work(
        story=story,
        attempt=row.attempt,
        attempt_id=row.attempt_id,
        first_ns=int(body.get("first_ns", row.started_ns)),
        started_ns=row.started_ns,
        crashes=int(body.get("crashes", 0)),
        letter=str(body.get("letter", "")),
    )
