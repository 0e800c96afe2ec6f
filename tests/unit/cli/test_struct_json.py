import json
from collections.abc import Callable

from tailrace.cli.json_text import pretty
from tailrace.cli.struct_json import failure_to_dict, struct_to_dict
from tailrace.model.failure import FailureSnapshot
from tailrace.model.letter import DeadLetter


def test_instants_are_iso_in_utc_and_unknown_ones_are_none(
    letter: Callable[..., DeadLetter],
) -> None:
    body = struct_to_dict(letter())
    assert body["created"] == "2025-11-21T04:40:00.000000000Z"
    assert body["expires"] is None
    assert body["class"] == "timeout"
    assert not any(key.endswith("_ns") for key in body)


def test_frames_hops_and_tags_are_named(failure: Callable[..., FailureSnapshot]) -> None:
    body = json.loads(pretty(failure_to_dict(failure(tags=(("endpoint", "/v1"),)))))
    assert body["frames"][2]["line"] == 42
    assert body["trail"][0]["at"].endswith("Z")
    assert body["tags"] == {"endpoint": "/v1"}
    assert body["stage"] == {"kind": "escalated", "hops": 3}


def test_an_instant_beyond_the_calendar_is_its_end(letter: Callable[..., DeadLetter]) -> None:
    assert struct_to_dict(letter(created_ns=10**21))["created"].startswith("9999-")
    assert struct_to_dict(letter(created_ns=-5))["created"].startswith("1970-")


def test_what_a_payload_holds_is_left_as_it_is(letter: Callable[..., DeadLetter]) -> None:
    payload = {"wait_ns": 5, "rows": [1]}
    assert struct_to_dict(letter(payload=payload))["payload"] == payload
