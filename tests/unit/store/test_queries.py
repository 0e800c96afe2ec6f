"""The reader for programs: searches, metrics and traces by names and times as people write them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailrace import Flow, SQLiteTracer, SQLiteTraceReader, task
from tailrace.errors import NotFound, QueryError, StoreError


@task
def one() -> int:
    return 1


@task
def two(one: int) -> int:
    raise ValueError(f"not {one}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "runs.db"
    Flow("steps", one >> two).run(db=file, raise_on_failure=False)
    Flow("single", one).run(db=file)
    return file


def test_a_search_gives_traces_with_their_spans(path: Path) -> None:
    with SQLiteTraceReader(path) as reader:
        (found,) = reader.search('{ name = "node two" && status = error }', since="1h").traces
        assert found.root_service == "steps"
        assert [span.name for one in found.sets for span in one.spans] == ["node two"]
        assert len(reader.search().traces) == 2
        assert len(reader.search(flow="single").traces) == 1
        assert len(reader.search(status="FAILED", limit=1).traces) == 1


@pytest.mark.parametrize(
    "past",
    [
        "1h",
        timedelta(hours=1),
        0,
        datetime(2000, 1, 1, tzinfo=UTC),
        "2000-01-01",
        "2000-01-01T00:00",
    ],
)
def test_a_time_may_be_written_in_many_ways(path: Path, past: Any) -> None:
    with SQLiteTraceReader(path) as reader:
        assert len(reader.search(since=past).traces) == 2
        assert reader.search(until=past).traces == []


@pytest.mark.parametrize("wrong", ["yesterday", "", True, 1.5, [], "9999999999w"])
def test_a_time_that_is_none_is_an_error_that_says_so(path: Path, wrong: Any) -> None:
    with (
        SQLiteTraceReader(path) as reader,
        pytest.raises(QueryError, match="since is no time") as info,
    ):
        reader.search(since=wrong)
    assert info.value.code == "TR221"


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"limit": "3"}, {"spans_per_set": -1}, {"status": "nope"}]
)
def test_another_argument_that_is_none_of_its_kind_says_so_too(
    path: Path, wrong: dict[str, Any]
) -> None:
    with SQLiteTraceReader(path) as reader, pytest.raises(QueryError) as info:
        reader.search("{ }", **wrong)
    assert info.value.code == "TR221"


def test_the_limit_of_a_query_in_the_short_form_counts_where_no_other_is_given(path: Path) -> None:
    with SQLiteTraceReader(path) as reader:
        every = len(reader.search("traces{}").traces)
        assert every > 1
        assert len(reader.search("traces{} | limit 1").traces) == 1
        assert len(reader.search("traces{} | limit 1", limit=every).traces) == every


def test_a_text_that_is_none_is_damage_with_a_code(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE span SET name = CAST(x'ff' AS TEXT)")
    with SQLiteTraceReader(path) as reader, pytest.raises(StoreError, match="UTF-8") as info:
        reader.trace("@last")
    assert info.value.code == "TR505"


def test_metrics_give_series(path: Path) -> None:
    with SQLiteTraceReader(path) as reader:
        result = reader.metrics("{ } | count_over_time() by (status)", since="10m", step="5m")
        counts = {str(s.labels["status"]): sum(v or 0 for v in s.values) for s in result.series}
        assert counts == {"error": 3, "unset": 5}
        assert result.step_ns == 300_000_000_000
        at_once = reader.metrics("{ } | count_over_time()", instant=True)
        assert at_once.series[0].values == [8]
        for step in (60, timedelta(minutes=1)):
            assert reader.metrics("{ } | rate()", since="5m", step=step).step_ns == 60_000_000_000
        with pytest.raises(QueryError, match="step"):
            reader.metrics("{ } | rate()", step="soon")


def test_a_trace_is_named_by_its_beginning_or_as_the_last_one(path: Path) -> None:
    with SQLiteTraceReader(path) as reader:
        last, failed = reader.trace("@last"), reader.trace("@last-failed")
        assert (last.run.flow, failed.run.flow) == ("single", "steps")
        assert reader.trace(failed.run.run_id[:-4]).run.run_id == failed.run.run_id
        with pytest.raises(NotFound):
            reader.trace("ffff")


def test_a_query_that_is_wrong_says_where(path: Path) -> None:
    with SQLiteTraceReader(path) as reader, pytest.raises(QueryError) as info:
        reader.search("{ status = eror }")
    assert info.value.details["column"] == 12


def test_without_a_file_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        SQLiteTraceReader(tmp_path / "none.db")


def test_a_tracer_copies_the_spans_of_runs_into_another_file(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    tracer = SQLiteTracer(copy)
    for flow in (Flow("steps", one >> two), Flow("single", one)):
        flow.run(store=False, tracers=[tracer], raise_on_failure=False)
    assert tracer.dropped == 0
    with SQLiteTraceReader(copy) as reader:
        assert len(reader.search("{ status = error }").traces) == 1
        (found,) = reader.search('{ resource.service.name = "steps" }', spans_per_set=9).traces
        assert found.root_name == "run steps"
        assert found.matched == 5
        assert reader.trace(found.trace_id).spans[1].parent_id is not None


def test_a_tracer_whose_file_cannot_be_written_leaves_the_run_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    tracer = SQLiteTracer(tmp_path / "file" / "copy.db")
    assert Flow("single", one).run(store=False, tracers=[tracer]).ok
    assert tracer.dropped == 3
    assert "spans are not written" in caplog.text
