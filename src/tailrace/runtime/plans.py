"""Plans, kept for as long as their flow lives."""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

import msgspec

from tailrace.engine import PlanFacts
from tailrace.flows.compile import compile_flow
from tailrace.model import Flow, FlowPlan, Policy
from tailrace.policy.project import project_policy
from tailrace.runtime.code_version import code_version
from tailrace.runtime.fingerprint import node_fingerprints
from tailrace.runtime.locate import locate
from tailrace.settings import FailureSettings


class ReadyPlan(msgspec.Struct, frozen=True):
    """A plan with what the engine has worked out about it."""

    plan: FlowPlan
    code_version: str
    target: str
    """Where the flow can be loaded from; empty: nowhere."""
    fingerprints: bytes
    """JSON object: what each node does, by static path."""
    facts: PlanFacts = msgspec.field(default_factory=PlanFacts)


_Key = tuple[frozenset[str], Policy | None, FailureSettings]
_plans: WeakKeyDictionary[Flow, dict[_Key, ReadyPlan]] = WeakKeyDictionary()
_MOST = 16
"""Plans kept per flow; a flow is seldom run with more sets of params than this."""


def ready_plan(
    flow: Flow, params: Collection[str], override: Policy | None, settings: FailureSettings
) -> ReadyPlan:
    """Return the plan of a flow for these param names, compiled at most once.

    Raises:
        DefinitionError: the flow cannot be built; ``findings`` says all that is wrong.
    """
    known = _plans.setdefault(flow, {})
    key = (frozenset(params), override, settings)
    ready = known.get(key)
    if ready is None:
        if len(known) >= _MOST:
            known.clear()
        ready = known[key] = _ready(flow, params, override, settings)
    return ready


def _ready(
    flow: Flow, params: Collection[str], override: Policy | None, settings: FailureSettings
) -> ReadyPlan:
    base = project_policy(settings)
    plan = compile_flow(flow, params=params, override=override, base=base)
    fingerprints = msgspec.json.encode(node_fingerprints(plan))
    version = settings.code_version or code_version(plan)
    return ReadyPlan(plan, version, locate(flow, plan), fingerprints)
