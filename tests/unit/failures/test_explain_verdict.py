"""Verdicts over failures that are only described, for trying out rules."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from tailrace.errors import DefinitionError
from tailrace.failures import classify, explain_verdict
from tailrace.failures.types import TYPES
from tailrace.model.rule import Rule


@pytest.mark.parametrize(
    ("described", "verdict"),
    [
        ({"type_name": "TimeoutError"}, ("transient", "timeout", "type:TimeoutError")),
        ({"type_name": "builtins.KeyError"}, ("permanent", "bug", "type:LookupError")),
        ({"type_name": "UnicodeDecodeError"}, ("permanent", "validation", "type:ValueError")),
        ({"type_name": "json.JSONDecodeError"}, ("permanent", "validation", "type:ValueError")),
        ({"type_name": "JSONDecodeError"}, ("unknown", "unknown", "unknown")),
        (
            {"type_name": "httpx.ReadTimeout"},
            ("transient", "timeout", "type:httpx.ReadTimeout"),
        ),
        (
            {"type_name": "ReadError"},
            ("transient", "network", "type:httpx.ReadError"),
        ),
        ({"type_name": "billing.SlotTaken"}, ("unknown", "unknown", "unknown")),
        ({"status": 429}, ("transient", "throttled", "http:429")),
        ({"type_name": "billing.Failed", "status": 404}, ("permanent", "not_found", "http:404")),
        ({"status": 200}, ("unknown", "unknown", "unknown")),
        ({"errno": errno.ENOSPC}, ("transient", "resource", "errno:ENOSPC")),
        ({"errno": errno.ENOENT}, ("permanent", "not_found", "errno:ENOENT")),
        (
            {"type_name": "PermissionError", "errno": errno.EACCES},
            ("permanent", "auth", "errno:EACCES"),
        ),
        ({"type_name": "KeyboardInterrupt"}, ("cancelled", "cancelled", "type:KeyboardInterrupt")),
        ({"type_name": "ExceptionGroup"}, ("unknown", "unknown", "group:unknown")),
        ({"message": "anything"}, ("unknown", "unknown", "unknown")),
    ],
    ids=repr,
)
def test_a_described_failure_is_classified_as_a_live_one(described: Any, verdict: Any) -> None:
    found = explain_verdict(**described)
    assert (found.category, found.class_, found.rule) == verdict


def test_every_builtin_exception_gets_the_verdict_of_a_live_one() -> None:
    kinds = [
        kind
        for kind in vars(__import__("builtins")).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, (BaseExceptionGroup, UnicodeError))
    ]
    assert len(kinds) > 40
    for kind in kinds:
        assert explain_verdict(type_name=kind.__name__) == classify(kind()), kind


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_listed_type_can_be_asked_for(name: str) -> None:
    verdict = explain_verdict(type_name=name)
    assert verdict.category == TYPES[name].category


def test_rules_are_tried_on_type_and_message() -> None:
    rules = [
        Rule(type="SlotTaken", message="slot \\d", category="transient", name="busy"),
        Rule(type="ValueError", message="bad", category="unknown", name="odd"),
    ]
    taken = explain_verdict(type_name="billing.SlotTaken", message="slot 7", rules=rules)
    assert taken.rule == "rule:busy"
    assert explain_verdict(type_name="ValueError", message="bad", rules=rules).rule == "rule:odd"
    assert explain_verdict(type_name="ValueError", rules=rules).rule == "type:ValueError"


@pytest.mark.parametrize("wish", ["12", 12])
def test_a_wish_to_wait_is_read_as_from_a_header(wish: Any) -> None:
    assert explain_verdict(status=429, retry_after=wish).retry_after == 12.0


@pytest.mark.parametrize(
    ("described", "part"),
    [
        ({"type_name": "Timeout Error"}, "'Timeout Error' is no name of a type"),
        ({"type_name": ""}, "no name of a type"),
        ({"status": 42}, "42 is no HTTP status"),
        ({"status": 429, "retry_after": "soon"}, "'soon' is neither seconds nor a date"),
    ],
    ids=repr,
)
def test_what_cannot_be_is_refused(described: Any, part: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        explain_verdict(**described)
    assert caught.value.code == "TR321"
    assert part in caught.value.message
    assert caught.value.hint
