"""Taking work through its attempts: what is written when, what waits, what is raised again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from random import Random
from typing import Any, TypeVar

import msgspec

from tailrace.events.attempts import StreamChanges
from tailrace.events.call import Outcome, call, call_async
from tailrace.events.clock import Clock, wait_until, wait_until_async
from tailrace.events.emitted import Emitted
from tailrace.events.outbox import Outbox
from tailrace.events.work import Step, Work
from tailrace.failures.capturing import capture, timeout_failure
from tailrace.model import ErrorCategory, FailureRecord
from tailrace.model.failure import FailureSnapshot
from tailrace.policy.budget import Budgets, within_budget
from tailrace.policy.retry import GiveUp

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BUDGETS = Budgets()
"""Shared by the streams of the process."""


class CurrentAttempt(msgspec.Struct, frozen=True):
    """What an action may know of the attempt it runs in."""

    task_key: str
    """The same for all attempts and redrives of the work: an idempotency key."""
    attempt: int
    """From 1 within a generation."""
    generation: int
    """Redrives so far."""


_CURRENT: ContextVar[CurrentAttempt | None] = ContextVar("tailrace_event_attempt", default=None)


def current_attempt() -> CurrentAttempt | None:
    """Return the attempt in which the caller runs; None outside of any."""
    return _CURRENT.get()


class Result(msgspec.Struct, frozen=True):
    """How work has ended, with the exception itself where there is one."""

    emitted: Emitted
    error: BaseException | None = None
    is_done: bool = False
    """True when the action returned, whatever became of the record."""


class Driver(msgspec.Struct, frozen=True):
    """What work needs on its way."""

    outbox: Outbox
    clock: Clock
    rng: Random
    judge: Callable[[BaseException], FailureRecord]
    """Turns an exception of an action into a failure."""
    on_failure: Callable[[FailureSnapshot, BaseException | None], None] | None = None
    """Told of each failure for which nothing is tried any more."""
    budgets: Budgets = _BUDGETS
    """Of retries, by the name that policies give what is called."""

    def run(self, work: Work) -> Result:
        """Begin work and take it to its end, in this thread.

        Raises:
            StoreError: the beginning could not be written; nothing ran.
            BaseException: what the action raised that is no ``Exception``, after it is recorded.
        """
        self.outbox.write(self.begin(work))
        while True:
            with _current(work):
                outcome = _call_anyhow(work)
            step, durable = self._settled(work, outcome)
            if step.retry_at_ns is None:
                return self._ended(work, step, outcome, is_durable=durable)
            try:
                wait_until(self.clock, step.retry_at_ns)
            except BaseException as error:  # Ctrl-C while it waits ends the work, on record
                self.abandon(work, error)
                raise
            self.outbox.hand_over(work.resume(self.clock.now_ns()))

    async def run_async(self, work: Work) -> Result:
        """Do as ``run`` without blocking the event loop."""
        try:
            await see_through(self.outbox.write, self.begin(work))
            while True:
                with _current(work):
                    outcome = await call_async(work.order.action, work.order.timeout)
                step, durable = await self._settled_async(work, outcome)
                if step.retry_at_ns is None:
                    break
                await wait_until_async(self.clock, step.retry_at_ns)
                await see_through(self.outbox.hand_over, work.resume(self.clock.now_ns()))
        except asyncio.CancelledError as error:
            if not work.is_over:
                self.abandon(work, error)
            raise
        return self._ended(work, step, outcome, is_durable=durable)

    def attempt(self, work: Work) -> Step:
        """Run the present attempt of work that another process began; the row is ours already."""
        self.outbox.hand_over(work.resume(self.clock.now_ns()))
        with _current(work):
            outcome = _call_anyhow(work)
        step, _ = self._settled(work, outcome)
        if step.retry_at_ns is None:
            self._tell(step, outcome.error)
        return step

    def abandon(self, work: Work, error: BaseException) -> None:
        """Record that work was cancelled between its attempts."""
        step = work.fail(
            self.judge(error), GiveUp("cancelled between attempts"), self.clock.now_ns()
        )
        self.outbox.hand_over(step.changes)

    def settle(self, work: Work, outcome: Outcome) -> Step:
        """Return what the end of an attempt leads to; nothing is written."""
        now_ns = self.clock.now_ns()
        if outcome.error is None and not outcome.timed_out:
            return work.succeed(outcome.value, now_ns)
        context = {"abandoned_thread": outcome.abandoned} if outcome.abandoned else None
        if outcome.error is None:
            record = timeout_failure(work.order.timeout)
        else:
            record = self.judge(outcome.error)
        decision = within_budget(
            work.decide(record, self.rng, now_ns),
            work.order.policy.retry,
            self.budgets,
            now=now_ns / 1e9,
            elapsed=work.elapsed(now_ns),
        )
        step = work.fail(record, decision, now_ns, context=context)
        if step.retry_at_ns is not None:
            _announce(work, (step.retry_at_ns - now_ns) / 1e9)
        return step

    def begin(self, work: Work) -> StreamChanges:
        """Return what must be on disk before work begins."""
        budget = work.order.policy.retry.budget
        if budget is not None:
            self.budgets.deposit(budget, self.clock.now_ns() / 1e9)
        return work.begin(self.clock.now_ns())

    def finish(self, work: Work, outcome: Outcome) -> Emitted:
        """Record the end of work that has one attempt; what it raised is the caller's."""
        step = self.settle(work, outcome)
        is_durable = self.outbox.hand_over(step.changes)
        self._tell(step, outcome.error)
        return _emitted(work, step, outcome, is_durable=is_durable)

    async def finish_async(self, work: Work, outcome: Outcome) -> Emitted:
        """Do as ``finish`` without blocking the event loop."""
        step, is_durable = await self._settled_async(work, outcome)
        self._tell(step, outcome.error)
        return _emitted(work, step, outcome, is_durable=is_durable)

    def _settled(self, work: Work, outcome: Outcome) -> tuple[Step, bool]:
        step = self.settle(work, outcome)
        return step, self.outbox.hand_over(step.changes)

    async def _settled_async(self, work: Work, outcome: Outcome) -> tuple[Step, bool]:
        step = self.settle(work, outcome)
        if outcome.error is not None and not isinstance(outcome.error, Exception):
            return step, self.outbox.hand_over(step.changes)  # cancelled: no time for a thread
        return step, await see_through(self.outbox.hand_over, step.changes)

    def _ended(self, work: Work, step: Step, outcome: Outcome, *, is_durable: bool) -> Result:
        self._tell(step, outcome.error)
        error = outcome.error
        if error is not None and _is_cancel(error, step):
            raise error
        emitted = _emitted(work, step, outcome, is_durable=is_durable)
        return Result(emitted, error, error is None and not outcome.timed_out)

    def _tell(self, step: Step, error: BaseException | None) -> None:
        if self.on_failure is None or step.failure is None:
            return
        try:
            self.on_failure(step.failure, error)
        except Exception:  # a function of the user's may raise anything
            logger.warning("the observer of failures failed", exc_info=True)


