"""The process's event streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.model.event import EventFilter
from tailrace.model.failure import FailureFilter
from tailrace.runtime import events
from tailrace.store import SqliteDeadLetters
from tailrace.store.event_log import SqliteEventLog
from tailrace.store.sqlite import shared_store


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILRACE_DB", raising=False)
    monkeypatch.setattr(events, "_STREAMS", {})
    monkeypatch.setattr(events, "_RECOVERED", set())
    yield tmp_path
    for path in tmp_path.rglob("*.db"):
        shared_store(path).close()


def test_a_file_has_one_stream_in_a_process(project: Path) -> None:
    stream = events.get_resilient_stream()
    assert events.get_resilient_stream() is stream
    assert events.get_resilient_stream(project / ".tailrace" / "tailrace.db") is stream
    assert events.get_resilient_stream(project / "other.db") is not stream


def test_the_projects_settings_are_obeyed(project: Path) -> None:
    (project / "tailrace.toml").write_text(
        'db = "mine.db"\n'
        "[failures]\n"
        'worker_id = "worker-7"\ncode_version = "v3"\nletter_expiry_days = 1\n'
        "[[failures.rules]]\n"
        'type = "ZeroDivisionError"\ncategory = "transient"\nclass = "network"\n'
    )

    def act() -> float:
        return 1 / 0

    emitted = events.emit_with_retry("a", "x", act, max_retries=0)
    log = SqliteEventLog(project / "mine.db")
    event = log.event(emitted)
    assert (event.category, event.class_) == ("transient", "network")
    assert event.body["run"]["worker_id"] == "worker-7"
    (letter,) = SqliteDeadLetters(project / "mine.db").letters(FailureFilter())
    assert letter.code_version == "v3"
    assert letter.expires_ns > letter.created_ns
    log.close()


def test_events_can_be_written_without_taking_work_over(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[SqliteEventLog] = []

    def take_lost(log: SqliteEventLog) -> list[Any]:
        taken.append(log)
        return []

    monkeypatch.setattr(SqliteEventLog, "take_lost", take_lost)
    events.get_resilient_stream(project / "a.db", recover=False).emit("a", "x")
    assert taken == []
    for _ in range(2):
        events.get_resilient_stream(project / "a.db")
    assert len(taken) == 1


def test_module_functions_use_the_projects_stream(project: Path) -> None:
    events.emit("note", "x", {"n": 1}, tags=["t"])
    log = SqliteEventLog(project / ".tailrace" / "tailrace.db")
    assert log.counts(EventFilter(tag="t")).total == 1
    log.close()
