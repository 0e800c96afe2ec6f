"""Runs that begin on the loop that talks to NATS, up to their claim.

To hand a run to an engine's thread and its claim back takes longer than what happens in between.
Where that is short, and none of it is code of a user, it is done in place; all that follows the
claim is done by an engine, always.
"""

from __future__ import annotations

import asyncio
from asyncio import _set_running_loop
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from tailrace.model import Constant, FlowPlan, FromContext, FromParam, FromPayload, TaskStep
from tailrace.model.plan import AnyKindOfStep
from tailrace.model.remote import Job
from tailrace.worker.execution import Assignment, Surroundings

_MOST_STEPS = 64
_LONGEST = 16 * 1024
"""Bytes of a job."""
_REMEMBERED = 1000
_PLAIN = frozenset({str, int, float, bool, type(None)})
_HANDED = (FromParam, FromPayload, FromContext)
_Key = tuple[str, frozenset[str]]


class Beginnings:
    """Knows which runs may begin in place, and begins them. Made on the loop that does so."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._outer = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._fit: dict[_Key, bool] = {}

    def learn(self, job: Job, plan: FlowPlan) -> None:
        """Take in the plan of a flow that an engine's thread has made; from any thread."""
        if job.workflow_yaml or job.policy:
            return
        key = job.flow_name, frozenset(job.params)
        if key not in self._fit:
            if len(self._fit) >= _REMEMBERED:
                self._fit.clear()
            self._fit[key] = _is_plain(plan)

    def fits(self, assignment: Assignment, size: int) -> bool:
        """Whether a run whose job has so many bytes may begin in place."""
        job = assignment.job
        if assignment.earlier or size > _LONGEST:
            return False
        if job.workflow_yaml or job.policy or job.resumed_from or job.letter:
            return False
        is_fit = self._fit.get((job.flow_name, frozenset(job.params)), False)
        return is_fit and not self._around.tracers  # which are code of others

    def start(self, work: Coroutine[Any, Any, Any], context: Context) -> object:
        """Run a coroutine until it waits for the first time, and return what it waits for.

        Raises:
            StopIteration: it did not wait.
        """
        _set_running_loop(self._loop)
        try:
            return context.run(work.send, None)
        finally:
            _set_running_loop(self._outer)

    def close(self) -> None:
        """Let go of what it holds."""
        self._loop.close()


def _is_plain(plan: FlowPlan) -> bool:
    """Whether a flow begins with tasks alone, given what came with the run, or constants."""
    scope = plan.scope
    if len(scope.steps) > _MOST_STEPS or not _are_plain(plan.defaults.values()):
        return False
    return all(_takes_plain(scope.steps[index]) for index in scope.entries)


def _takes_plain(step: AnyKindOfStep) -> bool:
    if not isinstance(step, TaskStep) or step.task.cache != "none":
        return False
    sources = [binding.source for binding in step.bindings]
    given = [one.value for one in sources if isinstance(one, Constant)]
    return _are_plain(given) and all(isinstance(one, (*_HANDED, Constant)) for one in sources)


def _are_plain(values: Any) -> bool:
    return all(type(value) in _PLAIN for value in values)
