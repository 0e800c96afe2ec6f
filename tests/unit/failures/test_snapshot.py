"""Failures as telemetry and the store see them."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.failures import capture, capture_snapshot, record_of, snapshot_of
from tailrace.failures.snapshot import border_category, level_of, origin_of
from tailrace.model import FailureOrigin, FailureSnapshot, Origin


def full_error() -> BaseException:
    error = ExceptionGroup("two", [TimeoutError("late"), ValueError("token=hunter2hunter2")])
    error.add_note("in batch 3")
    error.__cause__ = KeyError("row")
    error.tags = {"zone": "eu"}  # type: ignore[attr-defined]
    error.metadata = {"component": "http", "transport": "tcp"}  # type: ignore[attr-defined]
    return error


def test_a_snapshot_says_all_that_the_record_says_and_stands_where_it_was_raised() -> None:
    record = msgspec.structs.replace(
        capture(full_error()),
        given_up="permanent",
        origin=FailureOrigin(
            ("flow:etl", "node:load", "task:2"), "load", "etl:load", 7, 2, 3, "sha256:1", "sha256:2"
        ),
    )
    origin = origin_of(record, within=("root", "worker:w1", "run:r1"))
    snapshot = snapshot_of(record, origin=origin, run_id="r1", flow="etl", generation=2)
    assert snapshot.path == origin.path == (
        "root", "worker:w1", "run:r1", "flow:etl", "node:load", "task:2",
    )  # fmt: skip
    assert (snapshot.level, snapshot.stage.hops(), snapshot.trail) == ("task", 0, ())
    assert (snapshot.origin.pid, snapshot.origin.source) == (os.getpid(), "task")
    assert (snapshot.node_id, snapshot.task_ref, snapshot.attempt) == ("load", "etl:load", 2)
    assert (snapshot.max_attempts, snapshot.input_digest) == (3, "sha256:1")
    assert (snapshot.run_id, snapshot.trace_id, snapshot.generation) == ("r1", "r1", 2)
    assert (snapshot.component, snapshot.endpoint, snapshot.transport) == ("http", "", "tcp")
    assert [cause.type for cause in snapshot.cause_chain] == ["KeyError"]
    assert [child.message for child in snapshot.children] == ["late", "token=[redacted]"]
    assert snapshot.description == f"ExceptionGroup: {record.message}"
    assert record_of(snapshot) == msgspec.structs.replace(record, origin=None)


def test_a_failure_outside_of_any_run_stands_at_the_root() -> None:
    snapshot = capture_snapshot(ValueError("x"), source="thread", worker_id="w1", thread="pool-3")
    assert (snapshot.path, snapshot.level) == (("root",), "root")
    assert snapshot.origin == Origin(
        ("root",), "thread", "pool-3", os.getpid(), os.uname().nodename
    )
    assert (snapshot.worker_id, snapshot.run_id) == ("w1", "")
    assert snapshot.failure_id.startswith("F-")


@pytest.mark.parametrize(
    ("segment", "level"),
    [("task:3", "task"), ("node:a:b", "node"), ("root", "root"), ("run:1", "run"), ("?", "task")],
)
def test_the_last_segment_of_a_path_is_the_level(segment: str, level: str) -> None:
    assert level_of(("root", segment)) == level
    assert level_of(()) == "root"


@pytest.mark.parametrize(
    ("error", "severity"),
    [(ValueError(), "error"), (MemoryError(), "critical"), (KeyboardInterrupt(), "info")],
    ids=repr,
)
def test_a_class_has_a_severity(error: BaseException, severity: str) -> None:
    assert capture_snapshot(error, source="loop").severity == severity


def test_the_older_event_schema_knows_three_categories() -> None:
    words = ["transient", "permanent", "unknown", "timeout", "cancelled"]
    assert [border_category(word) for word in words] == [
        "transient", "permanent", "unknown", "transient", "unknown",
    ]  # fmt: skip


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_every_snapshot_can_be_stored(text: str, tags: dict[str, str]) -> None:
    error = RuntimeError(text)
    error.tags = tags  # type: ignore[attr-defined]
    snapshot = capture_snapshot(error, source="event")
    stored = msgspec.json.encode(snapshot)
    assert msgspec.json.decode(stored, type=FailureSnapshot) == snapshot
    assert record_of(snapshot).message == snapshot.message
