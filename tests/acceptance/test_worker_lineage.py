"""Runs that go on with earlier ones: resumed, started from a node, redriven from a dead letter."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jetstream_server import NatsServer
from tailrace.jetstream.letter_text import letter_in
from tailrace.jetstream.redrive import redrive_letter
from tailrace.jetstream.resources import Limits, ensure_consumers
from tailrace.model import Redrive
from tailrace.model.letter import DeadLetter
from tailrace.model.remote import RunState
from waiting import wait_until
from workers import Cluster, cluster

FLOWS = """
import os, time
from pathlib import Path
from tailrace import Context, Flow, task

def note(name, text):
    with open(name, "a") as file:
        file.write(f"{text}\\n")

@task
def load(key: str, ctx: Context, rows: str = ""):
    note(key, f"load {ctx.idempotency_key}")
    return len(rows) or 3

@task
def check(load, ctx: Context, key: str):
    note(key, "check")
    return load

@task
def save(check, key: str, ctx: Context):
    note(key, f"save {os.getpid()}")
    if Path(f"{key}.holds").exists():
        while not Path(f"{key}.go").exists():
            time.sleep(0.01)
    if not Path(f"{key}.fixed").exists():
        raise ValueError("the table is missing")
    return check * 10

@task
def lasts(ctx: Context):
    note("lasts", ctx.idempotency_key)
    time.sleep(2.5)
    return "kept"

steps = Flow("steps", load >> check >> save)
long = Flow("long", lasts)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nats_server: NatsServer) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("lineage")
    with cluster(folder, nats_server.url, "lineage", FLOWS, ack_wait=1.0) as found:
        link, names, limits = found.queue.link, found.queue.names, Limits(ack_wait=1.0)
        found.queue.call(lambda: ensure_consumers(link, names, limits, ["default"]))
        found.start("w1", "--ack-wait", "30s")
        yield found


def failed(site: Cluster, key: str, **params: Any) -> RunState:
    """Run the flow up to its last node, which fails."""
    state = site.queue.ended(site.queue.submit("steps", params={"key": key, **params}))
    assert (state.status, state.error) == ("FAILED", "the table is missing")
    assert site.lines(key)[-1].startswith("save")
    return state


def mend(site: Cluster, key: str) -> None:
    (site.folder / f"{key}.fixed").touch()
    (site.folder / key).unlink()


def kinds(site: Cluster, key: str) -> list[str]:
    return [line.split()[0] for line in site.lines(key)]


def letter_of(site: Cluster, state: RunState) -> DeadLetter:
    found = site.queue.call(partial(site.queue.letters_of.get, state.letter))
    assert found is not None
    return letter_in(found[0])


def redrive(site: Cluster, state: RunState, mode: str) -> str:
    """Redrive the letter that a run has left, and return the new run's id."""
    queue = site.queue
    how = Redrive(dl_id=state.letter, generation=1, batch_id="", actor="tests", mode=mode)
    wait_until(lambda: queue.call(partial(queue.letters_of.get, state.letter)), "there is a letter")
    job = queue.call(partial(redrive_letter, queue.queue, queue.letters_of, state.letter, how))
    assert job is not None
    return job.run_id


def wait_for_letter(site: Cluster, state: RunState, wanted: str) -> DeadLetter:
    wait_until(lambda: letter_of(site, state).state == wanted, f"the letter is {wanted}")
    return letter_of(site, state)


def test_what_an_earlier_run_has_finished_is_reused(site: Cluster) -> None:
    rows = "x" * 3_000_000  # more than a message holds: it is kept beside it
    state = failed(site, "resumed", rows=rows)
    mend(site, "resumed")
    run_id = site.queue.submit(
        "steps",
        params={"key": "resumed", "rows": rows},
        resumed_from=state.job.run_id,
        lineage=state.job.run_id,
    )
    ended = site.queue.ended(run_id)
    assert (ended.status, ended.output) == ("COMPLETED", 30_000_000)
    assert ended.job.params_object
    assert kinds(site, "resumed") == ["save"]
    trace = site.queue.trace(run_id)
    assert trace.run.resumed_from == state.job.run_id
    assert trace.run.lineage == state.job.run_id
    again = site.queue.ended(redrive(site, state, "new-run"))
    assert (again.status, again.output) == ("COMPLETED", 30_000_000)


