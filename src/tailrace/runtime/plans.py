"""Plans, kept for as long as their flow lives."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from tailrace.engine import PlanFacts
from tailrace.flows.compile import compile_flow
from tailrace.model import Flow, FlowPlan, Policy


@dataclass(frozen=True, slots=True)
class ReadyPlan:
    """A plan with what the engine has worked out about it."""

    plan: FlowPlan
    facts: PlanFacts = field(default_factory=PlanFacts)


_Key = tuple[frozenset[str], Policy | None]
_plans: WeakKeyDictionary[Flow, dict[_Key, ReadyPlan]] = WeakKeyDictionary()
_MOST = 16
"""Plans kept per flow; a flow is seldom run with more sets of params than this."""


def ready_plan(flow: Flow, params: Collection[str], override: Policy | None) -> ReadyPlan:
    """Return the plan of a flow for these param names, compiled at most once.

    Raises:
        DefinitionError: the flow cannot be built; ``findings`` says all that is wrong.
    """
    try:
        known = _plans.setdefault(flow, {})
    except TypeError:  # a bare definition, which nobody runs twice
        return ReadyPlan(compile_flow(flow, params=params, override=override))
    key = (frozenset(params), override)
    ready = known.get(key)
    if ready is None:
        if len(known) >= _MOST:
            known.clear()
        ready = known[key] = ReadyPlan(compile_flow(flow, params=params, override=override))
    return ready
