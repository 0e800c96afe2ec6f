"""One node from its start record to its end: attempts, retries, what ``on_error`` says."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tailrace import failures
from tailrace.engine.attempt import CURRENT, Attempt
from tailrace.engine.binding import Arguments, Inputs
from tailrace.engine.cancel import CancelScope
from tailrace.engine.context import TaskContext
from tailrace.engine.finish import finish, finish_failed, finish_resumed, finish_stream
from tailrace.engine.frame import Frame
from tailrace.engine.giving_up import given_up, input_digest, placed, type_names
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.outputs import write_outputs
from tailrace.engine.routing import chosen_routes
from tailrace.engine.running import Running
from tailrace.engine.scratch import Scratch
from tailrace.engine.stream import Stream
from tailrace.engine.trial import (
    InlineAbandoned,
    Tried,
    call_inline,
    try_async,
    try_process,
    try_thread,
    wants_thread,
)
from tailrace.engine.waiting import Woken, wait_for
from tailrace.model import (
    AttemptFailed,
    AttemptStarted,
    CallKind,
    FailureOrigin,
    FailureRecord,
    Isolation,
    LetterReason,
    NodeStarted,
    NodeState,
    Routing,
    TaskStep,
)

if TYPE_CHECKING:
    from tailrace.policy import RetryAfter

_OK = End.OK  # reading a member of an enum is a Python call


class NodeRun(Inputs):
    """A node while it runs; what its inputs are read from."""

    input_failure: FailureRecord | None = None
    successors: tuple[str, ...] = ()
    """Names a route may choose."""
    stream: Stream | None = None
    key = ""
    """Under which the output is recorded for runs to come; empty: it is not."""
    not_reused = ""
    """Why the node runs although an earlier run has finished it, or its task is cached."""
    waits_until = 0
    """Nanoseconds since the epoch before which the first attempt must not start; 0: at once."""
    span = 0
    _started = 0
    _digest: str | None = None
    _arguments: Arguments = ((), {})
    context: TaskContext | None = None
    joins: Mapping[str, Any] | None = None
    outer_scratch: Scratch
    attempt: Attempt

    def __init__(
        self,
        run: Running,
        step: TaskStep,
        frame: Frame,
        payload: Any,
        scratch: Scratch,
        *,
        cancel: CancelScope,
    ) -> None:
        self.run = run
        self.step = step
        self.frame = frame
        self.payload = payload
        self.scratch = scratch
        self._cancel = cancel
        self.facts = run.facts(step)
        prefix = frame.prefix
        self.path = prefix + step.name if prefix else step.name

    def start(self, parent_span: int) -> None:
        """Bind the inputs and put the start record in the run's outbox."""
        run, facts = self.run, self.facts
        self.span = span = next(run.spans)
        attempt_span = next(run.spans)
        number = self._go_on_counting() if run.reuses else 1
        self.attempt = Attempt(run, self.path, attempt_span, number)
        if facts.forks_scratch:
            self.outer_scratch = self.scratch
            self._hand_over()
        try:
            self._arguments = arguments = facts.arguments(self)
            summaries = facts.summaries(arguments)
        except Exception as error:  # noqa: BLE001 - user data may raise anything
            self.input_failure, summaries = failures.capture(error), {}
        name, path = self.step.name, self.path
        shape = run.shape(facts)
        self._started = started = run.now()
        if self.waits_until <= started:
            self.waits_until = 0
        run.outbox.append(
            NodeStarted(
                span,
                attempt_span,
                parent_span,
                shape,
                name,
                "" if path is name else path,
                started,
                summaries,
                facts.attempts,
                number,
                self.not_reused,
                self.waits_until,
            )
        )

    def _go_on_counting(self) -> int:
        """Return the number of the next attempt, which an earlier run may have scheduled."""
        reuse = self.run.request.reuse
        if reuse is None:
            return 1
        self.not_reused = self.not_reused or reuse.trouble(self.path)
        pending = reuse.pending.get(self.path)
        if pending is None:
            return 1
        self.waits_until = pending.retry_at
        return pending.attempts + 1

    def _hand_over(self) -> None:
        """Give the attempt its own scratch, and a context if it asks for one."""
        self.scratch = scratch = self.outer_scratch.fork(self.step.name)
        if self.facts.needs_context:
            self.context = TaskContext(self.attempt, self.frame, self.payload, scratch)

    def run_inline(self) -> Outcome | Tried:
        """Run the first attempt right here; what is no Outcome wants ``go_on``."""
        if self.input_failure is not None:
            return Tried(failure=self.input_failure)
        args, kwargs = self._arguments
        run, attempt = self.run, self.attempt
        run.inline = attempt
        token = CURRENT.set(attempt)
        try:
            value = self.facts.function(*args, **kwargs)
        except InlineAbandoned:
            return Tried(stopped=Woken.CANCELLED)
        except BaseException as error:  # noqa: BLE001 - a task may raise anything
            return Tried(error=error)
        finally:
            CURRENT.reset(token)
            run.inline = None
        if hasattr(type(value), "__await__"):
            return Tried(value)
        return self._succeeded(value)

    def streamed(self) -> Outcome:
        """Hand the values of a generator to the loop behind it, while it still runs."""
        args, kwargs = self._arguments
        make = partial(self.step.task.function, *args, **kwargs)
        self.stream = Stream(self.run, self.attempt, make, self._stream_ended)
        self.frame.put(self.step.name, self.stream)
        return Outcome(End.OK, self.stream, self.scratch)

    def _stream_ended(self, count: int, failure: FailureRecord | None) -> FailureRecord | None:
        if failure is not None:
            failure = given_up(failure, self._origin())
        self.frame.results.pop(self.step.name, None)
        finish_stream(self, f"{count} values", failure)
        return failure

    async def execute(self, *, alone: bool = False) -> Outcome:
        """Run all attempts; the start record is durable already."""
        if self.input_failure is not None:
            return await self.go_on(Tried(failure=self.input_failure))
        if self.waits_until and not await self._sleep_until(self.waits_until):
            return self._cancelled("")
        return await self.go_on(await self._try(alone=alone))

    async def _sleep_until(self, instant: int) -> bool:
        """Wait for an instant that an earlier process put on disk; False when cancelled."""
        left = max(0.0, (instant - self.run.now()) / 1e9)
        said = {"message": f"waits {left:.3f} s for the stored instant"}
        self.attempt.event("backoff", said, span=self.span)
        if await wait_for(None, timeout=left, cancel=self._cancel) is Woken.CANCELLED:
            return False
        await self._begin_attempt(left)
        return True

    async def _begin_attempt(self, waited: float) -> None:
        run, attempt = self.run, self.attempt
        run.outbox.append(
            AttemptStarted(
                attempt.span, self.span, attempt.number, run.now(), waited, self.facts.attempts
            )
        )
        await run.commit()

    async def go_on(self, tried: Tried) -> Outcome:
        """Take the end of an attempt, try again as the policy says, and return how it ended."""
        while True:
            if hasattr(type(tried.value), "__await__"):
                tried = await self._await_value(tried.value)
            self._note_end(tried)
            if self._cancel.requested and isinstance(tried.error, CancelledError):
                tried.stopped = Woken.CANCELLED
            if tried.stopped is Woken.CANCELLED:
                return self._cancelled(tried.abandoned)
            failure = self._failure_of(tried)
            if self.facts.guarded:
                category = None if failure is None else failure.category
                self.run.request.dependencies.settle(self.step.policy.retry, category)
            if failure is None:
                return self._succeeded(tried.value)
            decision = self._decide(failure, tried.error)
            if isinstance(decision, str):
                failure = given_up(failure, self._origin(), decision)
                return self._failed(failure, tried.error)
            failure = placed(failure, self._origin())
            if not await self._pause(failure, decision.delay, tried.error):
                return self._cancelled("")
            tried = await self._try(alone=False)

    async def _try(self, *, alone: bool) -> Tried:
        spec, cancel = self.step.task, self._cancel
        if self.facts.guarded and not await self._admitted():
            return Tried(stopped=Woken.CANCELLED)
        timeout = self._time_left()
        if timeout is not None and timeout <= 0:
            return Tried(stopped=Woken.TIMEOUT)
        args, kwargs = self._arguments
        function = partial(self.facts.function, *args, **kwargs)
        if spec.isolation is Isolation.PROCESS:
            return await self._try_process(timeout)
        if spec.kind in {CallKind.ASYNC, CallKind.ASYNC_GENERATOR}:
            return await try_async(self.attempt, function, timeout=timeout, cancel=cancel)
        if wants_thread(spec, alone=alone, deadline=timeout is not None):
            return await try_thread(self.attempt, function, timeout=timeout, cancel=cancel)
        return call_inline(self.attempt, function)

    async def _admitted(self) -> bool:
        """Wait while the breaker of what the node calls is open; False when cancelled."""
        dependencies, retry = self.run.request.dependencies, self.step.policy.retry
        if self.attempt.number == 1:
            dependencies.deposit(retry)
        while (left := dependencies.wait(retry)) > 0:
            message = f"the breaker {retry.breaker!r} is open"
            self.attempt.event("parked", {"message": message, "wait_s": left})
            if await wait_for(None, timeout=left, cancel=self._cancel) is Woken.CANCELLED:
                return False
        return True

    async def _try_process(self, timeout: float | None) -> Tried:
        parameters = self.facts.context_parameters
        args, kwargs = self._arguments
        context = None if self.context is None else self.context.portable(parameters)
        sent = {name: value for name, value in kwargs.items() if name not in parameters}
        tried = await try_process(
            self.attempt,
            self.step.task,
            (args, sent),
            context=context,
            timeout=timeout,
            cancel=self._cancel,
        )
        if tried.error is None and tried.failure is None and tried.stopped is None:
            tried.value, changes = tried.value
            self.scratch.update(changes.get("scratch", {}))
            self.attempt.artifacts = changes.get("artifacts", {})
            self.frame.flow.artifacts.update(self.attempt.artifacts)
        return tried

    async def _await_value(self, value: Any) -> Tried:
        async def wait() -> Any:
            return await value

        return await try_async(self.attempt, wait, timeout=self._time_left(), cancel=self._cancel)

    def _time_left(self) -> float | None:
        policy = self.step.policy
        timeout = policy.timeout or None
        if policy.total_timeout:
            spent = (self.run.now() - self._started) / 1e9
            left = policy.total_timeout - spent
            return left if timeout is None else min(timeout, left)
        return timeout

    def _note_end(self, tried: Tried) -> None:
        if tried.abandoned:
            self.attempt.event(
                "abandoned", {"message": f"the {tried.abandoned} of this attempt still runs"}
            )
        self.attempt.close()

    def _failure_of(self, tried: Tried) -> FailureRecord | None:
        if tried.stopped is Woken.TIMEOUT:
            return failures.timeout_failure(self._deadline())
        if tried.error is not None:
            self.run.saw(tried.error)
            rules = (*self.step.task.rules, *self.run.plan.rules)
            return failures.capture(tried.error, rules=rules, thread=self.attempt.thread)
        return tried.failure

    def _deadline(self) -> float:
        policy = self.step.policy
        return policy.timeout or policy.total_timeout

    def _origin(self) -> FailureOrigin:
        attempt, step, facts = self.attempt, self.step, self.facts
        if self._digest is None:
            self._digest = input_digest(self._arguments)
        return FailureOrigin(
            (*self.frame.segments, f"node:{step.name}", f"task:{attempt.number}"),
            self.path,
            step.task.reference,
            attempt.span,
            attempt.number,
            facts.attempts,
            self._digest,
            facts.shape.policy_ref,
        )

    def _decide(self, failure: FailureRecord, error: BaseException | None) -> RetryAfter | str:
        """Return when to try again, or why not (a value of ``LetterReason``, or empty)."""
        if self.run.cancel.requested or not self.facts.retries:
            return ""
        from tailrace.policy import RetryAfter, decide_retry  # noqa: PLC0415 - only of what failed

        elapsed = (self.run.now() - self._started) / 1e9
        decision = decide_retry(
            self.step.policy.retry,
            category=failure.category,
            class_=failure.class_,
            type_names=type_names(failure, error),
            exhausted=failures.is_exhausted(failure.rule),
            attempt=self.attempt.number,
            elapsed=elapsed,
            rng=self.run.random,
            retryable=failure.retryable,
            retry_after=failure.retry_after,
        )
        retry = self.step.policy.retry
        decision = self.run.request.dependencies.within_budget(decision, retry, elapsed)
        if not isinstance(decision, RetryAfter):
            return decision.code
        total = self.step.policy.total_timeout
        if total and elapsed + decision.delay >= total:
            return LetterReason.MAX_ELAPSED.value
        return decision

    async def _pause(
        self, failure: FailureRecord, delay: float, error: BaseException | None
    ) -> bool:
        """Record the failed attempt, wait, start the next; False when cancelled meanwhile."""
        run, attempt = self.run, self.attempt
        record = AttemptFailed(attempt.span, run.now(), failure, attempt.number, delay)
        run.outbox.append(record)
        run.tell(record, error)
        await run.commit()
        if delay > 0:
            woken = await wait_for(None, timeout=delay, cancel=self._cancel)
            if woken is Woken.CANCELLED:
                return False
        elif self._cancel.requested:
            return False
        self.attempt = Attempt(run, self.path, run.next_span(), attempt.number + 1)
        if self.facts.forks_scratch:
            self._hand_over()
            self._arguments = self.facts.arguments(self)
        await self._begin_attempt(delay)
        return True

    def _succeeded(self, value: Any) -> Outcome:
        self.attempt.close()
        step = self.step
        if step.task.routes:
            return self._routed(value)
        if step.outputs:
            write_outputs(step.outputs, value, self.scratch, self.frame)
        finish(self, value)
        self.frame.put(step.name, value)
        return Outcome(_OK, value, self.scratch)

    def _routed(self, answer: Any) -> Outcome:
        try:
            routes, value = chosen_routes(answer, self.successors)
        except Exception as error:  # noqa: BLE001 - a route may answer anything
            return self._failed(given_up(failures.capture(error), self._origin()), error)
        if isinstance(answer, Routing):
            self.attempt.describe_route(answer)
        finish(self, value, routes)
        self.frame.put(self.step.name, value)
        return Outcome(End.OK, self.payload, self.scratch, routes)

    def _cancelled(self, abandoned: str) -> Outcome:
        self.attempt.close()
        reason = self._cancel.reason or self.run.cancel.reason
        failure = failures.cancelled_failure(
            f"{reason}; its {abandoned} was abandoned" if abandoned else reason
        )
        self._digest = ""
        failure = placed(failure, self._origin())
        finish_failed(self, failure, state=NodeState.CANCELLED)
        return Outcome(End.CANCELLED, failure=failure, failed_path=self.path)

    def _failed(self, failure: FailureRecord, error: BaseException | None) -> Outcome:
        action = self.step.policy.on_error
        run = self.run
        if action.action == "stop":
            finish_failed(self, failure, error)
            return Outcome(End.BLOCKED, failure=failure, failed_path=self.path)
        run.handled_failures += 1
        if action.action == "continue":
            value = action.value if action.has_value else self.payload
            finish_resumed(self, failure, error, value)
            self.frame.put(self.step.name, value)
            end = End.OK
        else:
            value = None
            finish_failed(self, failure, error, handled=action.action)
            end = End.BLOCKED if action.action == "isolate" else End.DIVERTED
        return Outcome(end, value, self._input_scratch(), None, failure, self.path, action.action)

    def _input_scratch(self) -> Scratch:
        return self.outer_scratch if self.facts.forks_scratch else self.scratch
