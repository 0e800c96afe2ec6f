"""The measurements: each function gives some rows of the table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import limits
import shapes
from distributed import distributed
from failures import failures
from own_spans import spans
from resume import resumes
from row import Row, least, medians
from search import searches
from search_large import large_searches
from tailrace import Flow
from tailrace.flows.compile import compile_flow
from tailrace.model import Durability, RunId
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.testing import MemoryStore

HERE = Path(__file__).resolve().parent
MICROSECONDS = 1e6
MILLISECONDS = 1e3
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where to measure, and how long."""

    folder: Path
    quick: bool = False

    @property
    def repeat(self) -> int:
        """Rounds in which all works of a table row take their turn."""
        return 3 if self.quick else 15

    def size(self, full: int, quick: int) -> int:
        """Return one of two sizes."""
        return quick if self.quick else full


def run(flow: Flow, **options: Any) -> limits.Work:
    """Return the work of one whole run."""
    return partial(flow.run, **options)


def chains(bench: Bench) -> Iterator[Row]:
    """Cost of a node in a chain, by what is promised about it, and of a run around it.

    A node costs what a chain takes beyond a run of one node, divided by the further nodes.
    """
    count = 1_000
    one = shapes.chain(1)
    for nodes in (100, 1_000):
        flow = shapes.chain(nodes)
        durable = {"db": bench.folder / "durable.db"}
        relaxed = {"db": bench.folder / "relaxed.db", "durability": Durability.RELAXED}
        memory = {"store": MemoryStore()}
        promises: tuple[tuple[str, dict[str, Any], float | None, float | None], ...] = (
            ("durable", durable, 50, 2.5),
            ("relaxed", relaxed, None, None),
            ("in memory", memory, 15, None),
        )
        works = [run(each, **options) for _, options, _, _ in promises for each in (one, flow)]
        with limits.commits(bench.folder, count) as commits:
            raw, *taken = least([commits, *works], repeat=bench.repeat)
        bare = raw / count * MICROSECONDS
        if nodes == 100:
            yield Row(name="bare commit: one INSERT, WAL", value=bare, unit="µs")
        for index, (promise, _, most, most_ratio) in enumerate(promises):
            alone, chain = taken[2 * index : 2 * index + 2]
            if nodes == 100:
                yield Row(
                    name=f"run of one node, {promise}, traced",
                    value=alone * MICROSECONDS,
                    unit="µs",
                    limit=bare,
                    limit_name="bare commit",
                )
            yield Row(
                name=f"node of a chain of {nodes:,}, {promise}, traced",
                value=(chain - alone) / (nodes - 1) * MICROSECONDS,
                unit="µs",
                limit=bare,
                limit_name="bare commit",
                most=most,
                most_ratio=most_ratio,
            )
    yield from _power(bench)


def _power(bench: Bench) -> Iterator[Row]:
    nodes, count = 100, 100
    flow, db = shapes.chain(nodes), bench.folder / "power.db"
    with limits.commits(bench.folder, count, synchronous="FULL") as commits:
        works = [commits, run(flow, db=db, durability=Durability.POWER)]
        raw, took = least(works, repeat=bench.repeat)
    yield Row(
        name=f"node of a chain of {nodes}, survives power loss",
        value=took / nodes * MICROSECONDS,
        unit="µs",
        limit=raw / count * MICROSECONDS,
        limit_name="commit with fsync",
    )


def scale(bench: Bench) -> Iterator[Row]:
    """Cost per node of a long chain against that of a short one."""
    few, many = 100, bench.size(10_000, 3_000)
    short, long = shapes.chain(few), shapes.chain(many)
    db = bench.folder / "scale.db"
    pairs: tuple[tuple[str, float, list[limits.Work]], ...] = (
        ("node of a chain of {}, durable", 1.2, [run(short, db=db), run(long, db=db)]),
        (
            "node of a chain of {}, in memory",
            1.2,
            [run(short, store=MemoryStore()), run(long, store=MemoryStore())],
        ),
        (
            "compiling a chain of {}, per node",
            1.2,
            [partial(_compile, short), partial(_compile, long)],
        ),
    )
    for name, most_ratio, works in pairs:
        base, took = least(works, repeat=bench.repeat)
        yield Row(
            name=name.format(f"{many:,}"),
            value=took / many * MICROSECONDS,
            unit="µs",
            limit=base / few * MICROSECONDS,
            limit_name=f"chain of {few}",
            most_ratio=most_ratio,
        )


def _compile(flow: Flow) -> None:
    """Compile a flow anew: the plan of one that is known would only be looked up."""
    compile_flow(copy(flow))


