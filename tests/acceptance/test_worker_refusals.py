"""What NATS will never take ends the run that it belongs to, and says why; nothing waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import processes
from jetstream_server import NatsServer, running_server
from waiting import wait_until
from workers import Cluster, cluster

FLOWS = """
import os
from functools import reduce
from operator import and_
from pathlib import Path
from tailrace import Flow, foreach, task

@task
def numbers():
    return list(range(30))

@task
def each(item):
    return item

@task
def large():
    return os.urandom(150_000).hex()

@task
def length(large):
    return len(large)

@task
def waits():
    Path("begun").touch()
    while not Path("go").exists():
        pass
    return 1

@task
def after():
    Path("after").touch()

short = Flow("short", numbers)
long = Flow("long", numbers >> foreach("results.numbers", item="item", name="loop")(each))
outgrown = Flow("outgrown", large >> length)
held = Flow("held", waits >> after)
broad = Flow("broad", reduce(and_, [task(lambda: 1, name=f'n{os.urandom(4).hex()}')
                                    for _ in range(3000)]))
"""


@contextmanager
def restricted(folder: Path, *denied: str) -> Iterator[Cluster]:
    """Give a queue whose workers may not publish to some subjects."""
    subjects = ", ".join(f'"{one}"' for one in denied)
    config = (
        'authorization { users: [{ user: "all", password: "x" }, { user: "some", password: "x",'
        f" permissions: {{ publish: {{ deny: [{subjects}] }} }} }}] }}"
    )
    with running_server(folder / "nats", config=config) as server:
        url = server.url.replace("//", "//all:x@")
        with cluster(folder, url, "p", FLOWS) as site:
            site.queue.url = server.url.replace("//", "//some:x@")
            yield site


def test_messages_may_be_small(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "nats", config="max_payload: 16384") as server,
        cluster(tmp_path, server.url, "p", FLOWS) as site,
    ):
        site.start("w1")
        outgrown, long = site.queue.submit("outgrown"), site.queue.submit("long")
        state = site.queue.ended(outgrown)
        assert (state.status, state.output) == ("COMPLETED", 300_000)
        assert site.queue.ended(long).status == "COMPLETED"
        broad = site.queue.submit("broad")
        state = site.queue.ended(broad)
        assert state.status == "FAILED"
        assert "larger than NATS takes" in (state.error or "")
        wait_until(site.queue.letters, "a letter is left")
        (letter,) = site.queue.letters()
        assert letter.run_id == broad
        wait_until(lambda: not site.queue.waiting(), "nothing waits")


def test_a_run_whose_journal_may_not_be_written_fails_by_that(tmp_path: Path) -> None:
    with restricted(tmp_path, "p.j.>") as site:
        site.start("w1")
        long = site.queue.submit("long")
        state = site.queue.ended(long)
        assert state.status == "FAILED"
        assert "NATS does not allow publishing to p.j." in (state.error or "")
        wait_until(lambda: not site.queue.waiting(), "the message is settled")
        (letter,) = site.queue.letters()
        assert (letter.run_id, letter.letter_id) == (long, state.letter)
        spans = site.queue.trace(long).spans
        assert all(span.end_ns is not None for span in spans)
        assert site.queue.ended(site.queue.submit("short")).status == "COMPLETED"


def test_a_run_whose_state_may_not_be_written_leaves_a_letter(tmp_path: Path) -> None:
    with restricted(tmp_path, "p.s.>") as site:
        site.start("w1")
        run_id = site.queue.submit("short")
        wait_until(site.queue.letters, "a letter is left")
        (letter,) = site.queue.letters()
        assert letter.run_id == run_id
        assert letter.job is not None
        wait_until(lambda: not site.queue.waiting(), "the message is settled")
        assert "NATS does not allow publishing to p.s." in site.said("w1")


def test_a_worker_that_may_not_even_look_does_not_start(tmp_path: Path) -> None:
    with restricted(tmp_path, "$JS.API.INFO") as site:
        more = {"TAILRACE_NATS_URL": site.queue.url, "TAILRACE_NATS_PREFIX": "p"}
        done = processes.tailrace(
            tmp_path, "worker", "start", "--flows", "flows:short", more=more, seconds=30
        )
    assert done.returncode == 5
    assert "TR413" in done.stderr
    assert "publishing to $js.api.info" in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_of_a_stream_that_is_gone_are_given_up(
    tmp_path: Path, nats_server: NatsServer, nats_prefix: str
) -> None:
    with cluster(tmp_path, nats_server.url, nats_prefix, FLOWS, ack_wait=20) as site:
        site.start("w1")
        run_id = site.queue.submit("held")
        wait_until((tmp_path / "begun").exists, "the task has begun")
        call = f"STREAM.DELETE.{site.queue.names.runs}"
        site.queue.call(lambda: site.queue.link.api(call))
        (tmp_path / "go").touch()
        wait_until(site.queue.letters, "a letter is left", seconds=30)
        (letter,) = site.queue.letters()
        assert letter.run_id == run_id
        assert "stream not found" in site.said("w1")
        assert not (tmp_path / "after").exists()
