"""Objects that users hold: they are shown, copied and asked for their fields like any other."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import tailrace
from tailrace import model, runtime
from tailrace.flows.expressions.parse import parse
from tailrace.model.rule import Rule
from tailrace.model.span import InstrumentationScope
from tailrace.policy.retry import RetryAfter
from tailrace.runtime import RunOptions
from tailrace.settings import ClientSettings, GatewaySettings, NatsSettings, Settings

PUBLIC = {
    kind
    for package in (tailrace, model, runtime)
    for kind in (getattr(package, name) for name in package.__all__)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


@pytest.mark.parametrize("kind", sorted(PUBLIC, key=repr))
def test_public_classes_tell_their_fields(kind: type[msgspec.Struct]) -> None:
    assert set(inspect.signature(kind).parameters) == set(kind.__struct_fields__)


@pytest.mark.parametrize(
    "value",
    [
        RetryAfter(2.0, "why"),
        RunOptions(params={"n": 1}),
        InstrumentationScope(name="lib", attributes={"a": [1]}),
        Rule(category="permanent", attribute={"code": 4}),
        Settings(),
    ],
)
def test_copies_are_equal(value: Any) -> None:
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - made here


def test_what_is_frozen_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        RunOptions().db = None  # type: ignore[misc]


def test_rules_with_attributes_have_a_hash() -> None:
    rule, same = (Rule(category="permanent", attribute={"code": 4}) for _ in range(2))
    assert rule == same
    assert hash(rule) == hash(same)
    assert rule != Rule(category="permanent", attribute={"code": 5})


@pytest.mark.parametrize(
    ("table", "secrets"),
    [
        (NatsSettings(user="u"), ("password", "token")),
        (GatewaySettings(host="u"), ("key_pepper",)),
        (ClientSettings(server="u"), ("api_key",)),
    ],
)
def test_secrets_of_the_settings_are_not_in_their_text(table: Any, secrets: tuple[str]) -> None:
    text = repr(replace(table, **dict.fromkeys(secrets, "hunter2")))
    assert text.startswith(f"{type(table).__name__}(")
    assert "='u'" in text
    assert "hunter2" not in text


def test_parts_of_expressions_are_compared_without_their_columns() -> None:
    near, far = parse("params.a"), parse("   params.a")
    assert near == far
    assert hash(near) == hash(far)
    assert near != parse("params.b")
