"""Workers that die, freeze and lose their server: nothing is lost, and nothing finished repeats."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from effort import times
from jetstream_server import NatsServer
from tailrace.model import NodeState
from tailrace.model.journal import NodeFinished
from waiting import wait_until
from workers import Cluster, cluster

FLOWS = """
import os, time
from pathlib import Path
from tailrace import Context, Flow, Policy, Retry, foreach, task

def note(name, text):
    with open(name, "a") as file:
        file.write(f"{text}\\n")

def effect(ctx, seconds=0.02):
    note("effects", f"{os.getpid()} {ctx.idempotency_key}")
    time.sleep(seconds)

@task
def begin(ctx: Context):
    effect(ctx)
    return [1, 2, 3]

@task
def each(item, ctx: Context):
    effect(ctx)
    return item * 2

@task
def left(ctx: Context):
    effect(ctx)
    return "left"

@task
def right(ctx: Context):
    effect(ctx, 0.05)
    return "right"

@task
def end(left, right, ctx: Context):
    effect(ctx)
    return f"{left} {right}"

@task
def waits(ctx: Context):
    note("begun", f"{os.getpid()} {ctx.attempt}")
    while not Path("go").exists():
        time.sleep(0.01)
    return "waited"

@task
def suicide(ctx: Context):
    note("begun", os.getpid())
    os._exit(9)

@task
def spins():
    note("begun", os.getpid())
    sum(range(10 ** 12))  # in C, with the interpreter's lock held

@task
def numbers():
    return list(range(300))

@task
def counts(item, ctx: Context):
    note("counted", item)
    for number in range(50):
        ctx.log.warning("line %d of %d", number, item)
    return item

@task
def heavy(item):
    note("heavy", item)
    return os.urandom(200_000)

weighty = Flow("weighty", numbers >> foreach("results.numbers", item="item", name="loop")(heavy))
steady = Flow("steady", numbers >> foreach("results.numbers", item="item", name="loop",
                                           concurrency=4)(counts))
many = Flow("many", begin >> foreach("results.begin", item="item", name="loop")(each)
            >> (left & right) >> end)
