"""A generator task whose values go into a ``foreach`` while it is still running."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from tailrace import failures
from tailrace.engine.attempt import Attempt, within
from tailrace.engine.running import Running
from tailrace.model import (
    AnyKindOfStep,
    CallKind,
    FailureRecord,
    ForEachStep,
    Isolation,
    ScopePlan,
    TaskStep,
)

END = object()
"""What ``Stream.next`` gives after the last value."""


class StreamBroken(Exception):  # noqa: N818 - carries the generator's failure as data
    """The generator raised; its node has failed."""

    def __init__(self, failure: FailureRecord, path: str) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.path = path


class Stream:
    """The values of one generator node, pulled by the loop that consumes them.

    The node's span stays open until the generator ends, so its time and output are its own.
    """

    def __init__(
        self,
        run: Running,
        attempt: Attempt,
        make: Callable[[], Any],
        finish: Callable[[int, FailureRecord | None], FailureRecord | None],
    ) -> None:
        self._run = run
        self._attempt = attempt
        self._make = make
        self._finish = finish
        self._generator: Any = None
        self._count = 0
        self._over = False

    async def next(self) -> Any:
        """Return the next value, or ``END``.

        Raises:
            StreamBroken: the generator raised.
        """
        if self._over:
            return END
        try:
            value = await self._pull()
        except BaseException as error:
            self._run.saw(error)
            failure = self._end(failures.capture(error))
            assert failure is not None  # noqa: S101 - one was given
            raise StreamBroken(failure, self._attempt.path) from error
        if value is END:
            self._end(None)
        else:
            self._count += 1
        return value

    async def _pull(self) -> Any:
        if self._generator is None:
            self._generator = within(self._attempt, self._make)
        if inspect.isasyncgen(self._generator):
            return await anext(self._generator, END)
        step = partial(next, self._generator, END)
        if self._run.active == 1:
            return within(self._attempt, step)
        context = copy_context()
        pull = partial(context.run, within, self._attempt, step)
        value, error = await self._run.threads.submit(pull)
        if error is not None:
            raise error
        return value

    async def close(self) -> None:
        """End the generator early: the loop stopped before the last value."""
        if self._over:
            return
        if inspect.isasyncgen(self._generator):
            await self._generator.aclose()
        elif self._generator is not None:
            self._generator.close()
        self._end(None)

    def _end(self, failure: FailureRecord | None) -> FailureRecord | None:
        """Finish the generator's node; return its failure as it was recorded."""
        self._over = True
        self._attempt.close()
        return self._finish(self._count, failure)


def streams(plan: ScopePlan, step: TaskStep) -> bool:
    """Tell whether a generator step feeds one ``foreach`` directly and nothing else."""
    if step.task.kind not in {CallKind.GENERATOR, CallKind.ASYNC_GENERATOR}:
        return False
    if step.task.isolation is Isolation.PROCESS or len(step.successors) != 1:
        return False
    policy = step.policy
    if policy.timeout or policy.total_timeout or policy.retry.max_attempts:
        return False
    if policy.on_error.action != "stop" or step.outputs:
        return False
    return _consumes(plan.steps[step.successors[0]], step.name)


def _consumes(step: AnyKindOfStep, name: str) -> bool:
    if not isinstance(step, ForEachStep) or len(step.predecessors) != 1:
        return False
    source = step.over.source.replace(" ", "")
    return source in {"payload", f"results.{name}", f"node.{name}.output", f"payload.{name}"}
