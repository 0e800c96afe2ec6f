"""Values become what OpenTelemetry allows, whatever they were."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model import Logged, NodeStarted
from tailrace.tracing.attributes import attribute, engine, own, text
from tailrace.tracing.wire import decode, encode


class Hostile:
    """Raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.characters(categories=["Cs"]) | st.builds(Hostile),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("value", ["text", "", 5, -(2**63) + 1, True, 1.5, None, [1, 2], ["a"], []])
def test_what_opentelemetry_allows_stays_as_it_is(value: Any) -> None:
    result = attribute(value)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (2**80, str(2**80)),
        ((1, 2), [1, 2]),
        ([1, "a"], '[1,"a"]'),
        ([math.nan, 1.5], '["NaN",1.5]'),
        ({"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
        (OrderedDict(a=1), '{"a":1}'),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05Z"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("\ud800", "\\ud800"),
        (Hostile(), "<Hostile>"),
    ],
)
def test_everything_else_becomes_text_or_a_list(value: Any, expected: Any) -> None:
    assert attribute(value) == expected


@pytest.mark.no_cover
@given(values)
def test_any_value_becomes_something_that_json_and_sqlite_can_hold(value: Any) -> None:
    result = attribute(value)

    json.dumps(result, allow_nan=False).encode()
    assert isinstance(result, str | int | float | bool | list | None)


@pytest.mark.no_cover
@given(st.dictionaries(st.text() | st.characters(categories=["Cs"]), values, max_size=3))
def test_keys_can_be_written_too(attributes: dict[str, Any]) -> None:
    json.dumps(own(attributes)).encode()
    json.dumps(engine(attributes)).encode()


def test_keys_of_the_engine_get_our_prefix_but_those_of_opentelemetry_do_not() -> None:
    given_keys = {"count": 1, "tailrace.x": 2, "code.function.name": "f", "kind": "sync"}

    assert list(engine(given_keys)) == [
        "tailrace.count", "tailrace.x", "code.function.name", "tailrace.node.kind",
    ]  # fmt: skip


@pytest.mark.no_cover
@given(st.text(), st.dictionaries(st.text(), values, max_size=3))
def test_any_record_can_be_written_and_read_back(name: str, inputs: dict[str, Any]) -> None:
    record = NodeStarted(2, 3, 1, 1, name, "", 5, inputs)
    (read,) = decode(encode([record]))

    assert isinstance(read, NodeStarted)
    assert (read.span, read.name, read.at) == (2, text(name), 5)
    assert set(read.inputs) == {text(key) for key in inputs}


@pytest.mark.no_cover
@given(values)
def test_an_attribute_is_the_same_with_and_without_a_journey_through_the_journal(
    value: Any,
) -> None:
    (read,) = decode(encode([Logged(1, 1, "event", {"value": value})]))

    assert isinstance(read, Logged)
    assert own(read.attributes) == own({"value": value})
