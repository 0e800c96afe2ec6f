"""Runs of workers that are known to be gone go on at once, whatever the ack wait."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream_server import NatsServer
from waiting import wait_until
from workers import Cluster, cluster

FLOWS = """
import time
from pathlib import Path
from tailrace import Flow, task

@task
def waits(name: str):
    with open(f"{name}.begun", "a") as file:
        file.write("begun\\n")
    while not Path(f"{name}.go").exists():
        time.sleep(0.01)
    return name

long = Flow("long", waits)
"""
FOREVER = 300.0
"""Seconds of ack wait: nothing comes back by itself."""


@pytest.fixture
def site(tmp_path: Path, own_nats_server: NatsServer, nats_prefix: str) -> Iterator[Cluster]:
    (tmp_path / "tailrace.toml").write_text("[worker]\ndrain = 0\n")
    with cluster(tmp_path, own_nats_server.url, nats_prefix, FLOWS, ack_wait=FOREVER) as found:
        yield found


def begin(site: Cluster, name: str, times: int = 1) -> str:
    """Queue a run, and return it once its task has begun."""
    run_id = site.queue.submit("long", params={"name": name})
    begun(site, name, times)
    return run_id


def begun(site: Cluster, name: str, times: int) -> None:
    wait_until(lambda: len(site.lines(f"{name}.begun")) == times, f"{name} has begun {times} times")


def claims(site: Cluster, run_id: str) -> tuple[str, int, int]:
    state = site.queue.ended(run_id)
    return state.status, state.claims, state.crashes


def test_after_all_was_killed_whoever_comes_first_goes_on(
    site: Cluster, own_nats_server: NatsServer
) -> None:
    first = site.start("w1")
    run_id = begin(site, "a")
    first.kill()
    first.wait(60)
    own_nats_server.restart()
    site.start("w2")
    begun(site, "a", 2)
    (site.folder / "a.go").touch()
    assert claims(site, run_id) == ("COMPLETED", 2, 1)


def test_what_was_handed_back_is_not_forgotten_by_a_server_that_is_restarted(
    site: Cluster, own_nats_server: NatsServer
) -> None:
    first = site.start("w1")
    run_id = begin(site, "a")
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    assert "hands run" in site.said("w1")
    own_nats_server.restart()
    site.start("w1")
    begun(site, "a", 2)
    (site.folder / "a.go").touch()
    assert claims(site, run_id) == ("COMPLETED", 2, 0)


def test_a_worker_takes_over_from_itself_and_not_from_those_that_live(site: Cluster) -> None:
    first = site.start("w1", "--concurrency", "1")
    mine = begin(site, "mine")
    site.start("w2", "--concurrency", "1")
    theirs = begin(site, "theirs")
    first.kill()
    first.wait(60)
    site.start("w1", "--concurrency", "1")
    begun(site, "mine", 2)
    for name in ("mine", "theirs"):
        (site.folder / f"{name}.go").touch()
    assert claims(site, mine) == ("COMPLETED", 2, 1)
    assert claims(site, theirs) == ("COMPLETED", 1, 0)


def test_nothing_is_taken_over_that_a_spool_may_still_add_to(site: Cluster) -> None:
    first = site.start("w1")
    run_id = begin(site, "a")
    first.kill()
    first.wait(60)
    spool = site.folder / ".tailrace" / "spool" / "w1"
    spool.mkdir(parents=True)
    (spool / "other.batches").touch()
    site.start("w2")
    assert "takes over" not in site.said("w2")
    site.start("w1")
    begun(site, "a", 2)
    (site.folder / "a.go").touch()
    assert claims(site, run_id) == ("COMPLETED", 2, 1)
    assert not list(spool.iterdir())
