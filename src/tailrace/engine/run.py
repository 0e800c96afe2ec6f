"""One run from its first record to its last."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tailrace.engine.attempt import Attempt
from tailrace.engine.board import ScopeEnd
from tailrace.engine.cancel import CancelScope
from tailrace.engine.capture import OUTPUT
from tailrace.engine.clock import RunClock
from tailrace.engine.facts import PlanFacts, ShapeKey, StepFacts
from tailrace.engine.frame import FlowFrame, Frame
from tailrace.engine.process import ProcessPool
from tailrace.engine.scope import ScopeRun
from tailrace.engine.scratch import Scratch
from tailrace.engine.threads import ThreadPool
from tailrace.model import (
    FailureRecord,
    FlowPlan,
    Logged,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ScopePlan,
    ShapeDeclared,
    TaskStep,
    new_run_id,
    new_span_base,
)
from tailrace.model.journal import Record
from tailrace.ports import Journal
from tailrace.tracing.summary import summarize, summarize_inputs

Echo = Callable[[str, str], None]
"""Takes a stream (``stdout``, ``stderr``, ``log``) and what a task wrote to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a run is started with."""

    plan: FlowPlan
    facts: PlanFacts = field(default_factory=PlanFacts)
    """Kept by the caller over several runs of one plan, they need to be worked out only once."""
    params: Mapping[str, Any] = field(default_factory=dict)
    payload: Any = None
    scratch: Mapping[str, Any] = field(default_factory=dict)
    run_id: RunId = field(default_factory=new_run_id)
    source: str = "api"
    echo: Echo | None = None
    """Where output of tasks goes besides the trace; None: to the streams it was written to."""
    artifact_folder: Path = Path("artifacts")
    grace: float = 5.0
    """Seconds that running attempts have to stop after a cancel, before they are abandoned."""
    parent_span_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    """Seconds after which the whole run is cancelled."""
    seed: int | None = None
    """Seed of the jitter; None: unpredictable."""


@dataclass(slots=True)
class RunEnd:
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


class Run:
    """The state all scopes of a run share."""

    def __init__(self, request: RunRequest, journal: Journal) -> None:
        self.request = request
        self.plan = request.plan
        self.run_id = request.run_id
        self.lineage = request.run_id
        self.grace = request.grace
        self.artifact_folder = request.artifact_folder / request.run_id
        self.journal = journal
        self.clock = RunClock()
        self.cancel = CancelScope()
        self.random = random.Random(request.seed)  # noqa: S311 - jitter, not a secret
        self.outbox: list[Any] = []
        self.max_parallel = request.plan.max_parallel
        self.free_slots = self.max_parallel
        self.active = 1
        self.yielded = self.clock.now()
        self.handled_failures = 0
        self.inline: Attempt | None = None
        self.background: set[asyncio.Task[Any]] = set()
        self.interrupt: BaseException | None = None
        self.timed_out = False
        self.spans = itertools.count(1)
        self._facts = request.facts
        self._shapes: dict[ShapeKey, int] = {}
        self._slot_wanted: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    # Numbers and facts.

    def next_span(self) -> int:
        """Return the next span number; thread-safe."""
        return next(self.spans)

    def shape(self, facts: StepFacts) -> int:
        """Return the number of the attributes that spans of this step share."""
        known = self._shapes.get(facts.shape)
        if known is None:
            known = self._shapes[facts.shape] = len(self._shapes) + 1
            self.outbox.append(ShapeDeclared(known, facts.shape.task, facts.shape.attributes))
        return known

    def facts(self, step: TaskStep) -> StepFacts:
        """Return the facts of a step."""
        return self._facts.of(step)

    # The journal.

    def commit_now(self) -> Awaitable[None] | None:
        """Append the outbox; None when it is durable already."""
        records, self.outbox = self.outbox, []
        return self.journal.append(records)

    async def commit(self) -> None:
        """Append the outbox and wait until it is durable."""
        if self.outbox:
            pending = self.commit_now()
            if pending is not None:
                await pending

    def note(self, record: Record) -> None:
        """Hand over a record that nothing waits for; thread-safe."""
        self.journal.note(record)  # type: ignore[arg-type]  # every Record is one of AnyRecord

    def note_late(self, attempt: Attempt, error: BaseException | None) -> None:
        """Note that an abandoned attempt ended after all."""
        how = "returned" if error is None else f"raised {type(error).__name__}"
        message = f"the abandoned attempt {how}; its result is discarded"
        self.note(Logged(attempt.span, self.clock.now(), "late result", {"message": message}))

    def echo(self, stream: str, text: str) -> None:
        """Pass on what a task wrote."""
        if self.request.echo is not None:
            self.request.echo(stream, text)
            return
        if stream != "log":
            out, err = OUTPUT.originals()
            (out if stream == "stdout" else err).write(text)

    # Slots.

    def release_slot(self) -> None:
        """An attempt has ended; the scope that waited longest may start another."""
        self.free_slots += 1
        if self._slot_wanted:
            self._slot_wanted.popleft()()

    def want_slot(self, notify: Callable[[], None]) -> None:
        """Call ``notify`` when a slot is free."""
        if notify not in self._slot_wanted:
            self._slot_wanted.append(notify)

    def task_over(self, _: asyncio.Task[Any]) -> None:
        """A branch or an iteration that ran beside others is over."""
        self.active -= 1

    # Stopping.

    def saw(self, error: BaseException) -> None:
        """Remember an interrupt raised by a task; it stops the run."""
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self.interrupt = error
            if isinstance(error, KeyboardInterrupt):
                self.cancel.cancel("KeyboardInterrupt")

    def request_cancel(self, reason: str) -> None:
        """Ask the run to stop; callable from any thread and from a signal handler."""
        self.cancel.mark(reason)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.cancel.announce)

    def hurry_up(self) -> None:
        """End the grace time of everything that was asked to stop."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.hurry.set)

    @cached_property
    def hurry(self) -> asyncio.Event:
        """Set when there is no more time to stop cooperatively."""
        return asyncio.Event()

    @cached_property
    def threads(self) -> ThreadPool:
        """Threads for synchronous tasks."""
        return ThreadPool(asyncio.get_running_loop())

    @cached_property
    def processes(self) -> ProcessPool:
        """Children for tasks that run in a process."""
        return ProcessPool(asyncio.get_running_loop())

    # The run itself.

    async def execute(self) -> RunEnd:
        """Run to the end. Raises only when the journal cannot keep its promise."""
        self._loop = asyncio.get_running_loop()
        request = self.request
        scratch = Scratch()
        scratch.update(request.scratch)
        flow = FlowFrame({**self.plan.defaults, **request.params}, self.plan.expose_env, {})
        frame = Frame(flow)
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
        self.outbox.append(
            RunStarted(
                self.run_id,
                self.plan.name,
                self.plan.definition_hash,
                self.plan.source,
                self.clock.now(),
                summarize_inputs(flow.plain_params),
                request.source,
                new_span_base(),
                request.parent_span_id,
                "",
                dict(request.attributes),
            )
        )
        self.next_span()

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
        """Run a scope under ``span``."""
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
        self.outbox.append(
            RunFinished(
                self.clock.now(),
                status,
                end.failure,
                end.failed_path,
                self.handled_failures,
                summarize(result.output),
                self.cancel.reason,
            )
        )
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


class NullJournal:
    """Keeps nothing: for runs without a store."""

    def append(self, records: Sequence[Any]) -> None:
        """Drop the records."""

    def note(self, record: Any) -> None:
        """Drop the record."""

    def close(self) -> None:
        """Do nothing."""
