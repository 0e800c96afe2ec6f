"""Files of older tools are taken over: what they say stays, and none of it is run."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import StoreError
from tailrace.model import SpanStatus
from tailrace.model.span import Trace
from tailrace.store import SqliteTraceReader, verify_store
from tailrace.store.foreign import ForeignWriter, import_older
from tailrace.store.foreign.older import is_older
from tailrace.store.foreign.older_values import attributes_of, instant_of, span_id_of

TRACE = str(uuid.UUID("12345678-1234-5678-1234-567812345678"))
DIGITS = TRACE.replace("-", "")
FLOW_TOOL = """CREATE TABLE spans (span_id TEXT PRIMARY KEY, trace_id TEXT, parent_span_id TEXT,
service_name TEXT, kind TEXT, name TEXT, attributes TEXT, status TEXT, error TEXT,
start_time TEXT, end_time TEXT, policy_snapshot TEXT, timeout REAL);
CREATE TABLE events (event_id INTEGER PRIMARY KEY, span_id TEXT, trace_id TEXT, name TEXT,
timestamp TEXT, attributes TEXT);"""
FLUJO = """CREATE TABLE spans (span_id TEXT PRIMARY KEY, run_id TEXT, parent_span_id TEXT,
name TEXT, start_time REAL, end_time REAL, status TEXT, attributes TEXT, created_at TEXT);"""
LENS = """CREATE TABLE traces (span_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, parent_span_id TEXT,
name TEXT NOT NULL, start_time TEXT NOT NULL, end_time TEXT NOT NULL, attributes_json TEXT);"""


def make(path: Path, script: str, rows: dict[str, list[tuple[Any, ...]]]) -> Path:
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(script)
        for table, values in rows.items():
            for row in values:
                db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - our own tables
    return path


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[ForeignWriter]:
    with closing(ForeignWriter(tmp_path / "runs.db")) as one:
        yield one


def read(writer: ForeignWriter) -> Trace:
    with closing(SqliteTraceReader(writer.path)) as reader:
        (only,) = reader.runs(foreign=True)
        return reader.trace(only.run_id)


def test_the_spans_and_events_of_the_flow_tool_are_taken_over_once(
    tmp_path: Path, writer: ForeignWriter
) -> None:
    literal = "{'rows': 3, 'tags': ('a', 'b'), 'none': None, 'ok': True, 'deep': {'x': [1]}}"
    older = make(
        tmp_path / "older.db",
        FLOW_TOOL,
        {
            "spans": [
                ("s1", TRACE, None, "etl", "flow", "run etl", literal, "OK", None,
                 "2025-07-14T10:00:00.250000", "2025-07-14T12:00:01+02:00", "{'retry': 1}", 2.5),
                ("s2", TRACE, "s1", "etl", "task", "load", "__import__('os').abort()", "ERROR",
                 "gone", "2025-07-14 10:00:00.5", None, None, None),
                ("s3", TRACE, "s1", "etl", "task", "load", "{}", "OK", "", "soon", None, None, 0),
                ("s4", None, "s1", "etl", "task", "load", "{}", "OK", "", "1", None, None, 0),
            ],
            "events": [
                (1, "s2", TRACE, "log", "2025-07-14T10:00:00.75Z", '{"message": "hello"}'),
                (2, "s2", TRACE, "log", "never", ""),
            ],
        },
    )  # fmt: skip
    assert is_older(older)
    report = import_older(older, writer)
    assert (report.table, report.rows, report.intake.spans) == ("spans", 4, 2)
    assert report.intake.refused == {"a time is no time": 1, "it has no trace id or no span id": 1}
    assert report.examples[0].startswith("row ")
    assert import_older(older, writer).intake.spans == 0

    run, load = read(writer).spans
    assert (run.trace_id, load.parent_id, load.end_ns) == (DIGITS, run.span_id, None)
    assert run.duration_ns == 750_000_000
    assert run.attributes == {
        "rows": 3, "tags": ["a", "b"], "ok": True, "deep": '{"x":[1]}',
        "tailrace.original_span_id": "s1", "tailrace.kind": "flow",
        "tailrace.policy": "{'retry': 1}", "timeout": 2.5,
    }  # fmt: skip
    assert (load.status, load.message) == (SpanStatus.ERROR, "gone")
    assert load.attributes["tailrace.attributes"] == "__import__('os').abort()"
    assert [(event.name, event.attributes) for event in load.events] == [
        ("log", {"message": "hello"})
    ]
    assert verify_store(writer.path) == []


@pytest.mark.parametrize(
    ("script", "table", "row"),
    [
        (FLUJO, "spans", ("a" * 16, "run_7", None, "step", 1752487200.25, 1752487201.0,
                          "completed", '{"x": 1}', "")),
        (LENS, "traces", ("a" * 16, "run_7", None, "step", "2025-07-14T10:00:00.25",
                          "2025-07-14T10:00:01", '{"x": 1}')),
    ],
)  # fmt: skip
def test_other_older_tables_are_known_too(
    tmp_path: Path, writer: ForeignWriter, script: str, table: str, row: tuple[Any, ...]
) -> None:
    report = import_older(make(tmp_path / "older.db", script, {table: [row]}), writer)
    (span,) = read(writer).spans
    assert (report.table, span.span_id, span.duration_ns) == (table, "a" * 16, 750_000_000)
    assert span.attributes == {"x": 1, "tailrace.original_trace_id": "run_7"}


def test_other_files_are_refused_with_a_reason(tmp_path: Path, writer: ForeignWriter) -> None:
    writer.resource({})
    text = tmp_path / "text"
    text.write_text("x" * 2_000)
    empty = make(tmp_path / "empty.db", "CREATE TABLE spans (span_id TEXT);", {})
    for path, code in ((writer.path, "TR505"), (text, "TR505"), (empty, "TR505"),
                       (tmp_path / "none", "TR501")):  # fmt: skip
        with pytest.raises(StoreError) as caught:
            import_older(path, writer)
        assert caught.value.code == code
        assert not is_older(path)


def test_numbers_are_times_by_their_size() -> None:
    second = 1_752_487_200
    for given_time in (
        second,
        second * 1_000,
        second * 10**6,
        second * 10**9,
        str(second),
        f"{second}.0",
    ):
        assert instant_of(given_time) == second * 10**9
    assert instant_of("") is None
    for wrong in ("soon", -1, float("nan"), 1 << 70, b"\xff"):
        with pytest.raises(ValueError, match="is no time"):
            instant_of(wrong)


@given(st.text() | st.binary() | st.integers())
def test_attributes_of_any_kind_are_read_or_kept_as_text(value: Any) -> None:
    assert all(isinstance(key, str) for key in attributes_of(value))


@pytest.mark.parametrize("text", ["(" * 100_000, "{'a': " * 5_000, "-" * 200_000, "9" * 10_000])
def test_hostile_literals_are_kept_as_text(text: str) -> None:
    assert attributes_of(text) == {"tailrace.attributes": text}


@given(st.text(min_size=1), st.text())
def test_any_text_gives_an_id_that_opentelemetry_takes(text: str, trace: str) -> None:
    made = span_id_of(text, trace)
    assert len(bytes.fromhex(made)) == 8
    assert made == span_id_of(text, trace)
