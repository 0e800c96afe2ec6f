"""A worker that was given short runs, and then gets long ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream_server import NatsServer
from waiting import wait_until
from workers import Cluster, cluster

FLOWS = """
import time
from pathlib import Path
from tailrace import Context, Flow, task

@task
def short(n):
    return n

@task
def long(n, ctx: Context):
    with open("effects", "a") as file:
        file.write(f"{ctx.idempotency_key}\\n")
    while not Path("enough").exists():
        time.sleep(0.01)
    return n

short_flow = Flow("short", short.node)
long_flow = Flow("long", long.node)
"""
SHORT, LONG = 150, 24


@pytest.fixture
def site(tmp_path: Path, nats_server: NatsServer, nats_prefix: str) -> Iterator[Cluster]:
    with cluster(tmp_path, nats_server.url, nats_prefix, FLOWS) as found:
        yield found


def test_runs_begun_ahead_of_time_go_to_others_where_they_turn_out_to_take_long(
    site: Cluster, tmp_path: Path
) -> None:
    short = [site.queue.submit("short", params={"n": n}) for n in range(SHORT)]
    long = [site.queue.submit("long", params={"n": n}) for n in range(LONG)]
    site.start("w1", "--concurrency", "2")
    assert site.queue.ended(short[0]).status == "COMPLETED"
    wait_until(lambda: "hands run" in site.said("w1"), "what waits is handed back")
    site.start("w2", "--concurrency", str(LONG))
    wait_until(lambda: len(site.lines("effects")) >= LONG, "all are under way")
    (tmp_path / "enough").touch()
    states = [site.queue.ended(run_id) for run_id in long]
    assert {state.status for state in states} == {"COMPLETED"}
    assert {state.crashes for state in states} == {0}
    assert max(Counter(site.lines("effects")).values()) == 1
    assert all(site.queue.ended(run_id).status == "COMPLETED" for run_id in short)