def _call_anyhow(work: Work) -> Outcome:
    action, timeout = work.order.action, work.order.timeout
    return asyncio.run(call_async(action, timeout)) if action.is_async else call(action, timeout)


def _emitted(work: Work, step: Step, outcome: Outcome, *, is_durable: bool) -> Emitted:
    return Emitted(
        step.event_id,
        status=step.status,
        result=outcome.value,
        failure=step.failure,
        attempts=work.attempt,
        task_key=work.key,
        is_durable=is_durable,
    )


def enter(work: Work) -> Token[CurrentAttempt | None]:
    """Make the present attempt known to what runs from here on."""
    return _CURRENT.set(CurrentAttempt(work.key, work.attempt, work.story.generation))


def leave(token: Token[CurrentAttempt | None] | None) -> None:
    """Undo ``enter``."""
    if token is not None:
        _CURRENT.reset(token)


@contextmanager
def _current(work: Work) -> Iterator[None]:
    token = enter(work)
    try:
        yield
    finally:
        leave(token)


async def see_through(function: Callable[[StreamChanges], T], changes: StreamChanges) -> T:
    """Write in a thread, and see it through even when the caller is cancelled meanwhile."""
    writing = asyncio.ensure_future(asyncio.to_thread(function, changes))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait((writing,))
        raise


def _is_cancel(error: BaseException, step: Step) -> bool:
    """Return whether an error is none to swallow."""
    if not isinstance(error, Exception):
        return True
    failure = step.failure
    return failure is not None and failure.category == ErrorCategory.CANCELLED.value


def _announce(work: Work, delay: float) -> None:
    logger.info(
        "attempt failed; retry %d/%d in %.1f s",
        work.attempt - 1,
        work.order.policy.max_attempts,
        delay,
        extra={"task_key": work.key, "action": work.order.action.name},
    )


def judged(error: BaseException, override: Callable[[Any], Any] | None) -> FailureRecord:
    """Return the failure that an exception is.

    Args:
        error: what an action raised.
        override: names its category, as an enum or a text; what it raises or answers that is no
            category is logged, and the rules decide.
    """
    if override is None or not isinstance(error, Exception):
        return capture(error)
    try:
        answer = override(error)
        category = ErrorCategory(getattr(answer, "value", answer)).value
    except Exception:  # a function of the user's may raise anything
        logger.warning("_classify_error failed; the rules decide", exc_info=True)
        return capture(error)
    record = capture(error, category=category)
    retryable = category not in {ErrorCategory.PERMANENT.value, ErrorCategory.CANCELLED.value}
    return msgspec.structs.replace(record, rule="override:_classify_error", retryable=retryable)
