"""What is noted in a journal and cannot be written at once."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.model import RunId, RunStarted, UserSpanFinished, UserSpanStarted
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.store.journal import SqliteJournal

RUN = RunId("01" * 16)
MANY = 10_000


def noted(journal: SqliteJournal, first: int, count: int) -> None:
    for number in range(first, first + count):
        journal.note(UserSpanStarted(number, 1, "s" * 100, number, {}))
        journal.note(UserSpanFinished(number, number + 1, {}))


@pytest.mark.no_cover
def test_more_notes_than_fit_are_written_by_who_notes_them(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "a.db")) as store:
        journal = store.open_journal(RUN)
        journal.append([RunStarted(RUN, "f", "", "", 1, {}, "test", 7)])
        noted(journal, 2, MANY)
        journal.close()
        assert journal.dropped == 0
    with closing(SqliteTraceReader(tmp_path / "a.db")) as reader:
        assert reader.run(RUN).spans == 1 + MANY


@pytest.mark.no_cover
def test_while_the_disk_is_full_notes_are_dropped_and_that_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqliteStore(tmp_path / "a.db")) as store:
        journal = store.open_journal(RUN)
        journal.append([RunStarted(RUN, "f", "", "", 1, {}, "test", 7)])
        db = store.writer.db
        with store.writer.lock:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages}")
        with caplog.at_level(logging.WARNING, "tailrace.store.journal"):
            many = 0
            while journal.dropped < 1_000:  # what is tried to be written meanwhile makes room
                noted(journal, 2 + many, 1_000)
                many += 1_000
        assert caplog.text.count("are dropped") == 1
        with store.writer.lock:
            db.execute("PRAGMA max_page_count = 1000000")
        journal.close()
    with closing(SqliteTraceReader(tmp_path / "a.db")) as reader:
        assert 1 < reader.run(RUN).spans < 1 + many
