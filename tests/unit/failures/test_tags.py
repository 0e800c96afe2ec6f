"""Tags of a failure: which are kept, in which order, and how many are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.failures import capture, select_tags
from tailrace.failures.tags import use_tag_limit


@pytest.fixture(autouse=True)
def usual_limit() -> Iterator[None]:
    yield
    use_tag_limit(8)


def test_of_12_tags_a_component_and_an_endpoint_8_are_kept_in_order_and_6_dropped() -> None:
    tags = {f"key{number:02}": str(number) for number in reversed(range(12))}
    kept, dropped = select_tags(tags, component="http", endpoint="/orders")
    first = [("component", "http"), ("endpoint", "/orders")]
    assert list(kept) == first + [(f"key{number:02}", str(number)) for number in range(6)]
    assert dropped == 6


def test_a_tag_of_the_user_under_a_reserved_name_does_not_appear_twice_but_is_counted() -> None:
    tags = {"component": "mine", "transport": "mine", "zone": "eu"}
    assert select_tags(tags, component="http") == ((("component", "http"), ("zone", "eu")), 2)


def test_keys_and_values_are_cut() -> None:
    kept, dropped = select_tags({"k" * 100: "v" * 1000})
    assert (kept, dropped) == ((("k" * 64, "v" * 256),), 0)


def test_values_under_secret_names_and_secrets_in_values_are_hidden() -> None:
    tags = {"api_key": "abc", "url": "https://me:hunter2@host/x"}
    kept, _ = select_tags(tags)
    assert dict(kept) == {"api_key": "[redacted]", "url": "https://me:[redacted]@host/x"}


class Unreadable:
    def __str__(self) -> str:
        raise KeyError("no")


def test_a_value_that_cannot_be_read_is_dropped_and_counted() -> None:
    assert select_tags({"a": Unreadable(), "b": 2}) == ((("b", "2"),), 1)


def test_the_limit_of_the_settings_holds_where_no_other_is_given() -> None:
    tags = {str(number): number for number in range(100)}
    assert len(select_tags(tags)[0]) == 8
    use_tag_limit(3)
    assert len(select_tags(tags)[0]) == 3
    assert len(select_tags(tags, limit=0)[0]) == 0
    use_tag_limit(1000)
    assert len(select_tags(tags)[0]) == 64


def test_an_exception_carries_tags_and_metadata() -> None:
    error = ValueError("x")
    error.tags = {"zone": "eu", "shard": 3}  # type: ignore[attr-defined]
    error.metadata = {"component": "http", "endpoint": "/orders", "other": 1}  # type: ignore[attr-defined]
    failure = capture(error)
    assert failure.tags == (
        ("component", "http"),
        ("endpoint", "/orders"),
        ("shard", "3"),
        ("zone", "eu"),
    )
    assert failure.dropped_tags == 0


class Tagged(Exception):
    tags = {"team": "billing"}  # noqa: RUF012 - as people write it


class Odd(Exception):
    tags = ("error", "retry")
    metadata = 3


class Raising(Exception):
    @property
    def tags(self) -> dict[str, str]:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "tags"), [(Tagged(), (("team", "billing"),)), (Odd(), ()), (Raising(), ())], ids=repr
)
def test_tags_may_belong_to_the_type_and_what_is_no_mapping_is_none(error: Any, tags: Any) -> None:
    failure = capture(error)
    assert failure.tags == tags
    assert failure.rule == "unknown"


@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.none()),
    st.text(max_size=3),
    st.integers(0, 64),
)
def test_nothing_is_lost_uncounted(tags: Any, component: Any, limit: Any) -> None:
    kept, dropped = select_tags(tags, component=component, limit=limit)
    assert len(kept) + dropped == len(tags) + bool(component)
    assert len(kept) <= limit
    assert len({key for key, _ in kept}) == len(kept)
