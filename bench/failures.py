"""The measurements of failures: what one costs when it comes, and what it costs that none does."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import chdir, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import broken
import limits
import shapes
from row import Row, least, medians
from tailrace.engine import Run, RunRequest
from tailrace.events import ResilientEventStream
from tailrace.failures import capture
from tailrace.failures.supervision.levels import advance
from tailrace.failures.telemetry import (
    CompositeFailureTelemetry,
    FailureHub,
    FailureTelemetryObservationConfig,
    MetricsFailureTelemetry,
    RingBufferFailureTelemetry,
)
from tailrace.flows.compile import compile_flow
from tailrace.model import new_run_id
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.letter import Redrive
from tailrace.runtime import RunOptions, execute
from tailrace.runtime.loop import run_to_end
from tailrace.runtime.redrive import start_batch
from tailrace.runtime.watch import LateWatch
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, StoreLimits, shared_store
from tailrace.store.event_log import SqliteEventLog
from tailrace.testing import MemoryStore

if TYPE_CHECKING:
    from suites import Bench

MICROSECONDS = 1e6
MILLISECONDS = 1e3
_BATCH = 500
_ALL = FailureTelemetryObservationConfig(flood_limit=1_000_000)


def failures(bench: Bench) -> Iterator[Row]:
    """Cost of failures in memory and on disk, and of looking at them and redriving them."""
    with chdir(bench.folder):  # so that locations are as short as inside of a project
        for part in (_in_memory, _without_failures, _stored, _durable, _claimed, _shown, _redriven):
            yield from part(bench)


def _in_memory(bench: Bench) -> Iterator[Row]:
    some, at_once = broken.errors(bench.folder), 50

    def take() -> None:
        for _ in range(at_once):
            capture(next(some))

    def text() -> None:
        for _ in range(at_once):
            traceback.format_exception(next(some))

    took, raw = medians([take, text], repeat=bench.size(200, 40))
    yield Row(
        name=f"capturing an exception with {broken.FRAMES} frames, median",
        value=took / at_once * MICROSECONDS,
        unit="µs",
        limit=raw / at_once * MICROSECONDS,
        limit_name="format_exception",
        most=25,
        most_ratio=1 / 8,
    )
    yield from _hops(bench, broken.failure(next(some)))
    yield from _hub(bench, [broken.failure(next(some)) for _ in range(500)])


def _hops(bench: Bench, one: FailureSnapshot) -> Iterator[Row]:
    inside = msgspec.structs.replace(one, path=("root", "worker:w", "run:r", "node:n"))
    count = 200

    def hop() -> None:
        for _ in range(count):
            advance(inside, "escalate", 1, "exhausted")

    def bare() -> None:
        for _ in range(count):
            msgspec.structs.replace(inside, level="run", disposition="open")

    took, raw = least([hop, bare], repeat=4 * bench.repeat)
    yield Row(
        name="hop of a failure from a scope to the next",
        value=took / count * MICROSECONDS,
        unit="µs",
        limit=raw / count * MICROSECONDS,
        limit_name="bare replace",
        most=1,
    )


def _hub(bench: Bench, some: Sequence[FailureSnapshot]) -> Iterator[Row]:
    """Measure fresh failures only: the hub takes each id once."""
    sinks = (
        RingBufferFailureTelemetry(),
        MetricsFailureTelemetry(),
        RingBufferFailureTelemetry(),
    )
    calls = [sink.on_failure for sink in sinks]

    def directly() -> None:
        for one in some:
            for call in calls:
                call(one)

    def through_hub() -> None:
        take = FailureHub(CompositeFailureTelemetry(*sinks), observation=_ALL).escalated
        for one in some:
            take(one)

    took, raw = least([through_hub, directly], repeat=4 * bench.repeat)
    yield Row(
        name="failure through the hub to three cheap sinks",
        value=took / len(some) * MICROSECONDS,
        unit="µs",
        limit=raw / len(some) * MICROSECONDS,
        limit_name="three calls",
        most=2,
    )


def _without_failures(bench: Bench) -> Iterator[Row]:
    """Measure the engine alone, where a node is cheapest and a watch would weigh most."""
    nodes = 200
    plan = compile_flow(shapes.chain(nodes))
    late = LateWatch(lambda: (_ for _ in ()).throw(AssertionError("nothing failed")))

    def run(watch: LateWatch | None) -> None:
        run_id = new_run_id()
        request = RunRequest(plan=plan, run_id=run_id, watch=watch)
        run_to_end(Run(request, MemoryStore().open_journal(run_id)).execute)

    repeat = bench.size(20 * bench.repeat, 60)
    watched, bare = least([partial(run, late), partial(run, None)], repeat=repeat)
    yield Row(
        name=f"node of a chain of {nodes:,} without a failure, watched",
        value=watched / nodes * MICROSECONDS,
        unit="µs",
        limit=bare / nodes * MICROSECONDS,
        limit_name="not watched",
        most_ratio=1.02,
    )


def _stored(bench: Bench) -> Iterator[Row]:
    """Measure very many equal failures, from exception to file, batch by batch into one file."""
    count = bench.size(100_000, 10_000)
    some, flood = broken.errors(bench.folder), StoreLimits().flood
    every = SqliteFailureLog(bench.folder / "every.db", limits=StoreLimits(flood=0))
    few = SqliteFailureLog(bench.folder / "few.db")

    def store(log: SqliteFailureLog) -> None:
        log.record([broken.failure(next(some)) for _ in range(_BATCH)])

    store(every)
    with _same_rows(every.path, bench.folder / "same_rows.db") as insert:
        works: list[limits.Work] = [partial(store, every), partial(store, few), insert]
        *taken, raw = medians(works, repeat=count // _BATCH - 2)
    named = ((every, "each with a record"), (few, f"{flood} records a minute"))
    for (log, name), took in zip(named, taken, strict=True):
        shared_store(log.path).close()
        log.close()
        yield Row(
            name=f"one of {count:,} equal failures, captured and stored, {name}",
            value=took / _BATCH * MICROSECONDS,
            unit="µs",
            limit=raw / _BATCH * MICROSECONDS,
            limit_name="executemany",
            most=6 / 100_000 * MICROSECONDS,
        )
        size = log.path.stat().st_size / count
        yield Row(name=f"disk for each of them, {name}", value=size, unit="B", most=400)


@contextmanager
def _same_rows(source: Path, target: Path) -> Iterator[limits.Work]:
    """Give one transaction that inserts a batch of a store's failures, with the same indexes."""
    with closing(sqlite3.connect(source)) as db:
        rows = db.execute("SELECT * FROM failure").fetchall()
        query = "SELECT sql FROM sqlite_master WHERE tbl_name = 'failure' AND sql <> ''"
        schema = [sql for (sql,) in db.execute(query)]
    marks, numbers = ", ".join("?" * len(rows[0])), itertools.count()
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for statement in schema:
            db.execute(statement)

        def work() -> None:
            batch = [(None, f"F-{next(numbers):026}", *row[2:]) for row in rows]
            db.execute("BEGIN")
            db.executemany(f"INSERT INTO failure VALUES ({marks})", batch)
            db.execute("COMMIT")

        yield work


