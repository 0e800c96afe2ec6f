"""A retry is the same policy in whichever words and files it is written."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.flows.findings import Findings
from tailrace.flows.hash import canonical_policy, overlaid
from tailrace.flows.passage import SourceFile
from tailrace.flows.python_write import python_text
from tailrace.flows.schema import json_schema
from tailrace.flows.yaml_text import plain, read_yaml
from tailrace.flows.yaml_write import flow_text, nested
from tailrace.model import EffectiveRetry, OnError, Policy, Retry
from tailrace.model.policy import SYNONYMS
from tailrace.policy import PolicyValidator, describe, explain, problems, resolve, snapshot
from tailrace.policy.fields import FIELDS, SECTIONS, WORDS
from tailrace.policy.wording import retry_snapshot

durations = st.sampled_from([1, 2.5, "250ms", "5s", "1.5m"])
kinds = st.lists(
    st.sampled_from(["transient", "unknown", "network", "ConnectionError", "a.b.Error"]),
    min_size=1,
    unique=True,
)
RETRIES = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(0, 9),
        "delay": durations,
        "mode": st.sampled_from(["fixed", "exponential", "linear", "fibonacci"]),
        "factor": st.floats(1, 10) | st.integers(1, 10),
        "max_delay": st.none() | st.just("2h"),
        "jitter": st.sampled_from(["none", "full", "equal", "decorrelated", 0, 0.2, 1]),
        "on": st.none() | kinds,
        "give_up_on": st.none() | st.just(["auth", "x.Y"]),
        "unknown_retries": st.none() | st.integers(0, 3),
        "max_elapsed": st.none() | durations,
        "respect_retry_after": st.booleans(),
        "retry_after_cap": st.none() | durations,
        "budget": st.none() | st.just("api.example"),
        "on_budget": st.sampled_from(["dead_letter", "delay"]),
        "breaker": st.none() | st.just("api.example"),
        "nested": st.booleans(),
    },
)
OTHER_WORDS = {name: word for word, name in SYNONYMS.items()}


def in_other_words(fields: dict[str, Any]) -> dict[str, Any]:
    return {OTHER_WORDS.get(name, name): value for name, value in fields.items()}


def from_yaml(text: str) -> Policy:
    tree = read_yaml(SourceFile("f", f"policy: {text}\n"), Findings())
    assert tree is not None
    return PolicyValidator.from_dict(plain(tree)["policy"])


def test_every_field_of_the_engine_is_a_field_of_the_user_and_of_the_schema() -> None:
    names = set(EffectiveRetry.__struct_fields__)
    assert set(SECTIONS["retry"]) == names
    assert set(WORDS["retry"]) == names | set(SYNONYMS)
    schema = json_schema()["definitions"]["policy"]["properties"]["retry"]
    assert set(schema["properties"]) == set(WORDS["retry"])


def test_defaults_of_the_user_and_of_the_engine_are_the_same() -> None:
    merged = resolve([("node", Policy(retry=Retry()))]).retry
    assert merged == EffectiveRetry()
    for name in SECTIONS["retry"]:
        if name != "give_up_on":
            assert getattr(Retry(), name) == getattr(EffectiveRetry(), name)


@given(RETRIES)
def test_every_spelling_is_the_same_policy(fields: Any) -> None:
    written = Policy(retry=Retry(**fields))
    spellings = [
        Policy(retry=Retry(**in_other_words(fields))),
        PolicyValidator.from_dict({"retry": fields}),
        PolicyValidator.from_dict({"retry": in_other_words(fields)}),
        from_yaml(flow_text(nested(overlaid(written)) or {"retry": {}})),
        eval(f"Policy(retry=Retry(**{python_text(fields)}))"),  # noqa: S307 - our own output
        pickle.loads(pickle.dumps(written)),  # noqa: S301 - our own bytes
        copy.deepcopy(written),
    ]
    merged = resolve([("node", written)])
    for other in spellings:
        assert canonical_policy(other) == canonical_policy(written)
        assert resolve([("node", other)]) == merged
        assert describe(resolve([("node", other)])) == describe(merged)


@given(RETRIES)
def test_a_snapshot_leaves_nothing_out_that_counts(fields: Any) -> None:
    retry = resolve([("node", Policy(retry=Retry(**{"delay": 1, **fields})))]).retry
    shown = {"retry": retry_snapshot(retry)}
    assert resolve([("node", PolicyValidator.from_dict(shown))]).retry == retry


@given(RETRIES, RETRIES, RETRIES)
def test_levels_merge_field_by_field_in_whichever_words(
    first: Any, second: Any, third: Any
) -> None:
    levels = [("flow", first), ("--policy", second), ("node", third)]
    both = [
        resolve([(name, Policy(retry=Retry(**form(given)))) for name, given in levels])
        for form in (dict, in_other_words)
    ]
    assert both[0] == both[1]
    assert both[0].origins == both[1].origins
    assert (
        both[0].retry == resolve([("one", Policy(retry=Retry(**(first | second | third))))]).retry
    )
    for name in SECTIONS["retry"]:
        last = [level for level, given in levels if name in given]
        assert both[0].origins[f"retry.{name}"] == (last[-1] if last else "default")


@given(RETRIES, st.integers(0, 4))
def test_mistakes_are_told_alike_for_mappings_and_objects(fields: Any, place: int) -> None:
    wrong = [("base", -1), ("schedule", "x"), ("max_retries", "3"), ("retry_on", []), ("jitter", 7)]
    name, value = wrong[place]
    given = in_other_words(fields) | {name: value}
    mapping = problems({"retry": given})
    assert mapping == problems(Policy(retry=Retry(**given)))
    assert [one.path for one in mapping if one.code == "TR170"] == [f"policy.retry.{name}"]


@pytest.mark.parametrize(
    ("retry", "path", "message"),
    [
        ({"mode": "fixed", "schedule": "linear"}, "schedule", "is another word for mode"),
        ({"delay": 1, "base": 2}, "base", "is another word for delay, which is given, too"),
        ({"base": 9, "max_delay": 3}, "max_delay", "must not be less than base, which is 9"),
        ({"base": 0, "jitter": "full"}, "jitter", "but base is 0, so there is nothing to vary"),
        ({"on": ["auth"], "give_up_on": ["auth"]}, "give_up_on", "names 'auth', which on names"),
        ({"retry_on": ["auth"], "give_up_on": ["auth"]}, "give_up_on", "which retry_on names"),
    ],
)
def test_what_contradicts_itself_is_named_in_the_words_of_the_user(
    retry: Any, path: str, message: str
) -> None:
    for spelling in ({"retry": retry}, Policy(retry=Retry(**retry))):
        (found,) = problems(spelling)
        assert (found.code, found.path) == ("TR172", f"policy.retry.{path}")
        assert message in found.message


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("factor", 0.9, "a number from 1 to 1000"),
        ("factor", True, "a number from 1 to 1000"),
        ("factor", float("nan"), "a number from 1 to 1000"),
        ("jitter", 1.1, "the share by which it varies"),
        ("jitter", True, "the share by which it varies"),
        ("jitter", "ful", "did you mean 'full'?"),
        ("give_up_on", ["netwrok"], "did you mean 'network'?"),
        ("give_up_on", [], "null is none"),
        ("on", [int], "a list of one or more of"),
        ("unknown_retries", -1, "null is as many as others"),
        ("respect_retry_after", 1, "true or false"),
        ("retry_after_cap", "soon", "null is no bound"),
        ("budget", " ", "a name for what is called"),
        ("on_budget", "wait", "one of 'dead_letter', 'delay'"),
        ("breaker", 3, "a name for what is called"),
        ("nested", None, "true or false"),
    ],
)
def test_a_value_out_of_bounds_is_told_with_what_is_allowed(
    field: str, value: Any, part: str
) -> None:
    for spelling in ({"retry": {field: value}}, Policy(retry=Retry(**{field: value}))):
        (found,) = problems(spelling)
        assert (found.code, found.path) == ("TR170", f"policy.retry.{field}")
        assert part in found.message


def test_exception_types_are_written_by_their_names() -> None:
    retry = Retry(on=[ConnectionError, "timeout"], give_up_on=(BrokenPipeError,))
    assert retry.on == ["ConnectionError", "timeout"]
    assert retry == Retry(on=["ConnectionError", "timeout"], give_up_on=["BrokenPipeError"])


def test_a_misspelt_key_is_told_with_the_nearest_word() -> None:
    (found,) = problems({"retry": {"shedule": "fixed"}})
    assert found.code == "TR171"
    assert found.message.endswith("did you mean 'schedule'?")


def test_one_line_and_snapshot_show_what_was_given_and_no_more() -> None:
    policy = resolve(
        [
            (
                "node",
                Policy(
                    retry=Retry(
                        2,
                        "1s",
                        "exponential",
                        jitter=0.2,
                        factor=3,
                        give_up_on=["bug", "auth"],
                        unknown_retries=0,
                        retry_after_cap=None,
                        respect_retry_after=False,
                        budget="api",
                        on_budget="delay",
                        breaker="api",
                        nested=True,
                    ),
                    on_error=OnError(action="continue"),
                ),
            )
        ]
    )
    assert describe(policy) == (
        "fail_fast=True, timeout=off, retry=exponential(max_attempts=2, delay=1s, jitter=0.2, "
        "factor=3, give_up_on=auth|bug, respect_retry_after=False, retry_after_cap=None, "
        "unknown_retries=0, budget=api, on_budget=delay, breaker=api, nested=True), "
        "on_error=continue"
    )
    assert snapshot(policy)["retry"]["give_up_on"] == ["auth", "bug"]
    shown = {name: value for name, value, _ in explain(policy)}
    assert list(shown) == list(FIELDS)
    assert shown["retry.factor"] == 3
    assert shown["retry.jitter"] == 0.2
    assert shown["retry.retry_after_cap"] is None
    assert {name: value for name, value, _ in explain([])}["retry.retry_after_cap"] == "1h"
