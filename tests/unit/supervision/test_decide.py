"""What a scope decides where nobody says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.failures.supervision import (
    ScopePolicy,
    Strategy,
    advance,
    affected,
    decide,
    is_around,
    strategy_of,
)
from tailrace.failures.supervision.levels import stage_at
from tailrace.model import ErrorCategory, FailureClass, FailureSnapshot, Origin, ScopeLevel

TASK, NODE, FLOW, RUN, WORKER, ROOT = ScopeLevel


def failure(**fields: Any) -> FailureSnapshot:
    told = {
        "failure_id": "F-1",
        "captured_ns": 1,
        "type": "E",
        "message": "m",
        "category": "transient",
        "retryable": True,
        **fields,
    }
    return FailureSnapshot(**told)


@pytest.mark.parametrize(
    ("level", "fields", "policy", "directive"),
    [
        (TASK, {}, ScopePolicy(), "escalate"),
        (TASK, {}, ScopePolicy(retries_left=1), "retry"),
        (TASK, {"category": "permanent"}, ScopePolicy(retries_left=1), "retry"),
        (TASK, {"retryable": False}, ScopePolicy(retries_left=1), "escalate"),
        (TASK, {"category": "cancelled"}, ScopePolicy(retries_left=9), "escalate"),
        (TASK, {"category": "unknown"}, ScopePolicy(retries_left=1, on=frozenset({"transient"})),
         "escalate"),
        (TASK, {"category": "timeout"}, ScopePolicy(retries_left=1, on=frozenset({"transient"})),
         "retry"),
        (NODE, {}, ScopePolicy(), "escalate"),
        (NODE, {}, ScopePolicy(on_error="fallback"), "resume"),
        (FLOW, {}, ScopePolicy(), "escalate"),
        (RUN, {}, ScopePolicy(), "stop"),
        (RUN, {"class_": "infrastructure"}, ScopePolicy(), "escalate"),
        (WORKER, {}, ScopePolicy(restarts_left=1), "restart"),
        (WORKER, {}, ScopePolicy(), "escalate"),
        (WORKER, {"class_": "infrastructure"}, ScopePolicy(), "escalate"),
        (ROOT, {}, ScopePolicy(), "stop"),
    ],
)  # fmt: skip
def test_the_table(
    level: ScopeLevel, fields: dict[str, Any], policy: ScopePolicy, directive: str
) -> None:
    decision = decide(level, failure(**fields), policy)
    assert decision.directive == directive
    assert decision.reason


def test_what_an_inner_scope_gave_up_is_tried_again_only_where_that_is_asked_for() -> None:
    spent = failure(given_up="max_attempts")
    refused = decide(TASK, spent, ScopePolicy(retries_left=3))
    assert refused == ("escalate", "retries_exhausted: max_attempts")
    assert decide(TASK, spent, ScopePolicy(retries_left=3, nested=True)).directive == "retry"


@given(
    st.sampled_from(ErrorCategory),
    st.sampled_from(FailureClass),
    st.builds(ScopePolicy, retries_left=st.integers(0, 3), restarts_left=st.integers(0, 3)),
)
def test_only_infrastructure_passes_a_run(category: str, class_: str, policy: ScopePolicy) -> None:
    decision = decide(RUN, failure(category=category, class_=class_), policy)
    assert (decision.directive == "escalate") == (class_ == "infrastructure")


def test_levels_lie_around_one_another_from_the_task_to_the_root() -> None:
    assert is_around(ROOT, WORKER)
    assert is_around(NODE, TASK)
    assert not is_around(TASK, TASK)
    assert not is_around(FLOW, RUN)


def test_hops_are_counted_up_to_a_bound() -> None:
    assert stage_at(0).is_initial()
    assert (stage_at(3).hops(), stage_at(3).kind) == (3, "escalated")
    assert stage_at(100).escalate().hops() == 101
    assert stage_at(70_000).hops() == stage_at(65_535).escalate().hops() == 65_535


def test_a_failure_at_the_root_stays_there() -> None:
    at_root = failure(path=("root",), origin=Origin(("root",)), level="root")
    stays = advance(at_root, "stop", 1, disposition="terminal")
    assert (stays.path, stays.trail, stays.disposition) == (("root",), (), "terminal")


@pytest.mark.parametrize(
    ("fail_fast", "on_error", "strategy"),
    [
        (True, "stop", Strategy.ALL_FOR_ONE),
        (False, "stop", Strategy.REST_FOR_ONE),
        (True, "isolate", Strategy.REST_FOR_ONE),
        (True, "continue", Strategy.ONE_FOR_ONE),
        (False, "fallback", Strategy.ONE_FOR_ONE),
        (True, "goto", Strategy.ONE_FOR_ONE),
    ],
)
def test_a_flows_policy_amounts_to_a_strategy(
    fail_fast: bool, on_error: str, strategy: Strategy
) -> None:
    assert strategy_of(fail_fast=fail_fast, on_error=on_error) is strategy


def test_each_strategy_says_who_shares_the_fate_of_a_child() -> None:
    children = ["a", "b", "c", "d"]
    assert affected(Strategy.ONE_FOR_ONE, "b", children) == ["b"]
    assert affected(Strategy.REST_FOR_ONE, "b", children) == ["b", "c", "d"]
    assert affected(Strategy.ALL_FOR_ONE, "b", children) == children


def test_in_a_graph_the_rest_is_what_needs_the_child_however_far() -> None:
    needs = {"c": ["a"], "d": ["c"], "b": ["root"]}
    children = ["d", "a", "b", "c"]
    assert affected(Strategy.REST_FOR_ONE, "a", children, needs) == ["d", "a", "c"]
