"""One run from its first record to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from tailrace.engine.cancel import CancelScope
from tailrace.engine.capture import OUTPUT
from tailrace.engine.frame import FlowFrame, Frame
from tailrace.engine.recorder import watch
from tailrace.engine.request import RunRequest
from tailrace.engine.running import Running, ScopeEnd
from tailrace.engine.scope import ScopeRun
from tailrace.engine.scratch import Scratch
from tailrace.model import (
    FailureRecord,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ScopePlan,
    UserSpanFinished,
    UserSpanStarted,
)
from tailrace.tracing.summary import summarize, summarize_inputs

if TYPE_CHECKING:
    from tailrace.ports import Journal


class RunEnd(Struct):
    """How a run ended."""

    run_id: RunId
    status: RunStatus
    output: Any = None
    results: dict[str, Any] = field(default_factory=dict)
    scratch: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    failure: FailureRecord | None = None
    failed_path: str = ""
    reason: str = ""
    handled_failures: int = 0
    interrupt: BaseException | None = None
    """A KeyboardInterrupt or SystemExit that a task raised."""


class Run(Running):
    """A run that can be executed."""

    def __init__(self, request: RunRequest, journal: Journal) -> None:
        echo = request.echo or OUTPUT.pass_on
        super().__init__(request, journal, echo=echo)

    async def execute(self) -> RunEnd:
        """Run to the end. Raises only when the journal cannot keep its promise."""
        watch()
        self._loop = asyncio.get_running_loop()
        request = self.request
        scratch = Scratch()
        scratch.update(request.scratch)
        flow = FlowFrame({**self.plan.defaults, **request.params}, self.plan.expose_env, {})
        frame = Frame(flow, segments=(f"flow:{self.plan.name}",))
        self._open(flow)
        deadline = None
        if request.timeout:
            deadline = self._loop.call_later(request.timeout, self._time_is_over)
        try:
            with OUTPUT:
                end = await self._walk(frame, scratch)
                await self._drain()
            result = self._close(frame, end)
            await self.commit()
            self.cancel.end()
        finally:
            if deadline is not None:
                deadline.cancel()
            self._release()
        return result

    def _time_is_over(self) -> None:
        self.timed_out = True
        self.cancel.cancel(f"the run's timeout of {self.request.timeout:g}s was reached")

    def _open(self, flow: FlowFrame) -> None:
        request = self.request
        if request.continued is not None:
            record = request.continued.record
            self.outbox.append(record)
            if record.lost:
                self.told.append(record)
            return
        started = RunStarted(
            self.run_id,
            self.plan.name,
            self.plan.definition_hash,
            self.plan.source,
            self.now(),
            summarize_inputs(flow.plain_params),
            request.source,
            self.span_base,
            request.parent_span_id,
            "" if request.reuse is None else request.reuse.run_id,
            _attributes(request),
            request.code_version,
            None if request.inputs is None else request.inputs.body,
            "" if request.inputs is None else request.inputs.codec,
            request.lineage,
            request.letter,
            request.generation,
            request.facts.policy(self.plan.policy),
            request.fingerprints,
            "" if request.reuse is None else request.reuse.span_id,
        )
        self.outbox.append(started)
        if request.letter:
            self.told.append(started)
        self.next_span()
        if request.queued_at:
            span, at = self.next_span(), self.now()
            since = min(request.queued_at, at)
            if request.accepted_at:
                accepted = min(max(request.accepted_at, since), at)
                self.outbox.append(UserSpanStarted(span, 1, "accept", since, {}))
                self.outbox.append(UserSpanFinished(span, accepted, {}))
                span, since = self.next_span(), accepted
            self.outbox.append(UserSpanStarted(span, 1, "queue", since, {}))
            self.outbox.append(UserSpanFinished(span, at, {}))

    async def run_scope(
        self,
        plan: ScopePlan,
        frame: Frame,
        *,
        span: int,
        payload: Any,
        scratch: Scratch,
        cancel: CancelScope,
    ) -> ScopeEnd:
        """Run a scope to its end."""
        return await ScopeRun(
            self, plan, frame, span=span, payload=payload, scratch=scratch, cancel=cancel
        ).execute()

    async def _walk(self, frame: Frame, scratch: Scratch) -> ScopeEnd:
        return await self.run_scope(
            self.plan.scope,
            frame,
            span=1,
            payload=self.request.payload,
            scratch=scratch,
            cancel=CancelScope(self.cancel),
        )

    async def _drain(self) -> None:
        """Wait for branches that lost a race, each bounded by the grace time."""
        while self.background:
            done, self.background = await asyncio.wait(self.background)
            for task in done:
                task.result()

    def _close(self, frame: Frame, end: ScopeEnd) -> RunEnd:
        status = _status(end.state, cancelled=self.cancel.requested)
        result = RunEnd(
            self.run_id,
            status,
            output=end.value if status is RunStatus.COMPLETED else None,
            results=frame.results,
            scratch=dict(end.scratch or {}),
            artifacts=frame.flow.artifacts,
            failure=end.failure,
            failed_path=end.failed_path,
            reason=self.cancel.reason,
            handled_failures=self.handled_failures,
            interrupt=self.interrupt,
        )
        if status is RunStatus.COMPLETED and self.request.deliver is not None:
            self.request.deliver(result.output)
        record = RunFinished(
            self.now(),
            status,
            end.failure,
            end.failed_path,
            self.handled_failures,
            summarize(result.output),
            self.cancel.reason,
        )
        self.outbox.append(record)
        if self.has_failed or end.failure is not None or self.request.letter:
            self.tell(record)
        return result

    def _release(self) -> None:
        if "threads" in self.__dict__:
            self.threads.close()
        if "processes" in self.__dict__:
            self.processes.close()


def _status(state: NodeState, *, cancelled: bool) -> RunStatus:
    if state is NodeState.SUCCEEDED:
        return RunStatus.COMPLETED
    if cancelled or state is NodeState.CANCELLED:
        return RunStatus.CANCELLED
    return RunStatus.FAILED


def _attributes(request: RunRequest) -> dict[str, Any]:
    passed_on = {"tracestate": request.trace_state} if request.trace_state else {}
    return {**request.attributes, **passed_on}


class NullJournal:
    """Keeps nothing: for runs without a store."""

    def append(self, records: Sequence[Any]) -> None:
        """Drop the records."""

    def note(self, record: Any) -> None:
        """Drop the record."""

    def close(self) -> None:
        """Do nothing."""
