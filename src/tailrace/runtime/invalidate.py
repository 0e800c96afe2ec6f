"""Taking back what a changed node, and all that depends on it, has finished."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from msgspec.structs import replace

from tailrace.engine import Reuse
from tailrace.model import AnyKindOfStep, FlowPlan, RepeatStep, ScopePlan, TaskStep, UntilStep
from tailrace.model.plan import inner_scopes
from tailrace.runtime.fingerprint import inner_prefix
from tailrace.runtime.resume import without


def without_nodes(reuse: Reuse, gone: Collection[str]) -> Reuse:
    """Return what is left to reuse when the nodes at these static paths run again."""
    return replace(
        reuse, stored=without(reuse.stored, gone), decisions=without(reuse.decisions, gone)
    )


def dependants(plan: FlowPlan, roots: Collection[str]) -> frozenset[str]:
    """Return the static paths of these steps and of all that depend on them.

    Those that depend on a step are in its scope and in those around. A body that is repeated goes
    as a whole: its iterations build on each other.
    """
    return frozenset(_gone(plan.scope, "", frozenset(roots)))


def _gone(scope: ScopePlan, prefix: str, roots: frozenset[str]) -> Iterator[str]:
    """Yield the static paths in a scope that have to run again."""
    reached: set[int] = set()
    waiting: deque[int] = deque()
    for step in scope.steps:
        path = prefix + step.name
        if path in roots:
            yield from _whole(step, prefix)
        elif isinstance(step, TaskStep):
            continue
        else:
            inside = list(_gone_inside(step, prefix, roots))
            if not inside:
                continue
            yield from inside
        reached.add(step.index)
        waiting.extend(_dependants(step))
    while waiting:
        index = waiting.popleft()
        if index not in reached:
            reached.add(index)
            yield from _whole(scope.steps[index], prefix)
            waiting.extend(_dependants(scope.steps[index]))


def _gone_inside(step: AnyKindOfStep, prefix: str, roots: frozenset[str]) -> Iterator[str]:
    below = inner_prefix(step, prefix)
    found = [path for inner in inner_scopes(step) for path in _gone(inner, below, roots)]
    if found and isinstance(step, RepeatStep | UntilStep):
        found = list(_inside(step, prefix))
    yield from found


def _whole(step: AnyKindOfStep, prefix: str) -> Iterator[str]:
    yield prefix + step.name
    yield from _inside(step, prefix)


def _inside(step: AnyKindOfStep, prefix: str) -> Iterator[str]:
    for inner in inner_scopes(step):
        for one in inner.steps:
            yield from _whole(one, inner_prefix(step, prefix))


def _dependants(step: AnyKindOfStep) -> Iterator[int]:
    yield from step.successors
    if isinstance(step, TaskStep):
        yield from (index for index in (step.handler, step.rejoin) if index is not None)