def _durable(bench: Bench) -> Iterator[Row]:
    count = 1_000
    log = SqliteEventLog(bench.folder / "events.db")
    stream = ResilientEventStream(log)

    def emit() -> None:
        for number in range(count):
            stream.emit("action", "bench", {"order": number}, tags=["shop"])

    with limits.commits(bench.folder, count) as commits:
        took, raw = least([emit, commits], repeat=bench.repeat)
    yield Row(
        name="event emitted, durable",
        value=took / count * MICROSECONDS,
        unit="µs",
        limit=raw / count * MICROSECONDS,
        limit_name="bare commit",
        most=60,
    )
    log.close()
    yield from _terminal(bench)


def _terminal(bench: Bench) -> Iterator[Row]:
    log = SqliteFailureLog(bench.folder / "terminal.db", limits=StoreLimits(flood=0))
    rounds = bench.size(300, 50)
    some = map(broken.failure, broken.errors(bench.folder))
    letters = iter(broken.letters(rounds + 1))
    with limits.commits(bench.folder, 1, synchronous="FULL") as commit:
        works: list[limits.Work] = [lambda: log.record([next(some)], [next(letters)]), commit]
        took, raw = medians(works, repeat=rounds)
    log.close()
    yield Row(
        name="failure at its end and its dead letter, survive power loss",
        value=took * MICROSECONDS,
        unit="µs",
        limit=raw * MICROSECONDS,
        limit_name="commit with fsync",
        most=1_000,
    )


