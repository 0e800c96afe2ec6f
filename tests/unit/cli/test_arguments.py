import io
import json
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.arguments import parse_params, parse_settings, read_mapping, value_of

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ("[1, 2]", [1, 2]),
        ("data.csv", "data.csv"),
        ("", ""),
        ("a=b", "a=b"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("{broken", "{broken"),
    ],
)
def test_what_is_no_json_is_text(text: str, value: Any) -> None:
    assert parse_params([f"name={text}"]) == {"name": value}


@given(JSON_VALUES)
def test_every_json_value_comes_back(value: Any) -> None:
    assert value_of(json.dumps(value)) == value


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    value_of(text)


def test_very_deep_json_is_text() -> None:
    assert value_of("[" * 100_000) == "[" * 100_000


@pytest.mark.parametrize("pair", ["name", "=3", " =3", ""])
def test_a_pair_without_name_or_value_is_refused(pair: str) -> None:
    with pytest.raises(click.UsageError, match="name=value"):
        parse_params([pair])


def test_a_path_sets_what_is_inside_and_leaves_the_rest() -> None:
    given = {"params": {"a": 1, "deep": {"x": 1}}}
    result = parse_settings(["params.deep.y=2", "params.b=text"], given)
    assert result == {"params": {"a": 1, "b": "text", "deep": {"x": 1, "y": 2}}}
    assert given == {"params": {"a": 1, "deep": {"x": 1}}}


@pytest.mark.parametrize("pair", ["params.a.b=1", "params..x=1", ".x=1", "params.=1"])
def test_a_path_that_leads_nowhere_is_refused(pair: str) -> None:
    with pytest.raises(click.UsageError):
        parse_settings([pair], {"params": {"a": 1}})


def test_a_mapping_is_read_from_text_file_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "context.json"
    file.write_text('{"a": 1}')
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))
    for source in ('{"a": 1}', f"@{file}", "-"):
        assert read_mapping(source, option="--context") == {"a": 1}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("[1]", "must be an object"),
        ("{", "no JSON"),
        ("@/no/such/file", "cannot be read: No such file"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_mapping_is_refused_with_its_reason(source: str, says: str) -> None:
    with pytest.raises(click.UsageError, match=says):
        read_mapping(source, option="--context")
