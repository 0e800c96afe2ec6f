"""Every problem of a policy at once, and the same answers for both spellings."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import PolicyValidationError
from tailrace.model import OnError, Policy, Retry
from tailrace.policy import PolicyValidator, cautions, problems, resolve, to_dict


def messages(policy: Any, path: str = "policy") -> list[str]:
    return [problem.message for problem in problems(policy, path)]


def test_a_policy_of_the_contract_is_in_bounds() -> None:
    policy = PolicyValidator.from_dict(
        {
            "timeout": "10s",
            "retry": {
                "max_attempts": 3,
                "delay": "200ms",
                "mode": "exponential",
                "max_delay": "5s",
                "jitter": "full",
                "on": ["transient"],
            },
            "on_error": {"action": "goto", "target": "fallback"},
        }
    )
    assert policy.retry.max_attempts == 3
    assert policy.on_error.target == "fallback"
    assert policy.given == {"timeout", "retry", "on_error"}


def test_all_problems_are_told_at_once_with_path_value_and_what_is_allowed() -> None:
    with pytest.raises(PolicyValidationError) as caught:
        PolicyValidator.from_dict(
            {
                "timout": "5s",
                "retry": {"max_attempts": -1, "delay": "5 sec", "mode": "exponental"},
                "on_error": {"action": "goto"},
            },
            "tasks.load.policy",
        )
    errors = caught.value.errors
    assert len(errors) == 5
    assert errors[0].startswith("unknown key 'timout' in tasks.load.policy (known: fail_fast")
    assert errors[0].endswith("did you mean 'timeout'?")
    assert errors[1].startswith("tasks.load.policy.retry.max_attempts is -1; it must be a whole")
    assert errors[2].startswith("tasks.load.policy.retry.delay is '5 sec'; it must be seconds")
    assert "did you mean 'exponential'?" in errors[3]
    assert "target is missing" in errors[4]
    assert str(caught.value) == "\n".join(errors)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fail_fast", 1),
        ("fail_fast", "true"),
        ("timeout", True),
        ("timeout", None),
        ("timeout", -1),
        ("timeout", math.nan),
        ("timeout", math.inf),
        ("total_timeout", "soon"),
        ("retry", 3),
        ("retry", None),
        ("on_error", "stop"),
        ("retry.max_attempts", True),
        ("retry.max_attempts", 1.0),
        ("retry.max_attempts", "3"),
        ("retry.max_attempts", 2**31),
        ("retry.jitter", "some"),
        ("retry.jitter", ["full"]),
        ("retry.on", "transient"),
        ("retry.on", []),
        ("retry.on", ["cancelled"]),
        ("retry.on", [["transient"]]),
        ("retry.max_delay", "x"),
        ("on_error.action", "ignore"),
        ("on_error.action", ["stop"]),
    ],
)
def test_a_value_out_of_bounds_is_one_problem_at_its_path(field: Any, value: Any) -> None:
    section, _, key = field.rpartition(".")
    mapping = {section: {key: value}} if section else {key: value}
    found = problems(mapping)
    assert [(problem.code, problem.path) for problem in found] == [("TR170", f"policy.{field}")]


@pytest.mark.parametrize(
    ("mapping", "part"),
    [
        ({"timeout": "5s", "total_timeout": "4s"}, "policy.total_timeout is '4s'; it must not be"),
        ({"retry": {"delay": 2, "max_delay": 1}}, "policy.retry.max_delay is 1; it must not be"),
        ({"retry": {"delay": 0, "jitter": "full"}}, "nothing to vary"),
        ({"on_error": {"action": "goto"}}, "must name a node"),
        ({"on_error": {"action": "fallback", "target": None}}, "must name a node"),
        ({"on_error": {"action": "stop", "target": "x"}}, "target belongs to 'goto'"),
        ({"on_error": {"target": "x"}}, "action is 'stop'; target belongs"),
        ({"on_error": {"action": "stop", "value": None}}, "value belongs to 'continue'"),
        ({"on_error": {"action": "isolate", "rejoin": "x"}}, "rejoin belongs to 'goto'"),
    ],
)
def test_values_that_contradict_each_other_are_named(mapping: Any, part: Any) -> None:
    (message,) = messages(mapping)
    assert part in message


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {"timeout": 0, "total_timeout": "1s"},
        {"timeout": "5s", "total_timeout": 0},
        {"retry": {"delay": "1s", "max_delay": 0}},
        {"retry": {"jitter": "full"}},
        {"retry": {"max_delay": None, "max_elapsed": None, "on": None}},
        {"on_error": {"action": "continue", "value": None}},
        {"on_error": {"action": "stop", "target": None}},
        {"on_error": {"action": "goto", "target": "a", "rejoin": "b"}},
    ],
)
def test_zero_and_null_are_values_and_not_mistakes(mapping: Any) -> None:
    assert messages(mapping) == []


@pytest.mark.parametrize("value", [None, 3, "stop", [], object()])
def test_what_is_no_policy_at_all_is_one_problem(value: Any) -> None:
    (problem,) = problems(value)
    assert "must be a mapping" in problem.message


def test_a_word_in_the_place_of_a_list_of_words_is_told_how_to_write_the_list() -> None:
    (problem,) = problems({"retry": {"max_attempts": 2, "on": "transient"}})
    assert "did you mean" not in problem.message
    assert problem.hint == "Write ['transient']."


def test_a_value_whose_repr_raises_is_still_told() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "a Broken" in messages({"timeout": Broken()})[0]


def test_doubtful_policies_are_cautions_and_no_problems() -> None:
    doubtful = {"retry": {"max_attempts": 2}}
    assert messages(doubtful) == []
    assert [caution.path for caution in cautions(doubtful)] == [
        "policy.timeout",
        "policy.retry.delay",
    ]
    assert cautions({"retry": {"max_attempts": 0, "delay": 1}})[0].code == "TR174"
    assert cautions({"timeout": "5s", "retry": {"max_attempts": 2, "delay": "1s"}}) == []
    assert cautions({"timeout": -1, "retry": {"max_attempts": 2}}) == []


sound_durations = st.sampled_from([0, 1, 2.5, "250ms", "5s", "1.5m"])
any_value = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=8), sound_durations
)
retries = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": any_value,
        "delay": any_value,
        "mode": st.sampled_from(["fixed", "exponential", "linear"]),
        "max_delay": any_value,
        "jitter": st.sampled_from(["none", "full", "equal", "most"]),
        "on": st.none() | st.lists(st.sampled_from(["transient", "unknown", "cancelled"])),
        "max_elapsed": any_value,
    },
)
on_errors = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["stop", "continue", "goto", "isolate", "fallback", "go"]),
        "target": st.none() | st.text(max_size=4),
        "value": any_value,
        "rejoin": st.none() | st.just("b"),
    },
)
mappings = st.fixed_dictionaries(
    {},
    optional={
        "fail_fast": any_value,
        "timeout": any_value,
        "total_timeout": any_value,
        "retry": retries,
        "on_error": on_errors,
    },
)


def as_objects(mapping: dict[str, Any]) -> Policy:
    top = dict(mapping)
    if "retry" in top:
        top["retry"] = Retry(**top["retry"])
    if "on_error" in top:
        top["on_error"] = OnError(**top["on_error"])
    return Policy(**top)


@given(mappings)
def test_a_mapping_and_its_objects_get_the_same_answers(mapping: Any) -> None:
    assert problems(mapping) == problems(as_objects(mapping))


@given(mappings)
def test_a_policy_in_bounds_round_trips_and_resolves(mapping: Any) -> None:
    if problems(mapping):
        with pytest.raises(PolicyValidationError):
            PolicyValidator.validate(mapping)
        return
    policy = PolicyValidator.from_dict(mapping)
    assert to_dict(policy) == mapping
    assert PolicyValidator.from_dict(to_dict(policy)) == policy
    assert PolicyValidator.from_dict(policy) is policy
    resolve([("node", policy)])


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["retry", "on_error", "timeout", "delay", "x"]) | st.integers(),
                inner,
            )
        ),
        max_leaves=8,
    )
)
def test_no_document_makes_the_validator_crash(document: Any) -> None:
    for problem in problems(document):
        assert problem.path.startswith("policy")
        assert problem.message
