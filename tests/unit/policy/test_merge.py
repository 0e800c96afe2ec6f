"""Levels of precedence, and where each value comes from."""

from __future__ import annotations

import pytest

from tailrace.errors import PolicyValidationError
from tailrace.model import EffectivePolicy, OnError, Policy, Retry
from tailrace.policy import describe, explain, resolve, snapshot

FLOW = Policy(
    timeout="10s",
    retry=Retry(max_attempts=2, delay="500ms", mode="exponential"),
    on_error=OnError(action="goto", target="clean_up"),
)


def test_without_levels_the_defaults_hold() -> None:
    assert resolve([]) == EffectivePolicy()
    assert set(resolve([]).origins.values()) == {"default"}


def test_a_stronger_level_changes_only_what_it_gives() -> None:
    merged = resolve([("flow", FLOW), ("node", Policy(retry=Retry(delay=2)))])
    assert merged.retry.delay == 2.0
    assert merged.retry.max_attempts == 2
    assert merged.retry.mode == "exponential"
    assert merged.timeout == 10.0
    assert merged.origins["retry.delay"] == "node"
    assert merged.origins["retry.max_attempts"] == "flow"
    assert merged.origins["fail_fast"] == "default"


def test_zero_false_and_null_of_a_stronger_level_are_values() -> None:
    weak = Policy(timeout="10s", retry=Retry(max_attempts=3, max_delay="5s", on=["transient"]))
    strong = Policy(
        fail_fast=False, timeout=0, retry=Retry(max_attempts=0, max_delay=None, on=None)
    )
    merged = resolve([("flow", weak), ("--policy", strong), ("node", None)])
    assert merged.timeout == 0.0
    assert merged.retry.max_attempts == 0
    assert merged.retry.max_delay is None
    assert merged.retry.on is None
    assert merged.fail_fast is False
    assert merged.origins["timeout"] == "--policy"


def test_on_error_is_taken_whole_from_the_strongest_level_that_gives_it() -> None:
    merged = resolve([("flow", FLOW), ("node", Policy(on_error=OnError(action="stop")))])
    assert merged.on_error.action == "stop"
    assert merged.on_error.target is None
    assert merged.origins["on_error.target"] == "default"
    kept = resolve([("flow", FLOW), ("node", Policy(timeout=1))])
    assert kept.on_error.target == "clean_up"


def test_a_value_of_null_is_told_from_no_value() -> None:
    given_null = resolve([("node", Policy(on_error=OnError(action="continue", value=None)))])
    assert given_null.on_error.has_value
    no_value = resolve([("node", Policy(on_error=OnError(action="continue")))])
    assert not no_value.on_error.has_value


def test_problems_of_all_levels_are_told_at_once() -> None:
    with pytest.raises(PolicyValidationError) as caught:
        resolve([("flow", Policy(timeout=-1)), ("node", Policy(retry=Retry(mode="x")))])
    first, second = caught.value.errors
    assert first.startswith("flow policy.timeout is -1")
    assert second.startswith("node policy.retry.mode is 'x'")


def test_one_line_says_what_the_policy_does() -> None:
    policy = resolve([("flow", Policy(timeout="5s", retry=Retry(2, "500ms", "exponential")))])
    assert describe(policy) == (
        "fail_fast=True, timeout=5s, retry=exponential(max_attempts=2, delay=500ms), on_error=stop"
    )
    assert describe(EffectivePolicy()) == "fail_fast=True, timeout=off, retry=off, on_error=stop"
    full = Policy(
        total_timeout="1m",
        retry=Retry(1, 1, "fixed", "2s", "full", ["unknown", "timeout"], "1h"),
        on_error=OnError(action="goto", target="a", rejoin="b"),
    )
    assert describe(resolve([("node", full)])) == (
        "fail_fast=True, timeout=off, total_timeout=1m, retry=fixed(max_attempts=1, delay=1s, "
        "max_delay=2s, jitter=full, on=timeout|unknown, max_elapsed=1h), on_error=goto(a, rejoin=b)"
    )


def test_the_snapshot_is_plain_data_and_shows_no_text_of_the_user() -> None:
    policy = Policy(
        on_error=OnError(action="continue", value="s3cret"), retry=Retry(on=["unknown"])
    )
    assert snapshot(resolve([("node", policy)])) == {
        "fail_fast": True,
        "timeout": 0.0,
        "retry": {
            "max_attempts": 0,
            "delay": 0.0,
            "mode": "fixed",
            "jitter": "none",
            "on": ["unknown"],
        },
        "on_error": {"action": "continue", "value": "<str>"},
    }
    number = Policy(on_error=OnError(action="continue", value=0))
    assert snapshot(resolve([("node", number)]))["on_error"]["value"] == 0


def test_explain_names_each_value_and_its_origin() -> None:
    rows = {name: (value, origin) for name, value, origin in explain([("flow", FLOW)])}
    assert rows["timeout"] == ("10s", "flow")
    assert rows["retry.max_delay"] == (None, "default")
    assert rows["retry.max_attempts"] == (2, "flow")
    assert rows["on_error.target"] == ("clean_up", "flow")
    assert explain(resolve([("flow", FLOW)])) == explain([("flow", FLOW)])
