"""The state all scopes of a run share."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.engine.cancel import CancelScope
from tailrace.engine.clock import anchor, clock_at
from tailrace.engine.facts import ShapeKey, StepFacts
from tailrace.engine.frame import Frame
from tailrace.engine.request import Echo, RunRequest
from tailrace.engine.scratch import Scratch
from tailrace.engine.threads import ThreadPool
from tailrace.model import (
    FailureRecord,
    NodeState,
    ScopePlan,
    ShapeDeclared,
    TaskStep,
    new_span_base,
)
from tailrace.model.journal import Record

if TYPE_CHECKING:
    from random import Random

    from tailrace.engine.process import ProcessPool
    from tailrace.ports import Journal


class ScopeEnd(msgspec.Struct, eq=False):
    """How a scope ended. ``state`` is SUCCEEDED, FAILED or CANCELLED."""

    state: NodeState
    value: Any = None
    scratch: Scratch | None = None
    failure: FailureRecord | None = None
    failed_path: str = ""


class Running(ABC):
    """A run as its scopes, nodes and attempts see it: numbers, journal, slots, cancel."""

    def __init__(self, request: RunRequest, journal: Journal, *, echo: Echo) -> None:
        self.request = request
        self.plan = request.plan
        self.run_id = request.run_id
        self.lineage = request.lineage or request.run_id
        self.grace = request.grace
        self.journal = journal
        continued = request.continued
        self.continued = continued
        """How far the run had come on another worker."""
        self.clock_offset = anchor(0 if continued is None else continued.latest)
        self.now = clock_at(self.clock_offset)
        self.note = journal.note
        """Hands over what nothing waits for; thread-safe."""
        self.cancel = CancelScope()
        self.outbox: list[Any] = []
        self.max_parallel = request.plan.max_parallel
        self.free_slots = self.max_parallel
        self.active = 1
        self.yielded = self.now()
        self.handled_failures = 0
        self.inline: object | None = None
        """The attempt that runs on the engine's own thread, if one does."""
        self.echo = echo
        self.background: set[asyncio.Task[Any]] = set()
        self.interrupt: BaseException | None = None
        self.timed_out = False
        self.spans = itertools.count(1 if continued is None else continued.next_span)
        self.told: list[Record] = []
        """Records in the outbox that carry failures, for the watch."""
        self.span_base = new_span_base() if continued is None else continued.span_base
        self.has_failed = continued is not None and continued.has_failed
        self._errors: dict[str, BaseException] = {}
        self._watch = request.watch
        self.reuses = request.reuse is not None or bool(request.only)
        """True when steps may settle without running."""
        self._facts = request.facts
        self._shapes: dict[ShapeKey, int] = {}
        self._older_shapes = 0 if continued is None else continued.shapes
        self._slot_wanted: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
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

    @cached_property
    def artifact_folder(self) -> Path:
        """Where artifacts of the run go."""
        return self.request.artifact_folder / self.run_id

    # Numbers and facts.

    def next_span(self) -> int:
        """Return the next span number; thread-safe."""
        return next(self.spans)

    def shape(self, facts: StepFacts) -> int:
        """Return the number of the attributes that spans of this step share."""
        return self._number(facts.shape)

    def shape_of_reused(self, step: TaskStep) -> int:
        """Return the same for a step that does not run, of which nothing else is worked out."""
        return self._number(self._facts.shape(step))

    def _number(self, shape: ShapeKey) -> int:
        known = self._shapes.get(shape)
        if known is None:
            known = self._shapes[shape] = self._older_shapes + len(self._shapes) + 1
            self.outbox.append(ShapeDeclared(known, shape.task, shape.attributes))
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
        if self.told:
            self.pass_on()

    def tell(self, record: Record, error: BaseException | None = None) -> None:
        """Have the watch learn of a failure in the outbox, once that is durable."""
        if self._watch is None:
            return
        self.has_failed = True
        self.told.append(record)
        failure = record.failure  # type: ignore[attr-defined]  # only such records come here
        if error is not None and failure is not None:
            self._errors[failure.failure_id] = error

    def pass_on(self) -> None:
        """Tell the watch what is durable now."""
        records, self.told = self.told, []
        if self._watch is not None:
            self._watch.take(records, self._errors)  # type: ignore[arg-type]  # as in ``note``
        if not self.request.keep_errors:
            self._errors.clear()

    def reaches(self, container: str) -> bool:
        """Tell whether the one node asked for, or one to reuse, is inside the container."""
        request = self.request
        inside = (f"{container}.", f"{container}[")
        stored = () if request.reuse is None else request.reuse.stored
        return request.only.startswith(inside) or any(path.startswith(inside) for path in stored)

    def ended_before(self, path: str) -> int:
        """Return the span of a scope that ended on another worker and is not told again, or 0."""
        return 0 if self.continued is None else self.continued.scopes.get(path, 0)

    def decision(self, path: str) -> str | None:
        """Return the key of the branch that a container took in an earlier run."""
        reuse = self.request.reuse
        return None if reuse is None else reuse.decisions.get(path)

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

    @property
    def awaits_slots(self) -> bool:
        """Whether a scope waits for a slot."""
        return bool(self._slot_wanted)

    def forget_slot(self, notify: Callable[[], None]) -> None:
        """A scope is over; if it was told of a slot and did not take it, the next one is told."""
        if notify in self._slot_wanted:
            self._slot_wanted.remove(notify)
        elif self.free_slots > 0 and self._slot_wanted:
            self._slot_wanted.popleft()()

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

    def pause(self) -> None:
        """Belong to no loop for now: the run waits for its first records to be durable."""
        self._loop = None

    def go_on_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on in another loop, on its thread, after ``pause``."""
        self._loop = loop
        self.yielded = self.now()
        if self.cancel.requested:
            loop.call_soon(self.cancel.announce)

    def hurry_up(self) -> None:
        """End the grace time of everything that was asked to stop."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.hurry.set)

    @cached_property
    def random(self) -> Random:
        """For the jitter of retries."""
        from random import Random  # noqa: PLC0415 - slow to import, and few runs retry

        return Random(self.request.seed)  # noqa: S311 - jitter, not a secret

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
        from tailrace.engine.process import ProcessPool  # noqa: PLC0415 - few runs have any

        return ProcessPool(asyncio.get_running_loop())
