"""Raw limits: the least a Python program on this machine could need for the same promise.

Each gives a work to be timed beside what it limits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

BODY = b"x" * 200
SPAN = """CREATE TABLE entry (id INTEGER PRIMARY KEY, run INTEGER, parent INTEGER, type TEXT,
    name TEXT, path TEXT, status TEXT, start INTEGER, end INTEGER, message TEXT, attributes TEXT,
    body BLOB)"""
Work = Callable[[], object]


@contextmanager
def _wal_file(path: Path, synchronous: str, table: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("DROP TABLE IF EXISTS entry")
        connection.execute(table)
        yield connection


@contextmanager
def commits(folder: Path, count: int, *, synchronous: str = "NORMAL") -> Iterator[Work]:
    """Give ``count`` INSERTs of 200 bytes, each a transaction of its own in a WAL file.

    ``NORMAL`` survives the end of the process, ``FULL`` power loss too.
    """
    table = "CREATE TABLE entry (id INTEGER PRIMARY KEY, body BLOB)"
    with _wal_file(folder / f"commits-{synchronous}.db", synchronous, table) as connection:

        def work() -> None:
            for _ in range(count):
                connection.execute("INSERT INTO entry (body) VALUES (?)", (BODY,))

        yield work


@contextmanager
def executemany(folder: Path, count: int) -> Iterator[Work]:
    """Give one transaction of one ``executemany`` that inserts ``count`` rows like spans."""
    row = (7, 3, "node", "node clean", "each[1].clean", "unset", 1, 2, "", '{"n":1}', BODY[:60])
    marks = ", ".join("?" * len(row))
    batch = [row] * count
    with _wal_file(folder / "executemany.db", "NORMAL", SPAN) as connection:

        def work() -> None:
            connection.execute("BEGIN")
            connection.execute("DELETE FROM entry")
            connection.executemany(f"INSERT INTO entry VALUES (NULL, {marks})", batch)
            connection.execute("COMMIT")

        yield work


@contextmanager
def thread_calls(width: int, threads: int) -> Iterator[Work]:
    """Give ``width`` calls handed to a pool of threads at once."""
    with ThreadPoolExecutor(threads) as pool:
        yield lambda: list(pool.map(_same, range(width)))


def _same(value: int) -> int:
    return value


@contextmanager
def gathered(width: int) -> Iterator[Work]:
    """Give ``width`` coroutines that are awaited together."""

    async def one() -> int:
        return 0

    async def everything() -> None:
        await asyncio.gather(*(one() for _ in range(width)))

    with asyncio.Runner() as runner:
        yield lambda: runner.run(everything())
