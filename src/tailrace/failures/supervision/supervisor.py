"""A supervisor: keeps children running, begins crashed ones afresh, and knows when to give up."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TextIO

from tailrace.errors import DefinitionError
from tailrace.failures.snapshot import capture_snapshot
from tailrace.failures.supervision.child import Child, run_child
from tailrace.failures.supervision.decide import INTENSITY_EXCEEDED, Decision, ScopePolicy, decide
from tailrace.failures.supervision.intensity import Crashes, RestartIntensity
from tailrace.failures.supervision.levels import advance
from tailrace.failures.supervision.siblings import Strategy, affected
from tailrace.model.failure import Directive, Disposition, FailureSnapshot, ScopeLevel

EX_SOFTWARE = 70
"""Exit code of a process whose supervisor gave up (``sysexits.h``)."""

_EXITS = (KeyboardInterrupt, SystemExit)
OnFailure = Callable[[FailureSnapshot, BaseException | None], None]
"""Takes a failure at its final disposition, and the exception that it is."""


class Supervisor:
    """Runs children until all have ended, or one scope of them crashes too often.

    Each crash is one failure, raised at ``root/worker:<name>/task:<child>``. It is ``retried``
    while the intensity admits restarts; the one beyond it escalates to the root with the reason
    ``intensity_exceeded`` and is ``terminal``.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        name: str = "main",
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: RestartIntensity | None = None,
        on_failure: OnFailure | None = None,
        grace: float = 5.0,
    ) -> None:
        """Take the children; ``run`` starts them in this order.

        Args:
            children: with names that differ.
            name: of the worker that this is.
            strategy: who is begun afresh together with a child that crashed.
            intensity: restarts that are admitted; None: 3 within 5 seconds.
            on_failure: told of every failure; what it raises is passed over.
            grace: seconds that a child has to stop.

        Raises:
            DefinitionError: two children have one name.
        """
        self._children = {child.name: child for child in children}
        if len(self._children) < len(children):
            names = [child.name for child in children]
            twice = next(one for one in names if names.count(one) > 1)
            raise DefinitionError(
                f"two children of supervisor {name!r} are named {twice!r}",
                code="TR326",
                hint="give each child a name of its own",
            )
        self._path = (ScopeLevel.ROOT.value, f"worker:{name}")
        self._strategy = strategy
        self._intensity = intensity or RestartIntensity()
        self._on_failure = on_failure
        self._grace = grace
        self._crashes: Crashes = ()
        self._running: dict[str, asyncio.Task[None]] = {}
        self.restarts = 0
        """Restarts so far."""

    async def run(self) -> FailureSnapshot | None:
        """Run the children; return the failure that was one too many, or None."""
        try:
            self._start(self._children)
            while self._running:
                await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)
                last = await self._look_after(self._take_crashed())
                if last is not None:
                    return last
        finally:
            await self._stop(list(self._running))
        return None

    def _start(self, names: Iterable[str]) -> None:
        for name in names:
            child = self._children[name]
            self._running[name] = asyncio.create_task(run_child(child, self._grace), name=name)

    def _take_crashed(self) -> dict[str, BaseException]:
        """Forget the children that have ended; return what the crashed ones raised.

        An exit or an interrupt is no crash: it ends the supervisor too.
        """
        crashed = {}
        for name, task in list(self._running.items()):
            if not task.done():
                continue
            del self._running[name]
            error = None if task.cancelled() else task.exception()
            if isinstance(error, _EXITS):
                raise error
            if error is not None:
                crashed[name] = error
        return crashed

    async def _look_after(self, crashed: dict[str, BaseException]) -> FailureSnapshot | None:
        """Begin afresh who has to be; return the failure that was one too many."""
        met = [self._meet(name, error) for name, error in crashed.items()]
        for snapshot in met:
            if snapshot.disposition == Disposition.TERMINAL:
                return snapshot
        together = {
            other
            for name in crashed
            for other in affected(self._strategy, name, list(self._children))
        }
        again = [
            name for name in self._children
            if name in crashed or (name in together and name in self._running)
        ]  # fmt: skip
        await self._stop([name for name in again if name not in crashed])
        self.restarts += len(crashed)
        self._start(again)
        return None

    def _meet(self, name: str, error: BaseException) -> FailureSnapshot:
        """Decide about a crash and report it."""
        self._crashes = self._intensity.after(self._crashes, time.monotonic())
        path = (*self._path, f"task:{name}")
        snapshot = capture_snapshot(
            error, source="task", path=path, worker_id=self._path[-1].partition(":")[2]
        )
        left = self._intensity.left(self._crashes)
        decision = decide(ScopeLevel.WORKER, snapshot, ScopePolicy(restarts_left=left))
        restarts = decision.directive is Directive.RESTART
        disposition = Disposition.RETRIED if restarts else Disposition.OPEN
        snapshot = _hop(snapshot, decision, str(self._strategy), disposition)
        if not restarts:
            end = decide(ScopeLevel.ROOT, snapshot)
            snapshot = _hop(snapshot, end, "", Disposition.TERMINAL)
        self._report(snapshot, error)
        return snapshot

    async def _stop(self, names: Sequence[str]) -> None:
        """Stop children; one that raises instead has failed, one that stays is abandoned."""
        tasks = {name: self._running.pop(name) for name in names}
        for task in tasks.values():
            task.cancel()
        if tasks:
            await asyncio.wait(tasks.values(), timeout=self._grace + 1.0)
        for name, task in tasks.items():
            error = task.exception() if task.done() and not task.cancelled() else None
            if error is not None and not isinstance(error, _EXITS):
                path = (*self._path, f"task:{name}")
                snapshot = capture_snapshot(error, source="task", path=path)
                decision = Decision(Directive.RESUME, "it was being stopped")
                self._report(_hop(snapshot, decision, "", Disposition.HANDLED), error)

    def _report(self, snapshot: FailureSnapshot, error: BaseException) -> None:
        if self._on_failure is not None:
            with suppress(Exception):  # who watches must not end what is watched
                self._on_failure(snapshot, error)


def run_supervised(
    children: Sequence[Child],
    *,
    name: str = "main",
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    intensity: RestartIntensity | None = None,
    on_failure: OnFailure | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run children under a supervisor of this process and return its exit code.

    0 when all have ended by themselves; ``EX_SOFTWARE`` when they crashed too often, and then the
    last failure stands on ``stderr`` (None: that of the process).
    """
    allowed = intensity or RestartIntensity()
    supervisor = Supervisor(
        children, name=name, strategy=strategy, intensity=allowed, on_failure=on_failure
    )
    last = asyncio.run(supervisor.run())
    if last is None:
        return 0
    stream = sys.stderr if stderr is None else stderr
    stream.write(
        f"{last.path[0]}: {INTENSITY_EXCEEDED}: more than {allowed.restarts} restarts within "
        f"{allowed.window:g} s\n"
        f"  last failure {last.failure_id} in {last.origin.path[-1]}\n"
        f"  {last.type}: {last.message}\n" + (f"  at {last.location}\n" if last.location else "")
    )
    return EX_SOFTWARE


def _hop(
    snapshot: FailureSnapshot, decision: Decision, reference: str, disposition: Disposition
) -> FailureSnapshot:
    return advance(
        snapshot,
        decision.directive.value,
        time.time_ns(),
        decision.reason,
        reference,
        disposition=disposition.value,
    )
