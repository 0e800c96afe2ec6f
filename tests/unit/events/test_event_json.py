"""The JSON of an event: the older keys unchanged, newer ones beside them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.errors import DefinitionError
from tailrace.events.event_json import OLDER_KEYS, from_json, to_json
from tailrace.events.stream import ResilientEventStream
from tailrace.store.event_log import SqliteEventLog

NAMES = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=8)


def test_the_keys_stand_in_the_order_of_the_older_program(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    event_id = stream.emit("action", "worker-1", {"key": "value"}, tags=["a"])
    found = to_json(log.event(event_id))
    assert list(found) == ["schema", "seq", *OLDER_KEYS, "failure", "run"]
    assert found["schema"] == 2
    assert found["timestamp"] == "2026-11-21T06:55:23.281788Z"
    assert (found["error_info"], found["retry_info"], found["recovery_actions"]) == ({}, {}, [])
    assert (found["importance"], found["status"], found["parent_event_id"]) == (3, "success", None)


def test_not_a_number_and_lone_surrogates_become_valid_json_and_are_flagged(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    """The older program wrote an invalid line, or raised."""
    event_id = stream.emit("action", "x", {"ratio": math.nan, "text": "\udcff"})
    found = to_json(log.event(event_id))
    assert found["data"] == {"ratio": None, "text": "\\udcff"}
    assert found["cleaned"] == {"data.ratio": "nan", "data.text": "surrogate"}
    json.loads(json.dumps(found, allow_nan=False))


def test_data_of_more_than_256_kb_is_cut_and_says_so(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    event_id = stream.emit("action", "x", {"text": "y" * 400_000, "password": "hunter2"})
    found = to_json(log.event(event_id))
    assert found["data"]["size"] > 400_000
    assert found["cleaned"]["data"] == "cut"
    assert "hunter2" not in json.dumps(found)


def test_secrets_reach_neither_the_file_nor_its_log(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    def leak() -> None:
        message = "login failed: password=hunter2-message"
        raise ConnectionError(message)

    stream.emit("a", "token=hunter2-source", {"api_key": "hunter2-data"}, tags=["pwd=hunter2-tag"])
    stream.emit_with_retry(
        "a", "x", leak, max_retries=1, tags=["secret=hunter2-tag"], data={"token": "hunter2-data"}
    )
    log.close()
    held = b"".join(path.read_bytes() for path in log.path.parent.iterdir() if path.is_file())
    assert b"login failed" in held
    assert b"hunter2" not in held


def test_unknown_keys_are_kept(stream: ResilientEventStream, log: SqliteEventLog) -> None:
    event_id = stream.emit("action", "x", {}, colour="red")
    assert to_json(log.event(event_id))["colour"] == "red"


@pytest.mark.no_cover
@given(
    keys=st.fixed_dictionaries(
        {},
        optional={
            "data": st.dictionaries(NAMES, st.integers() | st.text()),
            "tags": st.lists(NAMES),
            "importance": st.integers(1, 5),
            "latency_ms": st.none() | st.integers(0, 10),
            "extra": st.booleans(),
        },
    )
)
@settings(suppress_health_check=list(HealthCheck), max_examples=times(40))
def test_an_event_is_read_back_from_its_json(
    keys: dict[str, Any], stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    event_id = stream.emit("action", "x", **keys)
    found = to_json(log.event(event_id))
    again = to_json(from_json(found))
    del found["seq"], again["seq"]
    assert again == found


def test_a_status_that_is_none_is_refused_with_those_that_are(
    stream: ResilientEventStream,
) -> None:
    with pytest.raises(DefinitionError, match=r"no status 'done' .known: pending, success") as seen:
        stream.emit("action", "x", {}, status="done")
    assert seen.value.code == "TR338"