long = Flow("long", begin >> waits)
killer = Flow("killer", begin >> suicide)
hog = Flow("hog", spins)
quick = Flow("quick", left)
"""
EFFECTS = 7
"""Lines that a run of ``many`` writes, if nothing of it is repeated."""


@pytest.fixture
def site(tmp_path: Path, nats_server: NatsServer, nats_prefix: str) -> Iterator[Cluster]:
    with cluster(tmp_path, nats_server.url, nats_prefix, FLOWS) as found:
        yield found


def finished_twice(site: Cluster, run_id: str) -> list[str]:
    """Return the nodes of a run that have finished more than once."""
    counts = Counter(
        record.path
        for record in site.queue.records(run_id)
        if isinstance(record, NodeFinished) and record.state is NodeState.SUCCEEDED
    )
    return [path for path, count in counts.items() if count > 1]


def put_to_work(site: Cluster, pid: int) -> list[str]:
    """Queue runs until this worker is at one of them, and return them."""
    runs: list[str] = []
    begun = len(site.lines("effects"))

    def is_busy() -> bool:
        return any(line.startswith(f"{pid} ") for line in site.lines("effects")[begun:])

    def is_busy_or_too_late() -> bool:
        return is_busy() or len(site.lines("effects")) - begun >= EFFECTS * len(runs)

    while not is_busy():
        runs += [site.queue.submit("many") for _ in range(6)]
        wait_until(is_busy_or_too_late, "runs are under way")
    return runs


def test_killed_at_random_instants_workers_lose_nothing_and_finish_no_node_twice(
    site: Cluster,
) -> None:
    random.seed(7)
    kills = times(6)
    # A run that chance hits each time is no poison here.
    (site.folder / "tailrace.toml").write_text(f"[failures]\npoison_limit = {kills + 1}\n")
    runs: list[str] = []
    numbers = count()
    workers = [site.start(f"w{next(numbers)}", "--concurrency", "2") for _ in range(2)]
    for _ in range(kills):
        victim = workers.pop(0)
        runs += put_to_work(site, victim.pid)
        time.sleep(random.uniform(0, 0.15))  # the instant is what is random here
        victim.kill()
        victim.wait(60)
        workers.append(site.start(f"w{next(numbers)}", "--concurrency", "2"))
    crashes = 0
    for run_id in runs:
        state = site.queue.ended(run_id, seconds=60)
        crashes += state.crashes
        assert (state.status, state.output) == ("COMPLETED", "left right")
        assert finished_twice(site, run_id) == []
        assert all(span.end_ns is not None for span in site.queue.trace(run_id).spans)
    assert crashes > 0
    keys = Counter(line.split()[1] for line in site.lines("effects"))
    again = sum(number - 1 for number in keys.values())
    assert again <= 2 * kills * 2  # what was under way, no more


def test_a_killed_worker_is_replaced_when_its_claim_has_lapsed(site: Cluster) -> None:
    first = site.start("w1")
    run_id = site.queue.submit("long")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    site.start("w2")
    first.kill()
    wait_until(lambda: len(site.lines("begun")) == 2, "another worker goes on")
    (site.folder / "go").touch()
    state = site.queue.ended(run_id)
    assert (state.status, state.claims, state.crashes) == ("COMPLETED", 2, 1)
    assert [line.split()[1] for line in site.lines("begun")] == ["1", "1"]
    spans = site.queue.trace(run_id).spans
    lost = [span for span in spans if span.attributes.get("tailrace.class") == "worker_lost"]
    assert [span.name for span in lost] == ["node waits", "attempt waits"]
    assert [span.name for span in spans].count("node begin") == 1


def test_a_frozen_worker_that_wakes_up_changes_nothing(site: Cluster) -> None:
    first = site.start("w1")
    run_id = site.queue.submit("long")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    os.kill(first.pid, signal.SIGSTOP)
    site.start("w2")
    wait_until(lambda: len(site.lines("begun")) == 2, "another worker goes on")
    (site.folder / "go").touch()
    before = site.queue.ended(run_id)
    records = site.queue.records(run_id)
    os.kill(first.pid, signal.SIGCONT)
    wait_until(lambda: "taken over by another worker" in site.said("w1"), "the zombie notices")
    assert site.queue.ended(run_id) == before
    assert site.queue.records(run_id) == records
    quick = site.queue.submit("quick")
    assert site.queue.ended(quick).status == "COMPLETED"


def test_a_run_that_kills_its_workers_ends_as_poison(site: Cluster) -> None:
    run_id = site.queue.submit("killer")
    for number in range(3):
        worker = site.start(f"w{number}")
        assert worker.wait(30) == 9
    site.start("w9")
    state = site.queue.ended(run_id, seconds=60)
    assert (state.status, state.crashes) == ("FAILED", 3)
    assert "taken down 3 workers" in (state.error or "")
    assert len(site.lines("begun")) == 3
    wait_until(lambda: not site.queue.waiting(), "the message is settled")
    (letter,) = site.queue.letters()
    assert (letter.reason, letter.run_id) == ("poison", run_id)
    assert site.queue.ended(site.queue.submit("quick")).status == "COMPLETED"


def test_a_task_that_never_lets_the_interpreter_go_loses_its_claim(site: Cluster) -> None:
    first = site.start("w1")
    run_id = site.queue.submit("hog")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    site.start("w2")
    wait_until(lambda: len(site.lines("begun")) == 2, "another worker goes on")
    state = site.queue.state(run_id)
    assert state is not None
    assert (state.worker_id, state.crashes) == ("w2", 1)
    first.kill()


def test_a_server_that_is_killed_and_comes_back_is_waited_for(
    tmp_path: Path, own_nats_server: NatsServer, nats_prefix: str
) -> None:
    with cluster(tmp_path, own_nats_server.url, nats_prefix, FLOWS, ack_wait=10) as site:
        site.start("w1")
        run_id = site.queue.submit("long")
        wait_until(lambda: site.lines("begun"), "the task has begun")
        own_nats_server.kill()
        (site.folder / "go").touch()
        spool = tmp_path / ".tailrace" / "spool" / "w1"
        wait_until(lambda: list(spool.glob("*")), "the end of the run is on disk")
        own_nats_server.start()
        state = site.queue.ended(run_id, seconds=60)
        assert (state.status, state.claims) == ("COMPLETED", 1)
        assert len(site.lines("begun")) == 1
        wait_until(lambda: not list(spool.glob("*")), "the spool is empty")
        assert finished_twice(site, run_id) == []


def test_what_a_killed_worker_has_spooled_is_shipped_by_the_next_one(
    tmp_path: Path, own_nats_server: NatsServer, nats_prefix: str
) -> None:
    with cluster(tmp_path, own_nats_server.url, nats_prefix, FLOWS, ack_wait=3) as site:
        first = site.start("w1")
        run_id = site.queue.submit("long")
        wait_until(lambda: site.lines("begun"), "the task has begun")
        site.queue.running(run_id, "waits")  # so that no write is under way
        own_nats_server.kill()
        (site.folder / "go").touch()
        spool = tmp_path / ".tailrace" / "spool" / "w1"
        wait_until(lambda: list(spool.glob("*")), "the end of the run is on disk")
        first.kill()
        first.wait(60)
        own_nats_server.start()
        site.start("w1")
        state = site.queue.ended(run_id, seconds=60)
        assert state.status == "COMPLETED"
        assert len(site.lines("begun")) == 1
        assert finished_twice(site, run_id) == []


def test_killed_while_its_server_is_away_a_worker_repeats_nothing_that_was_stored(
    tmp_path: Path, own_nats_server: NatsServer, nats_prefix: str
) -> None:
    with cluster(tmp_path, own_nats_server.url, nats_prefix, FLOWS, ack_wait=3) as site:
        first = site.start("w1")
        run_id = site.queue.submit("steady")
        wait_until(lambda: len(counted(site, run_id)) > 20, "some nodes have finished")
        before = counted(site, run_id)
        own_nats_server.kill()
        spool = tmp_path / ".tailrace" / "spool" / "w1"
        wait_until(lambda: list(spool.glob("*")), "what is behind the write is on disk")
        first.kill()
        first.wait(60)
        own_nats_server.start()
        site.start("w1")
        assert site.queue.ended(run_id, seconds=60).status == "COMPLETED"
        after = Counter(counted(site, run_id))
        assert after == Counter(str(number) for number in range(300))
        runs = Counter(site.lines("counted"))
        assert {item: runs[item] for item in before} == dict.fromkeys(before, 1)


def counted(site: Cluster, run_id: str) -> list[str]:
    """Return the items whose node has finished, as the journal says."""
    return [
        (record.output or b"").decode()
        for record in site.queue.records(run_id)
        if isinstance(record, NodeFinished) and record.path.endswith("counts")
    ]


def test_a_run_waits_until_there_is_room_on_the_disk_of_its_server(
    make_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    server = NatsServer(make_disk(64) / "nats")
    ballast = server.folder / "ballast"
    server.start()
    ballast.write_bytes(b"x" * 40_000_000)
    try:
        with cluster(tmp_path, server.url, "p", FLOWS, ack_wait=20) as site:
            site.start("w1")
            run_id = site.queue.submit("weighty")
            wait_until(lambda: "waits for NATS" in site.said("w1"), "the disk is full")
            ballast.unlink()
            server.restart()
            wait_until(lambda: len(site.lines("heavy")) > 150, "the run goes on")
            state = site.queue.state(run_id)
            assert state is not None
            assert (state.status, state.claims) == ("RUNNING", 1)
    finally:
        server.kill()


def test_a_worker_whose_clock_is_two_hours_ahead_harms_nobody(site: Cluster) -> None:
    (site.folder / "sitecustomize.py").write_text(
        "import os, time\n"
        "if os.environ.get('AHEAD'):\n"
        "    real, real_ns = time.time, time.time_ns\n"
        "    time.time = lambda: real() + 7200\n"
        "    time.time_ns = lambda: real_ns() + 7200 * 10**9\n"
    )
    os.environ["PYTHONPATH"], os.environ["AHEAD"] = str(site.folder), "1"
    try:
        first = site.start("w1")
    finally:
        del os.environ["PYTHONPATH"], os.environ["AHEAD"]
    run_id = site.queue.submit("long")
    wait_until(lambda: site.lines("begun"), "the task has begun")
    site.start("w2")
    first.kill()
    wait_until(lambda: len(site.lines("begun")) == 2, "another worker goes on")
    (site.folder / "go").touch()
    assert site.queue.ended(run_id).status == "COMPLETED"
    spans = site.queue.trace(run_id).spans
    assert spans[0].start_ns > time.time_ns() + 3600 * 10**9
    assert all(span.end_ns >= span.start_ns for span in spans if span.end_ns is not None)
