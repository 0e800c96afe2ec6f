"""One node from its start record to its end: attempts, retries, what ``on_error`` says."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping
from functools import partial
from typing import Any

from tailrace.codecs import Encoded, encode
from tailrace.engine.attempt import CURRENT, Attempt
from tailrace.engine.binding import Arguments, Inputs
from tailrace.engine.cancel import CancelScope
from tailrace.engine.context import TaskContext
from tailrace.engine.facts import summary_of
from tailrace.engine.frame import Frame
from tailrace.engine.outcome import End, Outcome
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
from tailrace.failures import cancelled_failure, capture, timeout_failure
from tailrace.model import (
    AttemptFailed,
    AttemptStarted,
    CallKind,
    FailureRecord,
    Isolation,
    NodeFinished,
    NodeStarted,
    NodeState,
    Routing,
    TaskStep,
)
from tailrace.policy import RetryAfter, decide_retry

_OK, _SUCCEEDED = End.OK, NodeState.SUCCEEDED  # reading a member of an enum is a Python call


class NodeRun(Inputs):
    """A node while it runs; what its inputs are read from."""

    input_failure: FailureRecord | None = None
    successors: tuple[str, ...] = ()
    """Names a route may choose."""
    stream: Stream | None = None
    _span = 0
    _started = 0
    _arguments: Arguments = ((), {})
    context: TaskContext | None = None
    joins: Mapping[str, Any] | None = None
    _outer_scratch: Scratch
    _attempt: Attempt

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
        self._span = span = next(run.spans)
        attempt_span = next(run.spans)
        self._attempt = Attempt(run, self.path, attempt_span, 1)
        if facts.forks_scratch:
            self._outer_scratch = self.scratch
            self._hand_over()
        try:
            self._arguments = arguments = facts.arguments(self)
            summaries = facts.summaries(arguments)
        except Exception as error:  # noqa: BLE001 - user data may raise anything
            self.input_failure, summaries = capture(error), {}
        name, path = self.step.name, self.path
        shape = run.shape(facts)
        self._started = started = run.now()
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
            )
        )

    def _hand_over(self) -> None:
        """Give the attempt its own scratch, and a context if it asks for one."""
        self.scratch = scratch = self._outer_scratch.fork(self.step.name)
        if self.facts.needs_context:
            self.context = TaskContext(self._attempt, self.frame, self.payload, scratch)

    def run_inline(self) -> Outcome | Tried:
        """Run the first attempt right here; what is no Outcome wants ``go_on``."""
        if self.input_failure is not None:
            return Tried(failure=self.input_failure)
        args, kwargs = self._arguments
        run, attempt = self.run, self._attempt
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
        self.stream = Stream(self.run, self._attempt, make, self._stream_ended)
        self.frame.put(self.step.name, self.stream)
        return Outcome(End.OK, self.stream, self.scratch)

    def _stream_ended(self, count: int, failure: FailureRecord | None) -> None:
        state = NodeState.SUCCEEDED if failure is None else NodeState.FAILED
        self.frame.results.pop(self.step.name, None)
        self._finish(state, f"{count} values", failure=failure, keep=False)

    async def execute(self, *, alone: bool = False) -> Outcome:
        """Run all attempts; the start record is durable already."""
        if self.input_failure is not None:
            return await self.go_on(Tried(failure=self.input_failure))
        return await self.go_on(await self._try(alone=alone))

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
            if failure is None:
                return self._succeeded(tried.value)
            delay = self._delay_before_next(failure)
            if delay is None:
                return self._failed(failure)
            if not await self._pause(failure, delay):
                return self._cancelled("")
            tried = await self._try(alone=False)

    async def _try(self, *, alone: bool) -> Tried:
        spec, cancel, timeout = self.step.task, self._cancel, self._time_left()
        if timeout is not None and timeout <= 0:
            return Tried(stopped=Woken.TIMEOUT)
        args, kwargs = self._arguments
        function = partial(self.facts.function, *args, **kwargs)
        if spec.isolation is Isolation.PROCESS:
            return await self._try_process(timeout)
        if spec.kind in {CallKind.ASYNC, CallKind.ASYNC_GENERATOR}:
            return await try_async(self._attempt, function, timeout=timeout, cancel=cancel)
        if wants_thread(spec, alone=alone, deadline=timeout is not None):
            return await try_thread(self._attempt, function, timeout=timeout, cancel=cancel)
        return call_inline(self._attempt, function)

    async def _try_process(self, timeout: float | None) -> Tried:
        parameters = self.facts.context_parameters
        args, kwargs = self._arguments
        context = None if self.context is None else self.context.portable(parameters)
        sent = {name: value for name, value in kwargs.items() if name not in parameters}
        tried = await try_process(
            self._attempt,
            self.step.task,
            (args, sent),
            context=context,
            timeout=timeout,
            cancel=self._cancel,
        )
        if tried.error is None and tried.failure is None and tried.stopped is None:
            tried.value, changes = tried.value
            self.scratch.update(changes.get("scratch", {}))
            self.frame.flow.artifacts.update(changes.get("artifacts", {}))
        return tried

    async def _await_value(self, value: Any) -> Tried:
        async def wait() -> Any:
            return await value

        return await try_async(self._attempt, wait, timeout=self._time_left(), cancel=self._cancel)

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
            self._attempt.event(
                "abandoned", {"message": f"the {tried.abandoned} of this attempt still runs"}
            )
        self._attempt.close()

    def _failure_of(self, tried: Tried) -> FailureRecord | None:
        if tried.stopped is Woken.TIMEOUT:
            return timeout_failure(self._deadline())
        if tried.error is not None:
            self.run.saw(tried.error)
            return capture(tried.error)
        return tried.failure

    def _deadline(self) -> float:
        policy = self.step.policy
        return policy.timeout or policy.total_timeout

    def _delay_before_next(self, failure: FailureRecord) -> float | None:
        if self.run.cancel.requested or not self.facts.retries:
            return None
        elapsed = (self.run.now() - self._started) / 1e9
        decision = decide_retry(
            self.step.policy.retry,
            category=failure.category,
            attempt=self._attempt.number,
            elapsed=elapsed,
            rng=self.run.random,
            retryable=failure.retryable,
            retry_after=failure.retry_after,
        )
        if not isinstance(decision, RetryAfter):
            return None
        total = self.step.policy.total_timeout
        if total and elapsed + decision.delay >= total:
            return None
        return decision.delay

    async def _pause(self, failure: FailureRecord, delay: float) -> bool:
        """Record the failed attempt, wait, start the next; False when cancelled meanwhile."""
        run, attempt = self.run, self._attempt
        run.outbox.append(AttemptFailed(attempt.span, run.now(), failure, attempt.number, delay))
        await run.commit()
        if delay > 0:
            woken = await wait_for(None, timeout=delay, cancel=self._cancel)
            if woken is Woken.CANCELLED:
                return False
        elif self._cancel.requested:
            return False
        self._attempt = Attempt(run, self.path, run.next_span(), attempt.number + 1)
        if self.facts.forks_scratch:
            self._hand_over()
            self._arguments = self.facts.arguments(self)
        run.outbox.append(
            AttemptStarted(
                self._attempt.span,
                self._span,
                self._attempt.number,
                run.now(),
                delay,
                self.facts.attempts,
            )
        )
        await run.commit()
        return True

    def _succeeded(self, value: Any) -> Outcome:
        self._attempt.close()
        step = self.step
        if step.task.routes:
            return self._routed(value)
        if step.outputs:
            self._write_outputs(value)
        self._finish(_SUCCEEDED, value)
        self.frame.put(step.name, value)
        return Outcome(_OK, value, self.scratch)

    def _routed(self, answer: Any) -> Outcome:
        try:
            routes, value = chosen_routes(answer, self.successors)
        except Exception as error:  # noqa: BLE001 - a route may answer anything
            return self._failed(capture(error))
        if isinstance(answer, Routing):
            self._attempt.describe_route(answer)
        self._finish(NodeState.SUCCEEDED, value)
        self.frame.put(self.step.name, value)
        return Outcome(End.OK, self.payload, self.scratch, routes)

    def _write_outputs(self, value: Any) -> None:
        for target in self.step.outputs:
            root, *keys = target.split(".")
            if root == "scratch":
                holder: Any = self.scratch
            elif root == "params":
                holder = self.frame.flow.plain_params
            else:
                holder = self.frame.results
                self.frame.order.setdefault(keys[0], self.frame.sequence)
            for key in keys[:-1]:
                holder = holder.setdefault(key, {})
            holder[keys[-1]] = value

    def _finish(
        self,
        state: NodeState,
        value: Any = None,
        *,
        failure: FailureRecord | None = None,
        handled: str = "",
        keep: bool = True,
    ) -> None:
        body, codec, checkpoint, summary = None, "", "", None
        if keep:
            summary = summary_of(value)
            encoded = encode(value, mode=self.step.task.checkpoint)
            if isinstance(encoded, Encoded):
                body, codec, checkpoint = encoded.body, encoded.codec, "stored"
            else:
                checkpoint = encoded.reason
        elif failure is None:
            summary, checkpoint = value, "none"
        attempt = self._attempt
        self.run.outbox.append(
            NodeFinished(
                self._span,
                attempt.span,
                state,
                self.run.now(),
                self.path,
                body,
                codec,
                summary,
                checkpoint,
                failure,
                handled,
                attempt.number,
                attempt.attributes,
            )
        )

    def _cancelled(self, abandoned: str) -> Outcome:
        self._attempt.close()
        reason = self._cancel.reason or self.run.cancel.reason
        failure = cancelled_failure(
            f"{reason}; its {abandoned} was abandoned" if abandoned else reason
        )
        self._finish(NodeState.CANCELLED, failure=failure, keep=False)
        return Outcome(End.CANCELLED, failure=failure, failed_path=self.path)

    def _failed(self, failure: FailureRecord) -> Outcome:
        action = self.step.policy.on_error
        run = self.run
        if action.action == "stop":
            self._finish(NodeState.FAILED, failure=failure, keep=False)
            return Outcome(End.BLOCKED, failure=failure, failed_path=self.path)
        run.handled_failures += 1
        if action.action == "continue":
            value = action.value if action.has_value else self.payload
            self._finish(NodeState.FAILED, value, failure=failure, handled="continue")
            self.frame.put(self.step.name, value)
            end = End.OK
        else:
            value = None
            self._finish(NodeState.FAILED, failure=failure, handled=action.action, keep=False)
            end = End.BLOCKED if action.action == "isolate" else End.DIVERTED
        return Outcome(end, value, self._input_scratch(), None, failure, self.path, action.action)

    def _input_scratch(self) -> Scratch:
        return self._outer_scratch if self.facts.forks_scratch else self.scratch
