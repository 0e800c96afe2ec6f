"""A stream on a real file, with a clock that no test waits for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tailrace.events.stream import ResilientEventStream
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store import SqliteDeadLetters, SqliteFailureLog
from tailrace.store.event_log import SqliteEventLog
from tailrace.store.sqlite import shared_store


class FakeClock:
    """Time passes only where somebody waits."""

    def __init__(self, now_ns: int = 1_795_244_123_281_787_000) -> None:
        self.now = now_ns
        self.slept: list[float] = []

    def now_ns(self) -> int:
        self.now += 1_000
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += round(seconds * 1e9) + 1

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "tailrace.db"
    yield path
    shared_store(path).close()


@pytest.fixture
def log(database: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(database)
    yield log
    log.close()


@pytest.fixture
def failures(database: Path) -> Iterator[SqliteFailureLog]:
    failures = SqliteFailureLog(database)
    yield failures
    failures.close()


@pytest.fixture
def letters(database: Path) -> Iterator[SqliteDeadLetters]:
    letters = SqliteDeadLetters(database)
    yield letters
    letters.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def stream(
    log: SqliteEventLog, letters: SqliteDeadLetters, clock: FakeClock
) -> ResilientEventStream:
    return ResilientEventStream(
        log,
        letters=letters,
        policy=RetryPolicy.resonant(),
        source="tests",
        worker_id="w1",
        code_version="sha256:0123456789abcdef",
        clock=clock,
        rng=Random(7),
    )
