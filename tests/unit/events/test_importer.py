"""The older program's files, with all their shapes and damage."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.errors import DefinitionError
from tailrace.events import causes_of, error_report, export_events, follow_file, import_file
from tailrace.events.event_json import to_json
from tailrace.events.lines import pieces
from tailrace.events.shapes import shape_of
from tailrace.model.event import EventFilter
from tailrace.model.failure import FailureFilter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog
from tailrace.store.event_log import SqliteEventLog
from tailrace.store.import_log import SqliteImportLog
from waiting import wait_until

TOKYO = ZoneInfo("Asia/Tokyo")

V0: dict[str, Any] = {
    "event_id": "EVT-20251105-155511-ec6a17",
    "timestamp": "2025-11-05T15:55:11.557012",
    "event_type": "intent",
    "source": "user",
    "data": {"intent": "テスト"},
    "parent_event_id": None,
    "related_hypothesis_id": None,
    "tags": ["test"],
}
V0_RESULT = {
    **V0,
    "event_id": "EVT-20251105-155511-260507",
    "event_type": "result",
    "data": {"status": "error", "error": "Invalid request URL."},
    "parent_event_id": "EVT-20251105-155511-ec6a17",
}
V1 = {
    **V0,
    "event_id": "EVT-20251106-101010-aaaaaa",
    "latency_ms": 12,
    "exit_code": 1,
    "importance": 4,
    "status": "running",
    "error_info": {
        "error_type": "ConnectionError",
        "error_message": "unreachable",
        "error_category": "network",
        "stack_trace": "Traceback …",
    },
    "retry_info": {"retry_count": 2, "max_retries": 3},
}
V1_PLAIN = {**V1, "status": "failed", "error_info": None, "retry_info": None}
V2: dict[str, Any] = {
    "event_id": "EVT-20251107-113823-72273a",
    "timestamp": "2025-11-07T11:38:23.723570",
    "event_type": "action",
    "source": "demo",
    "data": {"attempted_action": "transient_error_action"},
    "parent_event_id": None,
    "related_hypothesis_id": None,
    "tags": ["demo", "error", "retrying"],
    "importance": 3,
    "status": "retrying",
    "error_info": {
        "category": "transient",
        "message": "Network temporarily unavailable",
        "type": "ConnectionError",
        "stacktrace": 'Traceback (most recent call last):\n  File "x.py", line 1\n',
        "context": {"retry_count": 0, "max_retries": 3},
    },
    "retry_info": {
        "count": 1,
        "max_retries": 3,
        "next_retry_at": "2025-11-07T11:38:24.723526",
        "backoff_seconds": 1.0,
    },
    "recovery_actions": [],
    "latency_ms": 0,
    "exit_code": 1,
}
V2_SUCCESS = {
    **V2,
    "event_id": "EVT-20251107-113826-405874",
    "timestamp": "2025-11-07T11:38:26",
    "status": "success",
    "data": {"result": "recovered"},
    "error_info": {},
    "retry_info": {},
    "recovery_actions": [
        {
            "timestamp": "2025-11-07T11:38:23.723741",
            "action": "exponential_backoff",
            "backoff_seconds": 1.0,
            "event_id": "EVT-20251107-113823-72273a",
        }
    ],
    "exit_code": 0,
}
V2_DEAD = {
    **V2,
    "event_id": "EVT-20251107-113829-883910",
    "importance": 5,
    "status": "dead_letter",
    "data": {"attempted_action": "always_fails_action"},
    "retry_info": {"count": 2, "max_retries": 2, "exhausted": True},
}
LEGACY_DEAD: dict[str, Any] = {
    "event_id": "EVT-20251106-090000-bbbbbb",
    "timestamp": "2025-11-06T09:00:00.000001",
    "error_type": "APIResponseError",
    "error_message": "rate limit reached",
    "error_category": "rate_limit",
    "retry_count": 5,
    "context": {"page": 3},
}
FOREIGN: dict[str, Any] = {"ts": 1_730_000_000, "repo": "x", "status": "ok"}
ALL = [V0, V0_RESULT, V1, V1_PLAIN, V2, V2_SUCCESS, V2_DEAD, LEGACY_DEAD, FOREIGN]


@pytest.fixture
def imports(database: Path) -> SqliteImportLog:
    return SqliteImportLog(database)


def write(path: Path, *events: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in events), "utf-8")
    return path


def bodies(log: SqliteEventLog) -> list[dict[str, Any]]:
    return [to_json(event) for event in log.events(EventFilter(), limit=999, oldest_first=True)]


@pytest.mark.parametrize(
    ("found", "shape"),
    [
        (V0, "v0"),
        (V1, "v1"),
        (V2, "v2"),
        (LEGACY_DEAD, "dead-letter"),
        (FOREIGN, "foreign"),
        ({**V2, "schema": 2}, "tailrace"),
        ({"event_id": "x"}, "foreign"),
    ],
)
def test_shapes_are_told_apart(found: dict[str, Any], shape: str) -> None:
    assert shape_of(found) == shape


def test_all_shapes_are_taken_and_twice_makes_no_duplicates(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    path = write(tmp_path / "event_stream.jsonl", *ALL)
    report = import_file(path, imports, zone=TOKYO)
    assert report.imported == len(ALL)
    assert report.quarantined == []
    assert report.shapes == {"v0": 2, "v1": 2, "v2": 3, "dead-letter": 1, "foreign": 1}
    assert (report.letters, report.naive, report.zone) == (2, 8, "Asia/Tokyo")
    again = import_file(path, imports, zone=TOKYO)
    assert (again.imported, again.known, again.found) == (0, len(ALL), len(ALL))
    assert log.counts(EventFilter()).total == len(ALL)


def test_naive_times_are_local_to_the_zone_that_is_named(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    import_file(write(tmp_path / "log.jsonl", V0), imports, zone=TOKYO)
    (event,) = bodies(log)
    assert event["timestamp"] == "2025-11-05T06:55:11.557012Z"
    assert event["event_id"].startswith("EVT-20251105-065511-")


def test_older_words_become_todays(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    import_file(write(tmp_path / "log.jsonl", *ALL), imports)
    intent, result, v1, plain, *_, legacy, foreign = bodies(log)
    assert (intent["status"], result["status"]) == ("success", "failed")
    assert v1["status"] == "pending"
    assert v1["error_info"] == {
        "type": "ConnectionError",
        "message": "unreachable",
        "category": "transient",
        "class": "network",
        "stacktrace": "Traceback …",
    }
    assert v1["retry_info"] == {"count": 2, "max_retries": 3}
    assert (plain["error_info"], plain["retry_info"]) == ({}, {})
    assert (legacy["event_type"], legacy["source"]) == ("error", "log")
    assert (legacy["error_info"]["category"], legacy["error_info"]["class"]) == (
        "transient",
        "throttled",
    )
    assert (foreign["data"], foreign["status"]) == (FOREIGN, "success")
    assert foreign["timestamp"] == "2024-10-27T03:33:20.000000Z"


def test_an_old_event_with_an_exit_code_disturbs_no_count(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    """The older status crashed on it."""
    old = {**V0, "latency_ms": 1, "exit_code": 1, "importance": 3, "status": None}
    import_file(write(tmp_path / "log.jsonl", {**old, "error_info": None}), imports)
    counts = log.counts(EventFilter())
    assert (counts.by_status, counts.by_category) == ({"failed": 1}, {})
    assert error_report(log, 0)["summary"]["failed_events"] == 1


def test_legacy_dead_letters_become_letters_with_a_failure(
    tmp_path: Path,
    imports: SqliteImportLog,
    letters: SqliteDeadLetters,
    failures: SqliteFailureLog,
    log: SqliteEventLog,
) -> None:
    """The older commands raised a KeyError on them."""
    import_file(write(tmp_path / "dead_letter_queue.jsonl", LEGACY_DEAD, V2_DEAD), imports)
    by_type = {letter.type: letter for letter in letters.letters(FailureFilter())}
    legacy, dead = by_type["APIResponseError"], by_type["ConnectionError"]
    assert (legacy.kind, legacy.reason, legacy.attempts_total) == ("event", "max_attempts", 6)
    assert legacy.source["legacy_id"] == LEGACY_DEAD["event_id"]
    assert (dead.node_id, dead.attempts_total) == ("always_fails_action", 3)
    failure = failures.failure(legacy.failure_id)
    assert (failure.message, failure.class_) == ("rate limit reached", "throttled")
    event = log.event(str(LEGACY_DEAD["event_id"]))
    assert event.failure_id == failure.failure_id
    assert event.event_id == legacy.source["event_id"]


def test_a_torn_line_does_not_eat_the_next_event(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    """Of five events three could be read."""
    whole = [json.dumps({**V2, "event_id": f"EVT-20251107-00000{n}-abcdef"}) for n in range(5)]
    torn = whole[2][:100]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(whole[:2]) + "\n" + torn + whole[3] + "\n" + whole[4] + "\n")
    report = import_file(path, imports)
    assert report.imported == 4
    ((offset, reason),) = report.quarantined
    assert path.read_bytes()[offset:].startswith(torn.encode())
    assert reason.startswith("no JSON")
    (kept,) = imports.quarantine(report.source)
    assert kept.line == torn.strip().encode()


def test_what_waits_in_quarantine_holds_no_secret(tmp_path: Path, imports: SqliteImportLog) -> None:
    path = tmp_path / "log.jsonl"
    far = "x" * 5_000
    path.write_bytes(b'{"note": "\xff ' + f"{far} password=hunter2, shop".encode())
    report = import_file(path, imports)
    (kept,) = imports.quarantine(report.source)
    assert b"hunter2" not in kept.line
    assert kept.line.startswith(b'{"note": "\xff ')
    assert kept.line.endswith(b"password=[redacted], shop")
    assert import_file(path, imports).known == report.known == 0
    assert len(imports.quarantine()) == 1


def test_a_torn_end_that_is_written_on_is_neither_lost_nor_doubled(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    path = write(tmp_path / "log.jsonl", V0)
    torn = json.dumps(V2)[:50]
    with path.open("a") as file:
        file.write(torn)
    assert import_file(path, imports).imported == 1
    with path.open("a") as file:
        file.write(json.dumps(V2_SUCCESS) + "\n")
    report = import_file(path, imports)
    assert (report.imported, report.known) == (1, 1)
    assert len(imports.quarantine()) == 1


def test_a_line_of_zeros_bytes_that_are_no_text_and_other_json_are_kept_apart(
    tmp_path: Path, imports: SqliteImportLog
) -> None:
    path = tmp_path / "log.jsonl"
    good = json.dumps(V0).encode()
    lines = [b"\xef\xbb\xbf" + good, b"\x00" * 64, b"[1, 2]", b"\xff\xfe{", b"", b"  ", good]
    path.write_bytes(b"\r\n".join(lines))
    report = import_file(path, imports)
    assert report.imported == 2
    assert [reason.partition(":")[0] for _, reason in report.quarantined] == [
        "a JSON list, no object",
        "no JSON",
    ]


def test_events_without_a_time_take_it_from_their_id_or_wait_in_quarantine(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    named = {**V0, "timestamp": "soon"}
    lost = {"message": "no time at all"}
    report = import_file(write(tmp_path / "log.jsonl", named, lost), imports, zone=TOKYO)
    assert bodies(log)[0]["timestamp"] == "2025-11-05T06:55:11.000000Z"
    assert report.quarantined[0][1] == "it does not say when it happened"


def test_nan_in_an_old_line_is_imported_and_flagged(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({**V0, "data": {"ratio": float("nan")}}) + "\n")
    import_file(path, imports)
    assert bodies(log)[0]["cleaned"] == {"data.ratio": "nan"}


def test_equal_ids_in_a_file_stay_apart(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    """Ids of six random digits repeat."""
    import_file(write(tmp_path / "log.jsonl", V0, V0, {**V0, "source": "other"}), imports)
    assert len({event["event_id"] for event in bodies(log)}) == 3


def test_a_dry_run_reports_and_writes_nothing(
    tmp_path: Path, imports: SqliteImportLog, database: Path
) -> None:
    path = write(tmp_path / "log.jsonl", *ALL)
    report = import_file(path, imports, dry_run=True)
    assert (report.imported, report.letters, report.dry_run) == (len(ALL), 2, True)
    assert not database.exists()
    import_file(path, imports)
    assert import_file(path, imports, dry_run=True).known == len(ALL)


def test_a_file_that_is_not_there_is_explained(tmp_path: Path, imports: SqliteImportLog) -> None:
    with pytest.raises(DefinitionError, match="cannot be read: No such file") as seen:
        import_file(tmp_path / "nowhere.jsonl", imports)
    assert seen.value.code == "TR339"


def test_parents_are_found_by_the_ids_they_had(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    import_file(write(tmp_path / "log.jsonl", V0, V0_RESULT), imports)
    chain = causes_of(log, V0_RESULT["event_id"])
    assert [event.type for event in chain] == ["intent", "result"]


def test_a_file_that_grows_is_followed_and_one_that_is_replaced_read_anew(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog
) -> None:
    path = write(tmp_path / "log.jsonl", V0)
    stop = threading.Event()
    thread = threading.Thread(target=follow_file, args=(path, imports, stop), kwargs={"poll": 0.01})
    thread.start()

    def arrive(count: int) -> None:
        wait_until(
            lambda: log.path.exists() and log.counts(EventFilter()).total == count,
            f"{count} events are there",
        )

    try:
        arrive(1)
        line = json.dumps(V2) + "\n"
        with path.open("a") as file:
            file.write(line[:40])
            file.flush()
            file.write(line[40:])
        arrive(2)
        other = write(tmp_path / "new.jsonl", V1)
        other.replace(path)
        arrive(3)
    finally:
        stop.set()
        thread.join()
    assert imports.quarantine() == []


def test_what_the_newer_old_program_wrote_is_exported_as_it_was(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog, failures: SqliteFailureLog
) -> None:
    path = write(tmp_path / "log.jsonl", V2, V2_SUCCESS, V2_DEAD)
    import_file(path, imports, zone=TOKYO)
    main, dead = io.StringIO(), io.StringIO()
    count = export_events(log, main, compat="naive", zone=TOKYO, dead_letters=dead, stacks=failures)
    assert count == 3
    assert main.getvalue() + dead.getvalue() == path.read_text("utf-8")


def test_an_export_in_utc_differs_in_its_time_only(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog, failures: SqliteFailureLog
) -> None:
    import_file(write(tmp_path / "log.jsonl", V2), imports, zone=TOKYO)
    out = io.StringIO()
    export_events(log, out, compat="utc", stacks=failures)
    line = json.loads(out.getvalue())
    assert line.pop("timestamp") == "2025-11-07T02:38:23.723570Z"
    assert line == {key: value for key, value in V2.items() if key != "timestamp"}


def test_our_own_export_is_imported_as_it_was(
    tmp_path: Path, imports: SqliteImportLog, log: SqliteEventLog, stream: Any
) -> None:
    def broken() -> None:
        raise ConnectionError("away")

    stream.emit_with_retry("action", "svc", broken, max_retries=1)
    path = tmp_path / "own.jsonl"
    with path.open("w") as out:
        export_events(log, out)
    assert import_file(path, imports).known == 3
    other = tmp_path / "other" / "tailrace.db"
    import_file(path, SqliteImportLog(other))
    copy = SqliteEventLog(other)
    for before, after in zip(bodies(log), bodies(copy), strict=True):
        del after["imported"]
        assert after == before
    copy.close()


@given(
    lines=st.lists(
        st.tuples(st.sampled_from(ALL), st.booleans(), st.integers(1, 60)), min_size=1, max_size=6
    )
)
@settings(max_examples=times(60), suppress_health_check=list(HealthCheck))
def test_no_byte_of_a_file_is_lost_and_whole_events_are_saved(
    lines: list[tuple[dict[str, Any], bool, int]],
) -> None:
    body, whole = b"", 0
    for event, is_torn, length in lines:
        line = json.dumps(event).encode()
        whole += not is_torn and "event_id" in event
        body += line[:length] if is_torn else line + b"\n"
    found = list(pieces(io.BytesIO(body)))
    assert sum(one.found is not None and "event_id" in one.found for one in found) >= whole
    for one in found:
        assert body[one.offset : one.offset + len(one.raw)] == one.raw
    covered = b"".join(one.raw for one in found)
    assert b"".join(covered.split()) == b"".join(body.split())
