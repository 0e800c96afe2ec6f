from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import DefinitionError
from tailrace.model.patch import merge_patch
from tailrace.runtime.redrive import patch_inputs
from tailrace.runtime.redrive.patch import check_patch

APPENDIX_A = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(("target", "patch", "result"), APPENDIX_A)
def test_every_example_of_rfc_7386_gives_its_result(target: str, patch: str, result: str) -> None:
    assert merge_patch(json.loads(target), json.loads(patch)) == json.loads(result)


@given(JSON, JSON)
def test_merging_changes_neither_side(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    merge_patch(target, patch)
    assert (target, patch) == before


@given(JSON, JSON)
def test_merging_a_patch_twice_is_merging_it_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


def without_null(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: without_null(inner) for key, inner in value.items() if inner is not None}


@given(JSON)
def test_a_patch_without_null_merged_into_nothing_is_itself(value: Any) -> None:
    assert merge_patch(None, value) == without_null(value)


def difference(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone = {key: None for key in old if key not in new}
    return gone | {
        key: difference(old.get(key), value) for key, value in new.items() if old.get(key) != value
    }


OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4).map(without_null)


@given(OBJECTS, OBJECTS)
def test_any_object_without_null_can_be_reached_by_a_patch(old: Any, new: Any) -> None:
    assert merge_patch(old, difference(old, new)) == new


def test_inputs_are_patched_and_the_old_ones_stay_as_they_are() -> None:
    params = {"region": "tokyo", "n": 3, "nested": {"a": 1, "b": 2}}
    patch = {"params": {"n": 4, "region": None, "nested": {"a": None}}, "payload": [1]}
    assert patch_inputs(params, "old", patch) == ({"n": 4, "nested": {"b": 2}}, [1])
    assert params == {"region": "tokyo", "n": 3, "nested": {"a": 1, "b": 2}}


def test_without_a_patch_the_inputs_are_what_they_were() -> None:
    assert patch_inputs({"n": 1}, {"k": 2}, None) == ({"n": 1}, {"k": 2})


def test_null_takes_all_params_or_the_payload_away() -> None:
    assert patch_inputs({"n": 1}, 7, {"params": None, "payload": None}) == ({}, None)


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ([1], "list"),
        ("n=1", "str"),
        ({"parms": {}}, "'parms'"),
        ({"policy": {}}, "'policy'"),
        ({"params": [1]}, "[1]"),
    ],
)
def test_a_patch_that_is_none_is_refused_with_the_value_seen(patch: Any, said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        check_patch(patch)
    assert refused.value.code == "TR345"
    assert said in refused.value.message
    assert "params" in refused.value.hint
