"""Binding against the rules written down once more, as plainly as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import DefinitionError, Flow, task
from tailrace.flows.compile import compile_flow
from tailrace.model import (
    Constant,
    FromContext,
    FromParam,
    FromPayload,
    FromResult,
    TaskStep,
)

POOL = ("p", "q", "n1", "n2", "free", "other", "ctx")


@dataclass(frozen=True)
class Case:
    parameters: tuple[tuple[str, bool], ...]
    """Name, and whether it has a default."""
    inputs: frozenset[str]
    params: frozenset[str]
    upstream: tuple[str, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = draw(st.lists(st.sampled_from(POOL), unique=True, max_size=5))
    has_default = {name: draw(st.booleans()) for name in names}
    ordered = sorted(names, key=lambda name: has_default[name])
    inputs = draw(st.sets(st.sampled_from(names))) if names else set()
    return Case(
        tuple((name, has_default[name]) for name in ordered),
        frozenset(inputs),
        frozenset(draw(st.sets(st.sampled_from(("p", "q", "n1"))))),
        draw(st.sampled_from([(), ("n1",), ("n1", "n2")])),
    )


def expected(case: Case) -> dict[str, type] | None:
    """Return the kind of source per bound parameter; None: the flow does not build."""
    found: dict[str, type] = {}
    left: list[str] = []
    for name, has_default in case.parameters:
        if name in case.inputs:
            found[name] = Constant
        elif name == "ctx":
            found[name] = FromContext
        elif name in case.params:
            found[name] = FromParam
        elif name in case.upstream:
            found[name] = FromResult
        elif not has_default:
            left.append(name)
    if len(left) == 1 and case.upstream:
        found[left[0]] = FromPayload
        left = []
    return None if left else found


def flow_of(case: Case) -> Flow:
    signature = ", ".join(name + ("=None" if default else "") for name, default in case.parameters)
    scope: dict[str, Any] = {}
    exec(f"def target({signature}): return 1", scope)  # noqa: S102 - a signature as data
    target = task(scope["target"]).with_inputs(**dict.fromkeys(case.inputs, 0))
    before = [task(lambda: 1).named(name) for name in case.upstream]
    body: Any = target
    if len(before) == 1:
        body = before[0] >> target
    elif before:
        body = (before[0] & before[1]) >> target
    return Flow("f", body)


@given(cases())
def test_every_parameter_gets_its_value_from_where_the_rules_say(case: Case) -> None:
    wanted, flow = expected(case), flow_of(case)
    if wanted is None:
        with pytest.raises(DefinitionError) as caught:
            compile_flow(flow, params=case.params)
        assert {finding.code for finding in caught.value.findings} == {"TR150"}
        return
    plan = compile_flow(flow, params=case.params)
    step = next(step for step in plan.scope.steps if step.name == "target")
    assert isinstance(step, TaskStep)
    assert {bound.parameter: type(bound.source) for bound in step.bindings} == wanted
