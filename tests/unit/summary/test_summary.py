"""Values as spans show them: bounded, typed, redacted, and never raising."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model.secret import Secret
from tailrace.tracing.summary import summarize, summarize_inputs


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Login:
    user: str
    password: str


class Record(msgspec.Struct):
    a: int
    token: str = "t"  # noqa: S105 - what is redacted


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - a plain named tuple is what is tested


class Loud:
    def __repr__(self) -> str:
        raise AssertionError("repr of a foreign type must not run")

    __str__ = __repr__


class Hostile:
    @property  # type: ignore[misc]  # the fault under test
    def __class__(self) -> Any:
        raise RuntimeError

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


ROWS = [{"date": "2012/01/01", "max": 12.8, "rain": True, "note": None}] * 1461


@pytest.mark.parametrize("value", [None, True, 0, -1, 1.5, "", "plain text", 2**63 - 1, "é" * 256])
def test_plain_scalars_pass_as_they_are(value: Any) -> None:
    assert (summarize(value), type(summarize(value))) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            ROWS,
            'list[1461] first={"date": "2012/01/01", "max": 12.8, "rain": true, "note": null}',
        ),
        ([1, "a"], 'list[2] [1, "a"]'),
        ([], "list[0]"),
        ((1, 2), "tuple[2] [1, 2]"),
        ({"a": [1]}, 'dict[1] {"a": [1]}'),
        ({}, "dict[0] {}"),
        (OrderedDict(a=1), 'OrderedDict[1] {"a": 1}'),
        (defaultdict(list), "defaultdict[0] {}"),
        (MappingProxyType({"a": 1}), 'mappingproxy[1] {"a": 1}'),
        ({1, 2}, "set[2]"),
        (b"123", "bytes[3]"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (2**64, "18446744073709551616"),
        (10**5000, "int[16610 bits]"),
        ("\ud800", "\\ud800"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (Decimal("1.50"), "1.50"),
        (PurePosixPath("/a b"), '"/a b"'),
        (Colour.RED, "Colour.RED"),
        (Level.LOW, "Level.LOW"),
        (Login("me", "hunter2"), 'Login(user="me", password="[redacted]")'),
        (Record(1), 'Record(a=1, token="[redacted]")'),
        (Pair(1, "x"), 'Pair(a=1, b="x")'),
        (Loud(), "<Loud>"),
        ([Loud()], "list[1] [<Loud>]"),
        (Hostile(), "<Hostile>"),
        ([Hostile(), 1], "list[2] [<Hostile>, 1]"),
        (iter([]), "<list_iterator>"),
        (len, "<builtin_function_or_method len>"),
        (int, "<class int>"),
        (ValueError("x"), "<ValueError>"),
        (Secret("hunter2"), "[redacted]"),
        ([Secret("hunter2")], "list[1] [[redacted]]"),
        ([[[[[[1]]]]]], "list[1] [[[[[…]]]]]"),
    ],
    ids=lambda value: value[:24] if type(value) is str and value.isascii() else "value",
)
def test_the_rest_is_named_counted_and_shown_as_it_begins(value: Any, text: Any) -> None:
    assert summarize(value) == text


def test_a_long_text_shows_its_length_and_its_beginning() -> None:
    summary = summarize("ab" * 5000)
    assert summary.startswith('str[10000] "abab')
    assert summary.endswith('…"')


def test_a_generator_is_not_consumed() -> None:
    source = (number for number in [1, 2, 3])
    assert summarize(source) == "<generator>"
    assert list(source) == [1, 2, 3]


def test_a_cycle_ends() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert summarize(loop).startswith("list[2] [1, [1, [1,")


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "passwd", "client_secret", "token", "accessToken", "api_key",
     "apikey", "X-API-Key", "Authorization", "cookie", "credentials", "privateKey", "auth",
     "db_pwd", "session_id"],
)  # fmt: skip
def test_values_under_secret_names_are_redacted_wherever_they_stand(name: Any) -> None:
    secret = "hunter2-value"  # noqa: S105 - what is redacted
    assert summarize_inputs({name: secret}) == {name: "[redacted]"}
    for holder in ({name: secret}, [{name: secret}], {"a": {"b": {name: [secret]}}}):
        assert "hunter2" not in summarize(holder)
    for text in (f"{name}={secret}", f"{name}: '{secret}'", f'{{"{name}": "{secret}"}}'):
        assert "hunter2" not in summarize(text)
        assert "hunter2" not in summarize([text])


@pytest.mark.parametrize(
    "name", ["author", "max_tokens", "tokenizer", "keyboard", "monkey", "compass", "passed"]
)
def test_harmless_names_are_left_alone(name: Any) -> None:
    assert summarize_inputs({name: 7}) == {name: 7}
    assert summarize({name: 7}) == f'dict[1] {{"{name}": 7}}'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://me:hunter2@db:5432/x", "postgres://me:[redacted]@db:5432/x"),
        ("https://h:8080/a?b=1&token=abc#c", "https://h:8080/a?b=1&token=[redacted]"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("sent Bearer abcdefgh123", "sent Bearer [redacted]"),
        ("password = 'a b', user=me", "password = [redacted], user=me"),
        ("unexpected token: '}'", "unexpected token: '}'"),
        ("max_tokens=100 ok=1", "max_tokens=100 ok=1"),
        ("at 12:30: all well", "at 12:30: all well"),
    ],
)
def test_texts_lose_their_secrets_and_nothing_else(text: Any, shown: Any) -> None:
    assert summarize(text) == shown


def test_a_password_that_the_cut_would_split_is_not_shown() -> None:
    text = "x" * 100 + " https://me:" + "hunter2" * 40 + "@host/"
    assert "hunter2" not in summarize(text)
    assert "hunter2" not in summarize({"text": text})


FOREIGN = {
    "loud": Loud(),
    "enum": Colour.RED,
    "huge": 10**6000,
    "type": object,
    "secret": Secret("hunter2"),
}
any_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(exclude_categories=()), max_size=400)
    | st.binary(max_size=40)
    | st.sampled_from(list(FOREIGN)).map(lambda name: FOREIGN[name]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@pytest.mark.no_cover
@given(any_value)
def test_every_summary_is_bounded_and_can_be_stored(value: Any) -> None:
    summary = summarize(value)
    assert summary is None or isinstance(summary, bool | int | float | str)
    assert not isinstance(summary, str) or len(summary) <= 256
    msgspec.json.encode(summary)
    assert summary == msgspec.msgpack.decode(msgspec.msgpack.encode(summary))


@given(st.text(alphabet="ab=:/@\"' -_tokenpasw\n", max_size=300))
def test_redacting_twice_changes_nothing_more(text: Any) -> None:
    once = summarize(text)
    assert len(once) <= 256
    if len(text) < 100:
        assert summarize(once) == once