def loops(bench: Bench) -> Iterator[Row]:
    """Time and memory of a long loop, each in a process of its own."""
    few, many, count = 1_000, bench.size(100_000, 10_000), 1_000
    large = _loop_process(bench, many)
    small = _loop_process(bench, few)
    with limits.commits(bench.folder, count) as commits:
        (raw,) = least([commits], repeat=bench.repeat)
    yield Row(
        name=f"item of a foreach of {many:,}, durable, traced",
        value=large["seconds"] / many * MICROSECONDS,
        unit="µs",
        limit=raw / count * MICROSECONDS,
        limit_name="bare commit",
    )
    yield Row(
        name=f"memory of a foreach of {many:,}",
        value=large["memory"] / MEGABYTE,
        unit="MB",
        limit=small["memory"] / MEGABYTE,
        limit_name=f"foreach of {few:,}",
        most=small["memory"] / MEGABYTE + 30,
    )


def _loop_process(bench: Bench, items: int) -> dict[str, float]:
    db = bench.folder / f"loop-{items}.db"
    command = [sys.executable, str(HERE / "loop_memory.py"), str(items), str(db)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def groups(bench: Bench) -> Iterator[Row]:
    """Cost of one member of a wide group."""
    width = 100
    for name, member, limit, limit_name in (
        ("functions", shapes.pass_on, limits.thread_calls(width, threads=8), "thread pool"),
        ("coroutines", shapes.pass_on_async, limits.gathered(width), "asyncio.gather"),
    ):
        flow, db = shapes.group(width, member), bench.folder / "group.db"
        with limit as calls:
            works = [calls, run(flow, db=db), run(flow, store=MemoryStore())]
            raw, durable, memory = least(works, repeat=bench.repeat)
        for promise, took in (("durable", durable), ("in memory", memory)):
            yield Row(
                name=f"one of {width} {name} in a group, {promise}",
                value=took / width * MICROSECONDS,
                unit="µs",
                limit=raw / width * MICROSECONDS,
                limit_name=limit_name,
            )


def rows(bench: Bench) -> Iterator[Row]:
    """Span rows per second into the store, from the journal of a real run."""
    memory = MemoryStore()
    run_id = RunId(shapes.chain(bench.size(5_000, 1_000)).run(store=memory).run_id)
    records = memory.records(run_id)
    spans = len(memory.trace(run_id).spans)
    path = bench.folder / "rows.db"

    def write() -> None:
        path.unlink(missing_ok=True)
        store = SqliteStore(path, durability=Durability.RELAXED)
        journal = store.open_journal(run_id)
        for first in range(0, len(records), 256):
            journal.append(records[first : first + 256])
        journal.close()
        store.close()

    with limits.executemany(bench.folder, spans) as insert:
        raw, took = least([insert, write], repeat=bench.repeat)
    yield Row(
        name="span rows into the store",
        value=spans / took,
        unit="rows/s",
        limit=spans / raw,
        limit_name="raw executemany",
        is_rate=True,
    )
    size = path.stat().st_size / spans
    yield Row(name="disk per span, checkpoints included", value=size, unit="B")


def processes(bench: Bench) -> Iterator[Row]:
    """Whole processes, as a user waits for them."""
    tailrace = shutil.which("tailrace", path=str(Path(sys.executable).parent))
    assert tailrace is not None, "install the package first"  # noqa: S101 - make does
    db = bench.folder / "show.db"
    shapes.chain(49).run(db=db)
    reader = SqliteTraceReader(db)
    spans = len(reader.trace(reader.resolve("@last")).spans)
    reader.close()
    (bench.folder / "three.py").write_text(THREE_NODES, "utf-8")
    commands = (
        ("python -c pass", (sys.executable, "-c", "pass"), None, None),
        ("tailrace --help", (tailrace, "--help"), 150, 4),
        (
            f"tailrace trace show, {spans} spans",
            (tailrace, "trace", "show", "--db", str(db)),
            300,
            None,
        ),
        ("tailrace run, 3 nodes", (tailrace, "run", "three.py", "--no-diary"), None, None),
    )
    works = [partial(_process, bench.folder, command) for _, command, _, _ in commands]
    taken = [took * MILLISECONDS for took in medians(works, repeat=bench.repeat + 2)]
    for (name, _, most, most_ratio), took in zip(commands, taken, strict=True):
        is_limit = took is taken[0]
        yield Row(
            name=name,
            value=took,
            unit="ms",
            limit=None if is_limit else taken[0],
            limit_name="python -c pass",
            most=most,
            most_ratio=most_ratio,
            either=True,
        )


_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Not for these: a user's Python keeps the modules it has compiled."""


def _process(folder: Path, command: tuple[str, ...]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != _NO_BYTECODE}
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)


THREE_NODES = '''\
"""Three tasks in a row."""
from tailrace import Flow, task

@task
def one() -> int:
    return 1

@task
def two(one: int) -> int:
    return one + 1

@task
def three(two: int) -> int:
    return two + 1

flow = Flow("three", one >> two >> three)
'''

SUITES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "chains": chains,
    "scale": scale,
    "loops": loops,
    "groups": groups,
    "rows": rows,
    "failures": failures,
    "resume": resumes,
    "processes": processes,
    "search": searches,
    "search_large": large_searches,
    "spans": spans,
    "distributed": distributed,
}
LARGE = frozenset({"search_large"})
"""Suites that take minutes by themselves: run only where they are named."""
