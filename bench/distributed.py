"""The measurements of distributed runs: real processes on one machine, over HTTP."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import nats
from msgspec.structs import replace

from cluster import HERE, Client, connected, gateway, kill, nats_server, worker
from row import Row
from tailrace.jetstream.names import Names
from tailrace.jetstream.resources import Limits, ensure
from tailrace.jetstream.states import JetStreamStates
from tailrace.model import (
    AnyRecord,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunStarted,
    RunStatus,
    ShapeDeclared,
    new_run_id,
)
from tailrace.model.remote import Job, RunState
from tailrace.tracing.wire import encode

if TYPE_CHECKING:
    from suites import Bench

MILLISECONDS = 1e3
_OPEN = 64
"""Requests under way at once, and connections of the load."""
_ACK_WAIT = 2
_IDLE, _CLOSE = 0.1, 0.01
"""Seconds between runs: until the one before is in the index, and while it is being taken in."""
_BODY = b"x" * 300


def distributed(bench: Bench) -> Iterator[Row]:
    """Runs per second, latencies, lists of many runs, and how soon a lost worker is replaced."""
    for sync, most in (("1s", 1_500.0), ("always", None)):
        folder = bench.folder / f"nats-{sync}"
        with nats_server(folder, sync) as url:
            yield from _throughput(bench, folder, url, sync, most)
            if sync == "1s":
                yield from _latencies(bench, folder, url)
                yield from _takeover(folder, url)
                yield from _lists(bench, folder, url)


def _throughput(
    bench: Bench, folder: Path, url: str, sync: str, most: float | None
) -> Iterator[Row]:
    runs = _runs(bench)
    raw = asyncio.run(_raw(url, runs))
    with gateway(folder / "a", url) as address, worker(folder / "a", url, "w1"):
        _load(address, _OPEN)  # connects, compiles, warms up
        submitted, done = _load(address, runs)
    yield Row(
        name=f"runs of one node submitted per second, sync {sync}",
        value=runs / submitted,
        unit="per s",
        is_rate=True,
    )
    yield Row(
        name=f"runs of one node done per second, sync {sync}",
        value=runs / done,
        unit="per s",
        limit=raw,
        limit_name="publish, pull, ack",
        most=most,
        is_rate=True,
    )


def _runs(bench: Bench) -> int:
    return bench.size(20_000, 2_000) // _OPEN * _OPEN


def _load(address: str, runs: int) -> tuple[float, float]:
    command = [sys.executable, str(HERE / "load.py"), address, str(runs), str(min(_OPEN, runs))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=HERE)
    submitted, ended = done.stdout.split()
    return float(submitted), float(ended)


async def _raw(url: str, count: int) -> float:
    """Return how many messages per second are published, pulled and acknowledged by nats-py."""
    client = await nats.connect(url)
    stream = client.jetstream(timeout=30)
    await stream.add_stream(name="raw", subjects=["raw.>"], retention="workqueue")
    pull = await stream.pull_subscribe("raw.>", durable="raw")
    started = time.perf_counter()

    async def publish(first: int) -> None:
        for number in range(first, count, _OPEN):
            await stream.publish(f"raw.{number}", _BODY)

    async def take() -> None:
        left = count
        while left:
            for message in await pull.fetch(min(left, 100), timeout=30):
                await message.ack()
                left -= 1
        await client.flush()

    await asyncio.gather(take(), *map(publish, range(_OPEN)))
    taken = time.perf_counter() - started
    await stream.delete_stream("raw")
    await client.close()
    return count / taken


def _latencies(bench: Bench, folder: Path, url: str) -> Iterator[Row]:
    count = bench.size(300, 40)
    with gateway(folder / "b", url) as address, worker(folder / "b", url, "w2"):
        asyncio.run(_made(address, _runs(bench)))  # idle is who has nothing left to do
        asyncio.run(_traced(folder / "b" / "index.db"))
        done = asyncio.run(_submit_to_done(address, count, _IDLE))
        close = asyncio.run(_submit_to_done(address, count, _CLOSE))
        seen = asyncio.run(_watched(address, url, count))
    yield Row(
        name="submit to done when idle, p50",
        value=median(done) * MILLISECONDS,
        unit="ms",
        most=10,
    )
    yield Row(
        name=f"the same {_CLOSE * MILLISECONDS:.0f} ms after the run before, p50",
        value=median(close) * MILLISECONDS,
        unit="ms",
    )
    yield Row(
        name="a change reaches who watches, p95",
        value=_p95(seen) * MILLISECONDS,
        unit="ms",
        most=20,
    )


async def _submit_to_done(address: str, count: int, pause: float) -> list[float]:
    client, taken = await Client.connect(address), list[float]()
    for _ in range(count):
        await asyncio.sleep(pause)
        started = time.perf_counter()
        _, body = await client.ask("POST", "/runs", {"flow_name": "one", "params": {"n": 1}})
        run_id = json.loads(body)["run_id"]
        stream = await Client.connect(address)
        stream.send("GET", f"/runs/{run_id}/watch")
        await stream.reader.readuntil(b'"COMPLETED"')
        taken.append(time.perf_counter() - started)
        stream.close()
    return taken


async def _watched(address: str, url: str, count: int) -> list[float]:
    """Return the seconds from the storing of a state until an event of it has come."""
    link, names = await connected(url), Names()
    states = JetStreamStates(link, names)
    job = Job(run_id=new_run_id(), flow_name="none", tag="nobody", submitted_at=time.time())
    state = RunState(job=job, status="RUNNING", worker_id="nobody")
    sequence = await states.write(state, expected=0)
    stream = await Client.connect(address)
    stream.send("GET", f"/runs/{job.run_id}/watch")
    await stream.reader.readuntil(b'"RUNNING"')
    taken = []
    for number in range(count):
        await asyncio.sleep(0.02)
        mark = f"mark-{number}-"
        started = time.perf_counter()
        sequence = await states.write(replace(state, error=mark), expected=sequence)
        await stream.reader.readuntil(mark.encode())
        taken.append(time.perf_counter() - started)
    stream.close()
    await link.close()
    return taken


def _takeover(folder: Path, url: str) -> Iterator[Row]:
    marks = folder / "marks"
    marks.mkdir()
    options = ("--ack-wait", f"{_ACK_WAIT}s")
    with (
        gateway(folder / "c", url) as address,
        worker(folder / "c1", url, "first", "--tags", "lost", *options) as first,
    ):
        body = {"flow_name": "two", "params": {"n": 1, "folder": str(marks)}, "tag": "lost"}
        asyncio.run(_ask(address, lambda client: client.ask("POST", "/runs", body)))
        _wait_for(marks / "first")
        with worker(folder / "c2", url, "second", "--tags", "lost", *options):
            _wait_for(folder / "c2" / "second.log")
            time.sleep(1)  # it is ready, and idle
            started = time.perf_counter()
            kill(first)
            _wait_for(marks / "second")
            taken = time.perf_counter() - started
    yield Row(
        name=f"a killed worker's run goes on elsewhere, ack wait {_ACK_WAIT} s",
        value=taken,
        unit="s",
        most=_ACK_WAIT + 2,
    )


def _wait_for(file: Path) -> None:
    end = time.monotonic() + 60
    while not file.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{file} did not come")
        time.sleep(0.005)


async def _ask(address: str, question: Callable[[Client], Awaitable[object]]) -> None:
    client = await Client.connect(address)
    await question(client)
    client.close()


def _lists(bench: Bench, folder: Path, url: str) -> Iterator[Row]:
    runs = bench.size(100_000, 5_000)
    asyncio.run(_fill(url, runs))
    started = time.perf_counter()
    with gateway(folder / "d", url) as address:
        made = asyncio.run(_made(address, runs)) - started
        yield Row(name=f"an index of {runs:,} runs made from nothing: lists", value=made, unit="s")
        made = asyncio.run(_traced(folder / "d" / "index.db")) - started
        yield Row(name=f"an index of {runs:,} runs made from nothing: traces", value=made, unit="s")
        for name, path in _PAGES:
            taken = asyncio.run(_timed(address, path, bench.size(200, 40)))
            yield Row(
                name=f"page of 50 of {runs:,} runs, {name}, p95",
                value=_p95(taken) * MILLISECONDS,
                unit="ms",
                most=20,
            )


_PAGES = (
    ("all", "/runs?limit=50"),
    ("by status, which few have", "/runs?limit=50&status=FAILED"),
    ("by flow, tag and status", "/runs?limit=50&flow=flow3&tag=gpu&status=COMPLETED"),
    ("that nobody has", "/runs?limit=50&flow=flow3&status=CANCELLED"),
    ("by workflow", f"/runs?limit=50&workflow_yaml_sha256={7:064x}"),
)


async def _fill(url: str, runs: int) -> None:
    """Store states of runs that have ended, as workers leave them."""
    link, names = await connected(url), Names()
    await ensure(link, names, Limits())
    states = JetStreamStates(link, names)

    async def write(first: int) -> None:
        for number in range(first, runs, 200):
            await states.write(_ended(number), expected=0)

    await asyncio.gather(*map(write, range(200)))
    await link.close()


def _ended(number: int) -> RunState:
    run_id, at = new_run_id(), time.time_ns()
    begun: list[AnyRecord] = [
        RunStarted(run_id, f"flow{number % 7}", "h", "m:one", at, {"n": 1}, "http", number + 1),
        ShapeDeclared(1, "m:one", {}),
        NodeStarted(2, 3, 1, 1, "one", "", at + 1_000, {"n": 1}),
    ]
    over: list[AnyRecord] = [
        NodeFinished(2, 3, NodeState.SUCCEEDED, at + 2_000, "one", b"1", "json", 1, "stored"),
        RunFinished(at + 3_000, RunStatus.COMPLETED),
    ]
    job = Job(
        run_id=run_id,
        flow_name=f"flow{number % 7}",
        tag=("cpu", "gpu")[number % 2],
        params={"n": 1},
        submitted_at=at / 1e9,
        workflow_yaml_sha256=f"{number % 1000:064x}",
    )
    return RunState(
        job=job,
        status="FAILED" if number % 1000 == 0 else "COMPLETED",
        worker_id="w1",
        claims=1,
        batches=2,
        journal=(encode(begun), encode(over)),
        updated_at=at / 1e9,
    )


async def _made(address: str, runs: int) -> float:
    """Return when the oldest of the runs was listed."""
    client = await Client.connect(address)
    path = "/metrics"
    while True:
        _, body = await client.ask("GET", path)
        found = sum(
            int(float(line.rpartition(" ")[2]))
            for line in body.decode().splitlines()
            if line.startswith("pyoco_runs_total{")
        )
        if found >= runs:
            client.close()
            return time.perf_counter()
        await asyncio.sleep(0.02)


async def _traced(index: Path) -> float:
    """Return when the traces of all that is listed were made."""
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as db:
        while True:
            row = db.execute(
                "SELECT seq, traced FROM remote_position WHERE stream LIKE '%-runs'"
            ).fetchone()
            if row[0] == row[1]:
                return time.perf_counter()
            await asyncio.sleep(0.05)


async def _timed(address: str, path: str, count: int) -> list[float]:
    client, taken = await Client.connect(address), list[float]()
    for _ in range(count):
        started = time.perf_counter()
        await client.ask("GET", path)
        taken.append(time.perf_counter() - started)
    client.close()
    return taken


def _p95(taken: Sequence[float]) -> float:
    return quantiles(taken, n=20)[-1]
