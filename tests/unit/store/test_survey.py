"""What hurts most: exact counts within a filter, its course over time, and how far it reaches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter
from tailrace.store import SqliteFailureLog, StoreLimits
from tailrace.store.flood import MINUTE_NS

A, B, C = (f"v1:{letter * 32}" for letter in "abc")
ANY = FailureFilter()


def failure(at: int, site: str = A, **fields: Any) -> FailureSnapshot:
    given: dict[str, Any] = {"type": "E", "message": "m", "category": "transient"} | fields
    return FailureSnapshot(
        failure_id=f"F-{new_sortable()}", captured_ns=at, fp_site=site, **given
    )  # fmt: skip


def letter(site: str) -> DeadLetter:
    return DeadLetter(dl_id=f"DL-{new_sortable()}", task_key="k", created_ns=1, fp_site=site)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteFailureLog]:
    with closing(SqliteFailureLog(tmp_path / "runs.db", limits=StoreLimits(flood=0))) as log:
        yield log


def add_runs(path: Path, *names: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO flow VALUES (1, 'f', 'h', 's')")
        statement = """INSERT INTO run (run_id, flow, source, status, start, "end", span_base,
            writer) VALUES (?, 1, 'api', 'FAILED', 1, 2, 3, 'w')"""
        db.executemany(statement, [(name,) for name in names])
        db.commit()


def test_a_survey_knows_how_much_it_does_not_show(log: SqliteFailureLog) -> None:
    log.record([failure(n, site) for site in (A, A, A, B, B, C) for n in (10, 20)])
    log.change_group(B, "resolve", actor="ann")
    survey = log.survey(FailureFilter(since_ns=15), states=("open",), limit=1)
    assert [(group.fp_site, group.count) for group in survey.groups] == [(A, 3)]
    assert (survey.matching, survey.failures) == (2, 6)


def test_each_failure_is_in_exactly_one_part_of_the_trend(log: SqliteFailureLog) -> None:
    log.record([failure(at) for at in (9, 10, 19, 20, 29, 30)] + [failure(15, B)])
    assert log.trends(ANY, [A, B], [10, 20, 30]) == {A: [2, 2], B: [1, 0]}


def test_a_trend_keeps_to_the_filter(log: SqliteFailureLog) -> None:
    log.record(
        [
            failure(11, node_id="load", fp_template=C),
            failure(12, node_id="save"),
            failure(13, category="permanent"),
        ]
    )
    edges = [10, 20]
    assert log.trends(FailureFilter(node="load"), [A], edges) == {A: [1]}
    assert log.trends(FailureFilter(category="permanent"), [A], edges) == {A: [1]}
    assert log.trends(FailureFilter(fingerprint=C), [A], edges) == {A: [1]}
    assert log.trends(FailureFilter(fingerprint="aaa"), [A], edges) == {A: [3]}
    assert log.trends(FailureFilter(fingerprint=B), [A], edges) == {A: [0]}


def test_failures_without_a_row_count_once_in_the_part_in_which_their_minute_begins(
    tmp_path: Path,
) -> None:
    with closing(SqliteFailureLog(tmp_path / "runs.db", limits=StoreLimits(flood=1))) as log:
        log.record([failure(10 * MINUTE_NS + n) for n in range(5)])
        log.record([failure(11 * MINUTE_NS + n) for n in range(3)])
        middle = 10 * MINUTE_NS + MINUTE_NS // 2
        edges = [10 * MINUTE_NS, middle, 12 * MINUTE_NS]
        assert log.trends(ANY, [A], edges) == {A: [5, 3]}
        shifted = [10 * MINUTE_NS + 1, 11 * MINUTE_NS, 12 * MINUTE_NS]
        assert log.trends(ANY, [A], shifted) == {A: [4, 3]}
        assert log.trends(FailureFilter(node="load"), [A], edges) == {A: [0, 0]}


def test_what_was_merged_counts_in_the_group_it_became_part_of(log: SqliteFailureLog) -> None:
    log.record([])
    add_runs(log.path, "one", "two")
    log.record([
        failure(11, A, run_id="one", node_id="load"),
        failure(12, B, run_id="one", node_id="load"),
        failure(13, B, run_id="two", node_id="save"),
        failure(14, C, node_id="else"),
    ], [letter(A), letter(B), letter(C)])  # fmt: skip
    log.change_group(B, "merge", actor="ann", into=A)
    first, second = log.survey(ANY).groups
    assert (first.fp_site, first.count) == (A, 3)
    assert (first.runs, first.nodes, first.open_letters) == (2, 2, 2)
    assert (second.runs, second.nodes, second.open_letters) == (0, 1, 1)
    assert log.trends(ANY, [A], [10, 20]) == {A: [3]}


@pytest.mark.parametrize("others", [0, 200])
def test_runs_and_nodes_are_exact_for_groups_of_any_share_of_the_failures(
    log: SqliteFailureLog, others: int
) -> None:
    log.record([])
    add_runs(log.path, "one", "two", "three")
    log.record([failure(n, C, node_id=f"n{n}") for n in range(others)])
    log.record([
        failure(n, site, run_id=run, node_id=node)
        for n, (site, run, node) in enumerate([
            (A, "one", "x"), (A, "one", "y"), (A, "two", "x"), (A, "", ""), (B, "three", "x"),
        ])
    ])  # fmt: skip
    found = {group.fp_site: group for group in log.survey(ANY, limit=2 + bool(others)).groups}
    assert (found[A].runs, found[A].nodes) == (2, 2)
    assert (found[B].runs, found[B].nodes) == (1, 1)
    one = log.groups(FailureFilter(fingerprint=A))[0]
    assert (one.runs, one.nodes) == (2, 2)


def test_trends_are_read_off_the_index_of_a_group_and_its_times(log: SqliteFailureLog) -> None:
    log.record([failure(n) for n in range(50)])
    db, said = log._file._opened(), list[str]()
    db.set_trace_callback(said.append)
    edges = list(range(0, 50, 7))
    log.trends(ANY, [A], edges)
    db.set_trace_callback(None)
    counts = [one for one in said if "FROM failure AS f" in one]
    assert len(counts) == len(list(pairwise(edges)))
    plans = {row[3] for one in counts for row in db.execute(f"EXPLAIN QUERY PLAN {one}")}
    assert plans == {"SEARCH f USING COVERING INDEX failure_grp (grp=? AND at>? AND at<?)"}
