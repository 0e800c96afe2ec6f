"""Values to bytes and back: equal, of equal types, or refused with a reason."""

from __future__ import annotations

import datetime as dt
import math
import sqlite3
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.codecs import Encoded, Unencodable, decode, encode, register, tagged
from tailrace.codecs.types import BY_TAG, BY_TYPE
from tailrace.errors import StoreError


def there_and_back(value: Any, codec: str | None = None) -> Any:
    encoded = encode(value)
    assert isinstance(encoded, Encoded), encoded
    if codec is not None:
        assert encoded.codec == codec
    return decode(encoded.codec, encoded.body)


def reason(value: Any, mode: str = "auto") -> str:
    answer = encode(value, mode=mode)
    assert isinstance(answer, Unencodable), answer
    return answer.reason


def same(left: Any, right: Any) -> bool:
    """Equal, with equal types all the way down; NaN equals NaN, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        if math.isnan(left):
            return math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(one, other) for one, other in zip(left.items(), right.items(), strict=True)
        )
    if isinstance(left, list | tuple | deque):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, set | frozenset):
        kinds = [sorted(type(item).__name__ for item in items) for items in (left, right)]
        return left == right and kinds[0] == kinds[1]
    if isinstance(left, dt.datetime | dt.time):
        return (
            left.replace(tzinfo=None) == right.replace(tzinfo=None)
            and left.fold == right.fold
            and type(left.tzinfo) is type(right.tzinfo)
            and str(left.tzinfo) == str(right.tzinfo)
        )
    return bool(left == right)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text(alphabet=st.characters(exclude_categories=()), max_size=12)
)
zones = st.none() | st.sampled_from(
    [dt.UTC, dt.timezone(dt.timedelta(hours=-3, microseconds=7), "X"), ZoneInfo("Asia/Tokyo")]
)
rich_scalars = (
    scalars
    | st.binary(max_size=12)
    | st.binary(max_size=12).map(bytearray)
    | st.complex_numbers()
    | st.datetimes(timezones=zones.filter(bool))
    | st.datetimes()
    | st.builds(dt.datetime.replace, st.datetimes(), fold=st.just(1))
    | st.times()
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.sampled_from(
        [Path("/a/b"), PurePosixPath("x"), PureWindowsPath("c:/x"), Path("\udcff"), range(1, 9, 2)]
    )
)
hashable = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.binary(max_size=5),
    st.tuples(st.integers(), st.text(max_size=3)), st.frozensets(st.integers(), max_size=3),
)  # fmt: skip
keys = st.sampled_from(["$t", "v", "a", "", "\ud800"]) | st.text(max_size=5)
values = st.recursive(
    rich_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.frozensets(hashable, max_size=4)
        | st.dictionaries(keys, inner, max_size=3).map(OrderedDict)
        | st.lists(inner, max_size=3).map(lambda items: deque(items, 5))
        | st.dictionaries(keys, inner, max_size=3).map(lambda items: defaultdict(list, items))
    ),
    max_leaves=12,
)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)  # fmt: skip


@given(values)
def test_every_value_of_known_types_comes_back_the_same(value: Any) -> None:
    assert same(there_and_back(value), value)


@given(plain_values)
def test_what_json_holds_exactly_is_plain_json(value: Any) -> None:
    assert same(there_and_back(value, "json"), value)


@given(st.sampled_from(["json", "json-tagged", "pickle", "xml"]), st.binary(max_size=40))
def test_bytes_that_are_no_checkpoint_are_refused_and_never_crash(codec: Any, body: Any) -> None:
    try:
        decode(codec, b"{" + body)
    except StoreError as error:
        assert error.code == "TR507"  # noqa: PT017 - some of the bytes are valid
    else:
        assert codec in ("json", "json-tagged")


@pytest.mark.parametrize(
    "value",
    [
        {"$t": "tuple", "v": [1, 2]},
        [{"$t": 1}],
        {"$t": {"$t": "set", "v": []}},
        {"a": {"$t": "no-such-tag"}, "b": (1,)},
    ],
)
def test_data_of_users_never_reads_as_a_tag(value: Any) -> None:
    assert same(there_and_back(value), value)


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        -(10**5000),
        2**64,
        [float("nan"), None],
        {"a": [float("inf"), -float("inf"), -0.0]},
        "\ud800 alone",
        {"\udfff": 1},
        {1: "a", "1": "b"},
        {True: 1, 2: 2},
        {None: 1, (1, 2): frozenset({3})},
        Decimal("-0"),
        Decimal("1E+500"),
        Counter("abca"),
        [[], (), {}, set()],
        dt.datetime(2026, 3, 29, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        UUID(int=7),
        deque([1, 2], maxlen=2),
        defaultdict(None, {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_hard_cases_are_exact(value: Any) -> None:
    assert there_and_back(value) == value or "nan" in repr(value)
    assert same(there_and_back(value), value)


def test_signs_and_limits_of_collections_survive() -> None:
    assert there_and_back(deque([1], maxlen=3)).maxlen == 3
    assert there_and_back(defaultdict(list)).default_factory is list
    assert there_and_back(Decimal("NaN")).is_nan()


class Row(dict[str, int]):
    pass


class Name(str):
    __slots__ = ()


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2, 3, {"conn": sqlite3.Connection}], "[3].conn is a type, which no codec knows"),
        (Row(a=1), f"the value is a {__name__}.Row, which no codec knows"),
        ({"a": [Name("x")]}, f"a[0] is a {__name__}.Name"),
        ({"a": {Name("k"): 1}}, f"a.keys is a {__name__}.Name"),
        ([[slice(1)]], "[0][0] is a slice"),
        (iter([]), "the value is a list_iterator"),
        (
            defaultdict(lambda: 1),
            "the value is a collections.defaultdict with a factory of its own",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_no_codec_knows_is_refused_with_its_place_and_type(value: Any, expected: Any) -> None:
    assert reason(value).startswith(expected)


def test_a_time_zone_without_a_codec_is_refused() -> None:
    class Zone(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(0)

        dst = utcoffset

        def tzname(self, _: dt.datetime | None) -> str:
            return "zone"

    assert "time zone of type" in reason(dt.datetime(2026, 1, 1, tzinfo=Zone()))


class Unhashable(type):
    def __hash__(cls) -> int:
        raise RuntimeError

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError


class Hostile(metaclass=Unhashable):
    __module__ = None  # type: ignore[assignment]


def test_a_hostile_type_is_refused_and_never_raises() -> None:
    assert "Hostile" in reason(Hostile())
    assert "cannot be read" in reason([{"a": Hostile()}])


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic() -> Iterator[Any]:
    alone: list[Any] = []
    alone.append(alone)
    yield alone
    twice: list[Any] = []
    twice += [twice, twice]
    yield twice
    mapping: dict[str, Any] = {}
    mapping["a"] = ([mapping],)
    yield mapping


def test_cycles_are_refused() -> None:
    for value in cyclic():
        assert "is part of itself" in reason(value)


def test_depth_is_bounded_without_a_recursion_error() -> None:
    assert there_and_back(nested(100)) == nested(100)
    assert "nested deeper than 128" in reason(nested(200))
    assert "nested deeper than 128" in reason(nested(100_000))
    deep_tuple: Any = ()
    for _ in range(100_000):
        deep_tuple = (deep_tuple,)
    assert "nested deeper than 128" in reason(deep_tuple)


def test_shared_parts_are_written_twice_but_not_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tagged, "_MAX_REPEATS", 1000)
    shared = {"a": [1]}
    assert there_and_back([shared, shared]) == [shared, shared]
    bomb: list[Any] = []
    for _ in range(60):
        bomb = [bomb, bomb]
    assert "shared parts unfold to more than 1,000 values" in reason(bomb)


def test_nothing_is_stored_where_a_task_asks_for_none() -> None:
    assert reason(5, mode="none") == "none"


def test_pickle_is_used_only_where_asked_for_and_needed() -> None:
    assert "no codec knows" in reason(slice(1))
    encoded = encode(slice(1), mode="pickle")
    assert isinstance(encoded, Encoded)
    assert encoded.codec == "pickle"
    assert decode("pickle", encoded.body) == slice(1)
    plain = encode([1], mode="pickle")
    assert isinstance(plain, Encoded)
    assert plain.codec == "json"


def test_what_cannot_be_pickled_says_why() -> None:
    assert reason(lambda: 1, mode="pickle").startswith("pickle: ")


def test_a_type_can_be_registered() -> None:
    try:
        register(
            Point, "test:point", to_data=lambda point: [point.x], from_data=lambda x: Point(*x)
        )
        assert there_and_back({"at": (Point(3),)}) == {"at": (Point(3),)}
        register(Point, "test:point2", to_data=lambda point: point.x, from_data=Point)
        assert there_and_back(Point(4)) == Point(4)
    finally:
        BY_TYPE.pop(Point)
        BY_TAG.pop("test:point2")
    with pytest.raises(ValueError, match="belongs to another type"):
        register(Point, "tuple", to_data=str, from_data=Point)
    with pytest.raises(ValueError, match="belongs to another type"):
        register(Point, "int", to_data=str, from_data=Point)
    assert Point not in BY_TYPE


def test_a_codec_that_raises_is_told() -> None:
    def fail(_: Point) -> int:
        raise ZeroDivisionError

    try:
        register(Point, "test:broken", to_data=fail, from_data=Point)
        assert f"the codec of {__name__}.Point raised ZeroDivisionError" in reason([Point(1)])
    finally:
        BY_TYPE.pop(Point)
        BY_TAG.pop("test:broken")


def test_an_unknown_tag_or_codec_is_a_store_error_with_a_next_step() -> None:
    with pytest.raises(StoreError, match="no codec is registered for 'gone'") as caught:
        decode("json-tagged", b'{"$t":"gone","v":1}')
    assert caught.value.hint
    with pytest.raises(StoreError, match="unknown codec 'xml'"):
        decode("xml", b"")
