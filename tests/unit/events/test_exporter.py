"""What leaves the stream."""

from __future__ import annotations

import io
import json
from datetime import datetime

from tailrace.events import error_report, export_events, prometheus_text, stream_metrics
from tailrace.events.event_json import OLDER_KEYS
from tailrace.events.stream import ResilientEventStream
from tailrace.model.event import EventFilter
from tailrace.store import SqliteFailureLog
from tailrace.store.event_log import SqliteEventLog


def broken() -> None:
    raise ConnectionError("away")


def invalid() -> None:
    raise ValueError("bad input")


def fill(stream: ResilientEventStream) -> None:
    stream.emit("note", "svc", {"n": 1})
    stream.emit_with_retry("action", "svc", broken, max_retries=1)
    stream.emit_with_retry("action", "svc", invalid)


def test_the_tools_of_the_older_program_find_what_they_read(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    fill(stream)
    main, dead = io.StringIO(), io.StringIO()
    export_events(log, main, compat="naive", dead_letters=dead)
    for line in [*main.getvalue().splitlines(), *dead.getvalue().splitlines()]:
        event = json.loads(line)
        assert tuple(event) == OLDER_KEYS
        assert datetime.fromisoformat(event["timestamp"]).tzinfo is None
        assert event["status"] in {"pending", "success", "failed", "retrying", "dead_letter"}
        assert event["error_info"].get("category", "unknown") in {
            "transient",
            "permanent",
            "unknown",
        }
        for action in event["recovery_actions"]:
            assert datetime.fromisoformat(action["timestamp"]).tzinfo is None
    (letter,) = map(json.loads, dead.getvalue().splitlines())
    assert letter["error_info"]["message"] == "away"
    assert letter["retry_info"]["count"] == 1


def test_stacks_are_exported_when_they_are_asked_for(
    stream: ResilientEventStream, log: SqliteEventLog, failures: SqliteFailureLog
) -> None:
    fill(stream)
    wanted = EventFilter(status="failed")
    without, with_stacks = io.StringIO(), io.StringIO()
    export_events(log, without, wanted=wanted)
    export_events(log, with_stacks, wanted=wanted, stacks=failures)
    assert json.loads(without.getvalue())["error_info"]["stacktrace"] is None
    text = json.loads(with_stacks.getvalue())["error_info"]["stacktrace"]
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in invalid" in text
    assert text.endswith("ValueError: bad input\n")


def test_more_events_than_a_page_are_all_exported(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    for number in range(1_203):
        stream.emit("note", "svc", {"n": number})
    out = io.StringIO()
    assert export_events(log, out) == 1_203
    numbers = [json.loads(line)["data"]["n"] for line in out.getvalue().splitlines()]
    assert numbers == list(range(1_203))


def test_the_error_report_has_the_older_keys(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    fill(stream)
    report = error_report(log, stream.clock.now_ns())
    assert report["summary"] == {"failed_events": 1, "dead_letter_queue": 1, "retry_candidates": 1}
    assert report["retry_candidates"][0]["error_info"]["message"] == "away"
    assert report["generated_at"].endswith("Z")


def test_numbers_are_counted_by_work_not_by_event(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    fill(stream)
    stream.emit_with_retry("action", "svc", dict)
    found = stream_metrics(log)
    assert found["total_events"] == 8
    assert found["by_status"]["pending"] == 3
    assert found["work"]["failed"] == 2
    assert (found["success_rate"], found["error_rate"]) == (33.33, 66.67)
    assert found["error_categories"] == {"transient": 2, "permanent": 1}
    text = prometheus_text(log)
    assert 'tailrace_events_total{status="dead_letter"} 1' in text
    assert "tailrace_event_retries_total 1" in text
