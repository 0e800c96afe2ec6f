"""Rows that are inserted together are those that would be inserted one by one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from tailrace.store.remote.bulk import insert_rows

_PUT = "INSERT OR REPLACE INTO t (a, b, c) VALUES (?, nullif(?, ''), ?)"
_ROW = st.tuples(st.integers(0, 200), st.sampled_from(["", "x", "VALUES ("]), st.binary(max_size=3))


@given(st.lists(_ROW, max_size=40), st.integers(1, 6))
def test_many_rows_are_as_one_by_one(rows: list[tuple[int, str, bytes]], times: int) -> None:
    rows = [(a + 50 * (number % 3), b, c) for number in range(times) for a, b, c in rows]
    found = []
    for write in (insert_rows, sqlite3.Connection.executemany):
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c BLOB)")
            write(db, _PUT, rows)
            found.append(db.execute("SELECT a, b, c FROM t ORDER BY a").fetchall())
    assert found[0] == found[1]
