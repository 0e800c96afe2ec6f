"""The commands of the event stream over a real store and files of the older program."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.store import SqliteFailureLog

Run = Callable[..., str]
OLDER = {
    "event_id": "EVT-20251106-123456-abc123",
    "timestamp": "2025-11-06T12:34:56.789",
    "event_type": "action",
    "source": "observer_daemon",
    "data": {},
    "exit_code": 1,
    "parent_event_id": None,
    "related_hypothesis_id": None,
    "tags": ["important"],
}
RETRYING = OLDER | {
    "event_id": "EVT-20251106-123457-abc124",
    "importance": 3,
    "status": "failed",
    "error_info": {
        "category": "transient",
        "message": "Connection timeout",
        "type": "TimeoutError",
        "stacktrace": "...",
        "context": {},
    },
    "retry_info": {"count": 2, "max_retries": 3},
    "recovery_actions": [],
}
LEGACY_LETTER = {
    "event_id": "EVT-20251106-123458-abc125",
    "timestamp": "2025-11-06T12:34:58",
    "error_type": "ConnectionError",
    "error_message": "refused",
    "error_category": "network",
    "stack_trace": "...",
    "retry_count": 3,
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    (tmp_path / ".tailrace").mkdir()

    def call(*arguments: str, code: int = 0) -> str:
        assert main([*arguments]) == code, capsys.readouterr().err
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return captured.out if code in {0, 1} else captured.err

    return call


@pytest.fixture
def older(run: Run, tmp_path: Path) -> Path:
    """A file of the older program with a torn line in it, imported."""
    file = tmp_path / "event_stream.jsonl"
    torn = json.dumps(RETRYING)[:60]
    lines = [json.dumps(OLDER), json.dumps(RETRYING), torn, json.dumps(LEGACY_LETTER)]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def data(run: Run, *arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code))


def test_an_event_is_emitted_and_found(run: Run) -> None:
    event_id = run(
        "events", "emit", "deployed", "ci", "--data", '{"v": 1}', "--tag", "prod"
    ).strip()
    shown = data(run, "events", "show", event_id)
    assert (shown["event_type"], shown["source"], shown["data"]) == ("deployed", "ci", {"v": 1})
    for name in (event_id[4:], event_id[:-3], "@last"):
        assert data(run, "events", "show", name)["event_id"] == event_id
    assert [one["event_id"] for one in data(run, "events", "list", "--tag", "prod")] == [event_id]
    assert data(run, "events", "list", "--type", "another") == []


def test_with_no_events_all_numbers_are_zero(run: Run) -> None:
    with closing(SqliteFailureLog(Path(".tailrace/tailrace.db"))) as log:
        log.record([])
    assert data(run, "events", "status")["by_status"] == {
        "pending": 0,
        "success": 0,
        "failed": 0,
        "retrying": 0,
        "dead_letter": 0,
    }
    assert data(run, "events", "metrics")["total_events"] == 0
    assert 'tailrace_events_total{status="failed"} 0' in run("events", "prometheus")
    assert "events" in run("events", "status")


def test_events_of_the_older_program_are_shown_whatever_they_lack(run: Run, older: Path) -> None:
    report = data(run, "events", "import", str(older), "--tz", "Asia/Tokyo")[0]
    assert (report["imported"], report["letters"], len(report["quarantined"])) == (3, 1, 1)
    for command in ("status", "list", "failed", "dlq", "retry-candidates"):
        run("events", command)
        data(run, "events", command)
    for event in data(run, "events", "list"):
        assert event["event_id"] in run("events", "show", event["event_id"])
        run("events", "detail", event["event_id"])
    counts = data(run, "events", "status")
    assert counts["by_status"]["failed"] == 2
    assert counts["by_status"]["dead_letter"] == 1
    assert counts["first"] == "2025-11-06T03:34:56.789000000Z"
    letter = data(run, "dlq", "list")[0]
    assert letter["kind"] == "event"
    assert letter["dl_id"] in run("dlq", "show", letter["dl_id"])
    run("failures", "candidates")


def test_importing_again_takes_nothing_and_a_dry_run_writes_nothing(run: Run, older: Path) -> None:
    assert data(run, "events", "import", str(older), "--dry-run")[0]["imported"] == 3
    run("events", "status", code=5)
    run("events", "import", str(older))
    assert data(run, "failures", "import-resonant", str(older))[0]["imported"] == 0
    assert data(run, "events", "status")["total"] == 3


def test_a_piece_that_cannot_be_read_is_told_with_its_place(run: Run, older: Path) -> None:
    out = run("events", "import", str(older), "--fail-if", code=1)
    offset = len(json.dumps(OLDER)) + len(json.dumps(RETRYING)) + 2
    assert f"at {offset:,}" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch.jsonl"], "TR339"),
        (["a.jsonl", "--tz", "Asia/Tokio"], "did you mean Asia/Tokyo?"),
        (["a.jsonl", "b.jsonl", "--follow"], "one file"),
        ([], "FILE"),
    ],
)
def test_an_import_that_cannot_be_done_says_why(run: Run, arguments: list[str], says: str) -> None:
    assert says in run("events", "import", *arguments, code=2)


def test_events_are_written_as_the_older_tools_read_them(
    run: Run, older: Path, tmp_path: Path
) -> None:
    run("events", "import", str(older), "--tz", "UTC")
    file = tmp_path / "out" / "events.jsonl"
    run("events", "export", "--compat", "naive", "--tz", "UTC", "--output", str(file))
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert {line["event_id"] for line in lines} >= {OLDER["event_id"], RETRYING["event_id"]}
    found = next(line for line in lines if line["event_id"] == RETRYING["event_id"])
    assert found["timestamp"].startswith("2025-11-06T12:34:56.789")
    assert found["retry_info"]["count"] == 2
    assert len(run("failures", "export-resonant").splitlines()) == 3


def test_the_older_report_is_written_for_a_name_in_json(run: Run, older: Path) -> None:
    run("events", "import", str(older))
    run("events", "export", "--output", "error_report.json")
    report = json.loads(Path("error_report.json").read_text("utf-8"))
    assert report["summary"]["dead_letter_queue"] == 1
    assert report["summary"]["retry_candidates"] == 1


def test_events_are_tailed_in_their_order(run: Run) -> None:
    first, second = (run("events", "emit", "a", source).strip() for source in ("one", "two"))
    lines = run("events", "tail", "--since", "1h", "--count", "2", "--format", "jsonl").splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == [first, second]
    assert first in run("events", "tail", "--since", "1h", "--count", "1")


def test_old_events_are_purged_after_asking(run: Run) -> None:
    run("events", "emit", "a", "b")
    run("events", "emit", "a", "c")  # the newest is always kept
    assert "TR340" in run("events", "purge", "--older-than", "2099-01-01", code=2)
    assert run("events", "purge", "--older-than", "2099-01-01", "--yes") == "1 event deleted\n"


def test_fail_if_exits_1_when_an_event_failed(run: Run, older: Path) -> None:
    run("events", "emit", "a", "b")
    run("events", "status", "--fail-if")
    run("events", "import", str(older))
    run("events", "status", "--fail-if", code=1)
