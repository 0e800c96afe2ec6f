"""Words of a policy for kinds of failure."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from tailrace.model import FailureClass
from tailrace.policy.kinds import CATEGORIES, CLASSES, is_named, is_type_name, names_of


class ApiDownError(ConnectionError):
    """An exception of a user."""


OWN = f"{__name__}.ApiDownError"


def named(words: set[str], **failure: Any) -> bool:
    known = {"category": "unknown", "class_": "", "type_names": ()} | failure
    return is_named(words, **known)


def test_a_type_is_known_by_the_names_of_its_bases() -> None:
    assert names_of(ApiDownError) == (
        OWN,
        "ConnectionError",
        "OSError",
        "Exception",
        "BaseException",
    )


def test_a_type_is_meant_by_its_qualified_name_its_plain_name_and_its_bases() -> None:
    names = names_of(ApiDownError)
    for word in (OWN, "ApiDownError", "ConnectionError", "Exception"):
        assert named({word}, type_names=names)
    assert not named({"ValueError", "other.ApiDownError"}, type_names=names)
    assert named({"OperationalError"}, type_names=names_of(sqlite3.OperationalError))


def test_bases_of_what_is_built_in_are_known_from_its_name_alone() -> None:
    assert named({"OSError"}, type_names=("ConnectionResetError",))
    assert not named({"ConnectionError"}, type_names=(OWN,))


def test_a_word_that_is_a_category_and_a_class_means_the_category() -> None:
    assert not named({"timeout"}, category="transient", class_="timeout")
    assert named({"timeout"}, category="timeout")
    assert not named({"unknown"}, category="transient", class_="unknown")


def test_transient_means_timeouts_too() -> None:
    assert named({"transient"}, category="timeout", class_="timeout")


def test_every_class_can_be_named_but_that_of_a_cancel() -> None:
    assert {*CATEGORIES, *CLASSES, "cancelled"} == {*FailureClass, "transient", "permanent"}
    for word in CLASSES:
        assert named({word}, class_=word)


@pytest.mark.parametrize(
    ("word", "is_name"),
    [
        ("ConnectionError", True),
        ("socket.gaierror", True),
        ("a.b.C", True),
        ("HTTPError", True),
        ("transeint", False),
        ("", False),
        ("a b", False),
        ("a..B", False),
        ("1.A", False),
        (".A", False),
    ],
)
def test_a_misspelt_category_is_no_name_of_a_type(word: str, is_name: bool) -> None:
    assert is_type_name(word) is is_name
