"""Questions about failures are answered from indexes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog
from tailrace.store.conditions import Condition, of_letters
from tailrace.store.letters import select_letters

SITES = ["v1:" + f"{number:032x}" for number in range(20)]


Plans = Callable[[Callable[[], object], sqlite3.Connection], str]


@pytest.fixture
def plans() -> Plans:
    """Gives the plans of all statements that something executes."""

    def explain(act: Callable[[], object], db: sqlite3.Connection) -> str:
        said: list[str] = []
        db.set_trace_callback(said.append)
        act()
        db.set_trace_callback(None)
        found = []
        for statement in said:
            if statement.startswith(("SELECT", "UPDATE")):
                found += [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
        return "\n".join(found)

    return explain


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteFailureLog]:
    log = SqliteFailureLog(tmp_path / "runs.db")
    log.record(
        [
            FailureSnapshot(
                failure_id=f"F-{new_sortable()}", captured_ns=number, type="E", message="m",
                category="transient", fp_site=SITES[number % 20],
            )
            for number in range(400)
        ],
        [
            DeadLetter(dl_id=f"DL-{new_sortable()}", task_key="k", created_ns=number,
                       fp_site=SITES[number % 20])
            for number in range(400)
        ],
    )  # fmt: skip
    yield log
    log.close()


def test_the_newest_failures_are_read_off_the_index_of_time(
    log: SqliteFailureLog, plans: Plans
) -> None:
    db = log._file._opened()
    for wanted in (FailureFilter(), FailureFilter(since_ns=10), FailureFilter(category="x")):
        plan = plans(lambda wanted=wanted: log.failures(wanted), db)  # type: ignore[misc]
        assert "USING INDEX failure_at" in plan
        assert "TEMP B-TREE" not in plan


def test_failures_of_a_group_are_read_off_its_index(log: SqliteFailureLog, plans: Plans) -> None:
    db = log._file._opened()
    wanted = FailureFilter(fingerprint=SITES[3])
    plan = plans(lambda: log.failures(wanted), db)
    assert "SEARCH f USING INDEX failure_grp (grp=?)" in plan
    assert "SCAN" not in plan
    assert "ORDER BY" not in plan


def test_one_failure_is_found_by_its_index(log: SqliteFailureLog, plans: Plans) -> None:
    one = log.failures(FailureFilter(), limit=1)[0].failure_id
    plan = plans(lambda: log.failure(one[:20]), log._file._opened())
    assert "SCAN" not in plan


def test_groups_are_ranked_without_looking_at_a_single_failure(
    log: SqliteFailureLog, plans: Plans
) -> None:
    db = log._file._opened()
    ranked = plans(lambda: log.groups(FailureFilter(), limit=0), db)
    assert "failure_grp" not in ranked
    assert "failure_at" not in ranked
    assert "SCAN f\n" not in ranked
    of_a_week = plans(lambda: log.groups(FailureFilter(since_ns=10), limit=0), db)
    assert "f USING COVERING INDEX failure_grp" in of_a_week


def test_letters_by_state_and_by_fingerprint_stay_on_indexes(
    log: SqliteFailureLog, plans: Plans, tmp_path: Path
) -> None:
    letters = SqliteDeadLetters(tmp_path / "runs.db")
    db = letters._file._opened()
    plan = plans(lambda: letters.letters(FailureFilter()), db)
    assert "SEARCH d USING INDEX dead_letter_state (state=?)" in plan
    assert "SCAN d" not in plan
    assert "TEMP B-TREE" not in plan
    plan = plans(
        lambda: select_letters(db, [Condition("d.fp = ?", (SITES[1],))], ("open",), limit=5), db
    )
    assert "SCAN d" not in plan
    wanted = of_letters(FailureFilter(ids=("DL-1", "DL-2")))
    plan = plans(lambda: select_letters(db, wanted, ("open",), limit=5), db)
    assert "SCAN d" not in plan
    letters.close()