def test_from_the_node_that_is_named_all_runs_again(site: Cluster) -> None:
    state = failed(site, "from-check")
    mend(site, "from-check")
    again = {"resumed_from": state.job.run_id, "lineage": state.job.run_id}
    run_id = site.queue.submit(
        "steps", params={"key": "from-check"}, start_from=("check",), **again
    )
    assert site.queue.ended(run_id).status == "COMPLETED"
    assert kinds(site, "from-check") == ["check", "save"]
    run_id = site.queue.submit("steps", params={"key": "from-check"}, start_from=("no",), **again)
    ended = site.queue.ended(run_id)
    assert ended.status == "FAILED"
    assert "no node 'no' (known: check, load, save)" in (ended.error or "")


def test_what_other_code_has_finished_is_not_gone_on_with_and_the_letter_says_so(
    tmp_path: Path, nats_server: NatsServer, nats_prefix: str
) -> None:
    with cluster(tmp_path, nats_server.url, nats_prefix, FLOWS) as own:
        own.start("older")
        state = failed(own, "mismatch")
        own.stop()
        newer = FLOWS.replace("return len(rows) or 3", "return len(rows) or 1_000")
        (tmp_path / "flows.py").write_text(newer)
        own.start("newer")
        before = {"resumed_from": state.job.run_id, "lineage": state.job.run_id}
        ended = own.queue.ended(own.queue.submit("steps", params=state.job.params, **before))
        assert ended.status == "FAILED"
        assert "load (changed)" in (ended.error or "")
        get = partial(own.queue.letters_of.get, ended.letter)
        wait_until(lambda: own.queue.call(get), "there is a letter")
        found = own.queue.call(get)
        assert found is not None
        assert found[0].reason == letter_in(found[0]).reason == "version_mismatch"


def test_a_run_that_is_not_there_is_nothing_to_go_on_with(site: Cluster) -> None:
    run_id = site.queue.submit("steps", params={"key": "gone"}, resumed_from="0" * 32)
    ended = site.queue.ended(run_id)
    assert (ended.status, ended.error) == ("FAILED", f"run {'0' * 32} is not there (any more)")
    assert site.lines("gone") == []
    assert ended.start_time is not None
    assert ended.end_time is not None
    assert ended.start_time <= ended.end_time


def test_a_redrive_that_succeeds_resolves_its_letter(site: Cluster) -> None:
    state = failed(site, "redriven")
    mend(site, "redriven")
    run_id = redrive(site, state, "resume")
    assert site.queue.ended(run_id).output == 30
    assert kinds(site, "redriven") == ["save"]
    letter = wait_for_letter(site, state, "resolved")
    assert letter.generation == 1
    assert site.queue.trace(run_id).run.letter == state.letter


@pytest.mark.parametrize(
    ("mode", "ran"),
    [("resume", ["save"]), ("node", ["save"]), ("new-run", ["load", "check", "save"])],
)
def test_a_redrive_that_fails_opens_its_letter_again_and_leaves_no_other(
    site: Cluster, mode: str, ran: list[str]
) -> None:
    state = failed(site, mode)
    (site.folder / mode).unlink()
    run_id = redrive(site, state, mode)
    ended = site.queue.ended(run_id)
    assert (ended.status, ended.letter) == ("FAILED", "")
    assert kinds(site, mode) == ran
    letter = wait_for_letter(site, state, "open")
    assert (letter.generation, letter.attempts_total) == (1, 2)
    of_run = [one for one in site.queue.letters() if one.run_id in {state.job.run_id, run_id}]
    assert [one.letter_id for one in of_run] == [state.letter]


def test_a_run_is_kept_for_the_ack_wait_that_is_in_force_whatever_its_worker_was_told(
    site: Cluster,
) -> None:
    site.start("w2", "--ack-wait", "30s")
    run_id = site.queue.submit("long")
    state = site.queue.ended(run_id)
    assert (state.output, state.claims, len(site.lines("lasts"))) == ("kept", 1, 1)


def test_a_redrive_whose_worker_dies_goes_on_with_another_and_settles_its_letter(
    site: Cluster,
) -> None:
    state = failed(site, "killed")
    (site.folder / "killed").unlink()
    (site.folder / "killed.holds").touch()
    run_id = redrive(site, state, "resume")
    wait_until(lambda: site.lines("killed"), "the node has begun again")
    pid = int(site.lines("killed")[0].split()[1])
    victim = next(one for one in site.workers if one.pid == pid)
    if sum(one.poll() is None for one in site.workers) < 2:
        site.start("w3")
    victim.kill()
    victim.wait(60)
    for mark in ("fixed", "go"):
        (site.folder / f"killed.{mark}").touch()
    ended = site.queue.ended(run_id)
    assert (ended.status, ended.output, ended.crashes) == ("COMPLETED", 30, 1)
    assert kinds(site, "killed") == ["save", "save"]
    wait_for_letter(site, state, "resolved")
