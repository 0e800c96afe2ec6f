"""Walking one scope: each step is started when what it needs has settled.

Before anything starts, one commit makes durable what finished before it and that it starts
(write-ahead).
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Any

from tailrace.engine.binding import Inputs
from tailrace.engine.board import Board
from tailrace.engine.cancel import CancelScope
from tailrace.engine.frame import Frame
from tailrace.engine.giving_up import failure_of_step
from tailrace.engine.node import NodeRun
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.recalled import recall_step
from tailrace.engine.reused import reuse_step
from tailrace.engine.running import Running, ScopeEnd
from tailrace.engine.scratch import Scratch, ScratchConflict
from tailrace.engine.stream import streams
from tailrace.model import AnyKindOfStep, ScopePlan, TaskStep

_YIELD_NS = 10_000_000
"""A chain of inline steps lets the event loop run at least every 10 ms."""


class ScopeRun:
    """A scope while it runs."""

    __slots__ = ("_board", "_cancel", "_done", "_frame", "_plan", "_run", "_tasks", "_wake")

    def __init__(
        self,
        run: Running,
        plan: ScopePlan,
        frame: Frame,
        *,
        span: int,
        payload: Any,
        scratch: Scratch,
        cancel: CancelScope,
    ) -> None:
        self._run = run
        self._plan = plan
        self._frame = frame
        self._cancel = cancel
        self._board = Board(
            run, plan, frame, span=span, payload=payload, scratch=scratch, cancel=cancel
        )
        self._tasks: dict[asyncio.Task[Outcome], AnyKindOfStep] = {}
        self._done: deque[asyncio.Task[Outcome]] = deque()
        self._wake: asyncio.Future[None] | None = None

    async def execute(self) -> ScopeEnd:
        """Run to the end of everything that was activated."""
        try:
            await self._walk()
        except BaseException:
            await self._abandon()
            raise
        return self._board.end()

    async def _walk(self) -> None:
        run, cancel, board = self._run, self._cancel, self._board
        ready = board.ready
        cancel.on_cancel(self._notify)
        try:
            while True:
                if cancel.requested:
                    board.cancel_rest()
                elif ready:
                    if self._is_alone():
                        await self._run_alone()
                        continue
                    await self._launch()
                is_over = not self._tasks and (not ready or cancel.requested)
                if run.outbox and not (is_over and board.ends_run):
                    await run.commit()
                if is_over:
                    return
                await self._wait()
        finally:
            cancel.forget(self._notify)
            if run.awaits_slots:
                run.forget_slot(self._notify)

    def _is_alone(self) -> bool:
        if self._tasks:
            return False
        run = self._run
        if run.active != 1:
            return False
        return len(self._board.ready) == 1 or (run.max_parallel == 1 and run.free_slots > 0)

    async def _run_alone(self) -> None:
        """Run the one ready step right here, and then the next, for as long as it is alone."""
        run, board, cancel = self._run, self._board, self._cancel
        ready = board.ready
        while True:
            step = board.take()
            if isinstance(step, TaskStep):
                await self._run_task_alone(step)
            else:
                board.settle(step, await self._run_container(step))
            if len(ready) != 1 or cancel.requested or run.active != 1:
                return

    async def _run_task_alone(self, step: TaskStep) -> None:
        run, settle = self._run, self._board.settle
        node = self._prepare(step)
        if node is None:
            return
        records, run.outbox = run.outbox, []
        pending = run.journal.append(records)
        if pending is not None:
            await pending
        if run.told:
            run.pass_on()
        facts = node.facts
        if facts.streams and node.input_failure is None and streams(self._plan, step):
            settle(step, node.streamed())
            return
        if facts.inline and not run.request.timeout and not node.waits_until:
            ended = node.run_inline()
            outcome = ended if isinstance(ended, Outcome) else await node.go_on(ended)
        else:
            outcome = await node.execute(alone=not run.request.timeout)
        settle(step, outcome)
        now = run.now()
        if now - run.yielded > _YIELD_NS:
            await asyncio.sleep(0)
            run.yielded = now

    async def _launch(self) -> None:
        """Start all that is ready, as far as slots allow, after one commit."""
        run, board = self._run, self._board
        started: list[tuple[AnyKindOfStep, Any]] = []
        while board.ready:
            step = board.ready[0]
            if isinstance(step, TaskStep):
                if run.free_slots <= 0:
                    run.want_slot(self._notify)
                    break
                board.take()
                node = self._prepare(step)
                if node is None:
                    continue
                run.free_slots -= 1
                started.append((step, partial(self._run_node, node)))
            else:
                board.take()
                started.append((step, partial(self._run_container, step)))
        if run.outbox:
            await run.commit()
        loop = asyncio.get_running_loop()
        for step, body in started:
            task = loop.create_task(body())
            self._tasks[task] = step
            run.active += 1
            task.add_done_callback(self._finished)

    async def _run_node(self, node: NodeRun) -> Outcome:
        try:
            return await node.execute()
        finally:
            self._run.release_slot()

    def _finished(self, task: asyncio.Task[Outcome]) -> None:
        self._run.active -= 1
        self._done.append(task)
        self._notify()

    def _notify(self) -> None:
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def _wait(self) -> None:
        """Wait for something to finish, a slot, or a cancel; then settle all that finished."""
        if not self._done and not (self._board.ready and self._may_go_on()):
            self._wake = asyncio.get_running_loop().create_future()
            self._run.active -= 1
            try:
                await self._wake
            finally:
                self._wake = None
                self._run.active += 1
        finished = sorted(self._done, key=lambda task: self._tasks[task].index)
        self._done.clear()
        for task in finished:
            self._board.settle(self._tasks.pop(task), task.result())

    def _may_go_on(self) -> bool:
        """Whether what is ready need not wait: what was told during a commit is not told again."""
        run = self._run
        if self._cancel.requested or run.free_slots > 0:
            return True
        run.want_slot(self._notify)
        return False

    def _prepare(self, step: TaskStep) -> NodeRun | None:
        """Bind and record a task step; None when it has settled without running.

        That is so when its branches' scratch cannot be joined, or an earlier run gives its output.
        """
        board = self._board
        try:
            payload, scratch = board.inputs_of(step)
        except ScratchConflict as error:
            board.fail_join(step, error)
            return None
        if self._run.reuses and self._settle_early(step, payload, scratch):
            return None
        node = NodeRun(self._run, step, self._frame, payload, scratch, cancel=self._cancel)
        node.joins = board.joins
        if step.task.routes:
            node.successors = tuple(board.steps[index].name for index in step.successors)
        around = board.span_around(step)
        if node.facts.cached:
            outcome = recall_step(node, around)
            if outcome is not None:
                board.settle(step, outcome)
                return None
        node.start(around)
        return node

    def _settle_early(self, step: TaskStep, payload: Any, scratch: Scratch) -> bool:
        """Settle a step that an earlier run has finished, or that was not asked for."""
        run, board = self._run, self._board
        path = self._frame.prefix + step.name
        around = board.span_around(step)
        outcome = reuse_step(run, step, self._frame, payload, scratch, around)
        if outcome is not None:
            board.settle(step, outcome)
        elif run.request.only and path != run.request.only:
            board.leave_out(step)
        else:
            return False
        return True

    async def _run_container(self, step: AnyKindOfStep) -> Outcome:
        from tailrace.engine.containers import run_container  # noqa: PLC0415 - not for plain chains

        board = self._board
        if self._run.request.only and not self._run.reaches(self._frame.prefix + step.name):
            board.note_skip(step)
            return Outcome(End.INACTIVE)
        try:
            payload, scratch = board.inputs_of(step)
        except ScratchConflict as error:
            failure = failure_of_step(error, self._frame, step.name)
            path = self._frame.prefix + step.name
            return Outcome(End.BLOCKED, failure=failure, failed_path=path)
        return await run_container(
            self._run,
            step,
            self._frame,
            Inputs(self._frame, payload, scratch, board.joins),
            span=board.span_around(step),
            cancel=self._cancel,
        )

    async def _abandon(self) -> None:
        """The run cannot go on (the store failed, or it is torn down): stop what runs."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._run.grace)