_FREE_AGAIN = (
    "UPDATE dead_letter SET state = 'open', generation = 0, claimer = ''",
    "DELETE FROM redrive",
)


def _claimed(bench: Bench) -> Iterator[Row]:
    count = bench.size(10_000, 1_000)
    path = bench.folder / "claims.db"
    with closing(SqliteFailureLog(path)) as log:
        log.record([], broken.letters(count))
    claims = SqliteDeadLetters(path)
    wanted = FailureFilter(category="transient")
    redrive = Redrive(dl_id="", generation=0, batch_id="B-1", actor="bench")

    def claim() -> None:
        while claims.claim(wanted, redrive, limit=_BATCH):
            pass

    with closing(sqlite3.connect(path, isolation_level=None)) as db:

        def free() -> None:
            for statement in _FREE_AGAIN:
                db.execute(statement)

        def update() -> None:
            free()
            began = "UPDATE dead_letter SET state = 'redriving', generation = generation + 1"
            db.execute(f"{began} WHERE state = 'open' RETURNING body").fetchall()

        _, took, _, raw, back = least([free, claim, free, update, free], repeat=bench.repeat)
    claims.close()
    yield Row(
        name=f"one of {count:,} dead letters, claimed and in the audit trail",
        value=took / count * MICROSECONDS,
        unit="µs",
        limit=max(raw - back, back) / count * MICROSECONDS,
        limit_name="UPDATE … RETURNING",
    )


def _shown(bench: Bench) -> Iterator[Row]:
    """Measure what a user waits for who asks what hurts most."""
    count, path = bench.size(100_000, 10_000), bench.folder / "groups.db"
    one = broken.failure(next(broken.errors(bench.folder)))
    some = broken.failures_of_a_week(one, count, groups=200)
    with closing(SqliteFailureLog(path, limits=StoreLimits(flood=0))) as log:
        for first in range(0, count, _BATCH):
            log.record(some[first : first + _BATCH])
    shared_store(path).close()
    tailrace = str(Path(sys.executable).with_name("tailrace"))
    command = (tailrace, "failures", "groups", "--db", str(path))
    works = [partial(_process, bench.folder, each) for each in (command, _NOTHING)]
    took, raw = medians(works, repeat=bench.repeat + 2)
    yield Row(
        name=f"tailrace failures groups, {count:,} failures",
        value=took * MILLISECONDS,
        unit="ms",
        limit=raw * MILLISECONDS,
        limit_name="python -c pass",
        most=500,
    )


_NOTHING = (sys.executable, "-c", "pass")


def _process(folder: Path, command: tuple[str, ...]) -> None:
    subprocess.run(command, check=True, cwd=folder, capture_output=True)


def _redriven(bench: Bench) -> Iterator[Row]:
    count = bench.size(100, 20)
    flow, path = broken.shop(bench.folder), bench.folder / "shop.db"
    mended = bench.folder / "mended"
    for item in range(count):
        execute(flow, RunOptions(params={"item": item}, db=path))
    mended.touch()

    def redrive() -> None:
        start_batch(path, wanted=FailureFilter(), actor="bench")

    def run() -> None:
        for item in range(count):
            execute(flow, RunOptions(params={"item": item}, db=path))

    with closing(sqlite3.connect(path, isolation_level=None)) as db:

        def free() -> None:
            for statement in _FREE_AGAIN:
                db.execute(statement)

        took, raw, _ = least([redrive, run, free], repeat=bench.size(5, 2))
    mended.unlink()
    yield Row(
        name=f"redrive of one of {count:,} letters, the failed node run again",
        value=took / count * MILLISECONDS,
        unit="ms",
        limit=raw / count * MILLISECONDS,
        limit_name="run",
    )
