"""Redrives of real runs in a real store: killed, interrupted, paused, patched."""

from __future__ import annotations

import itertools
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from processes import start, tailrace
from tailrace.errors import NotFound, RunError
from tailrace.flows.load import load_definition
from tailrace.model import RunStatus
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import MOST_GENERATIONS, DeadLetter, RedriveBatch
from tailrace.runtime import RunOptions, execute
from tailrace.runtime.redrive import continue_batch, find_batch, pause_batch, plan, start_batch
from tailrace.store import (
    SqliteDeadLetters,
    SqliteFailureLog,
    SqliteRedriveLog,
    SqliteTraceReader,
)
from waiting import wait_until

STEPS = """
import os, time
from pathlib import Path

HERE = Path(__file__).parent


def note(text):
    with open(HERE / "ran.log", "a") as file:
        file.write(text + "\\n")


def fetch(item):
    note(f"fetch {item}")
    return item


def load(fetch, factor=1):
    note(f"load {fetch}")
    while (HERE / f"block-{fetch}").exists():
        (HERE / "blocked").touch()
        time.sleep(0.01)
    if not (HERE / "mended").exists():
        raise ERROR(f"no route for {fetch}")
    return fetch * factor


def notify(load):
    note(f"notify {load}")
    return load
"""
FLOW = """
version: 1
name: shop
tasks:
  fetch: {callable: "MODULE:fetch"}
  load: {callable: "MODULE:load"}
  notify: {callable: "MODULE:notify"}
flow:
  defaults: {item: 0, factor: 1}
  graph: fetch >> load >> notify
"""


class Shop:
    """A folder with a flow that fails until it is mended, and the store of its runs."""

    numbers = itertools.count()

    def __init__(self, folder: Path, error: str = "ConnectionError") -> None:
        self.folder = folder
        self.db = folder / "t.db"
        self.letters = SqliteDeadLetters(self.db)
        self.log = SqliteRedriveLog(self.db)
        self.module = f"shop_steps_{next(self.numbers)}"
        self.flow = folder / "flow.yaml"
        self.write_steps(STEPS.replace("ERROR", error))
        self.flow.write_text(FLOW.replace("MODULE", self.module))

    def write_steps(self, text: str) -> None:
        (self.folder / f"{self.module}.py").write_text(text)

    def start(self, code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", f"{PREAMBLE}{code}"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def python(self, code: str) -> str:
        process = self.start(code)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    def fail(self, count: int = 1) -> list[DeadLetter]:
        """Run the flow for items 0, 1, … and return the letters it left, oldest first."""
        for item in range(count):
            flow = load_definition(str(self.flow))
            assert not execute(flow, RunOptions(params={"item": item}, db=self.db)).ok
        return self.open_letters()

    def redrive(self, **order: Any) -> RedriveBatch:
        return start_batch(self.db, wanted=FailureFilter(), actor="ann", **order)

    def block(self, item: int) -> Path:
        """Have the task of an item wait until the file that is returned is gone."""
        file = self.folder / f"block-{item}"
        file.touch()
        return file

    def start_blocked(self, item: int, batch_id: str) -> tuple[subprocess.Popen[str], Path]:
        """Start a batch in a process of its own and wait until it is at that item."""
        file = self.block(item)
        order = f"wanted=FailureFilter(), actor='ann', batch_id={batch_id!r}"
        process = self.start(f"start_batch(db, {order}, on_stop=Path('stopping').touch)")
        wait_until((self.folder / "blocked").exists, "a run blocks", process=process)
        return process, file

    def open_letters(self) -> list[DeadLetter]:
        found = self.letters.letters(FailureFilter(state="open"), limit=1_000)
        return sorted(found, key=lambda letter: letter.created_ns)

    def mend(self) -> None:
        (self.folder / "mended").touch()

    def ran(self) -> list[str]:
        """Return what ran since the last time this was asked."""
        log = self.folder / "ran.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.write_text("")
        return lines

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        with closing(sqlite3.connect(self.db)) as db:
            tables = [name for (name,) in db.execute(TABLES)]
            return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}  # noqa: S608 - names of tables


TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
PREAMBLE = """
import os, sys, threading, time
from pathlib import Path
from tailrace.model.failure import FailureFilter
from tailrace.runtime import RunOptions, execute
from tailrace.runtime import RunOptions, execute
from tailrace.runtime.redrive import continue_batch, start_batch
db = Path("t.db").resolve()
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_after_the_fix_a_redrive_completes_and_finished_nodes_do_not_run_again(shop: Shop) -> None:
    (before,) = shop.fail()
    assert before.attempts_total == 1
    assert shop.ran() == ["fetch 0", "load 0"]
    shop.mend()
    batch = shop.redrive()
    assert (batch.state, batch.counts["resolved"]) == ("done", 1)
    assert shop.ran() == ["load 0", "notify 0"]
    after = shop.letters.letter(before.dl_id)
    assert (after.state, after.generation, after.attempts_total) == ("resolved", 1, 2)
    with closing(SqliteTraceReader(shop.db)) as reader:
        assert [run.status for run in reader.runs()] == [RunStatus.COMPLETED, RunStatus.FAILED]


def test_a_redrive_that_fails_again_leaves_generation_2_with_all_trails_and_then_parks(
    shop: Shop,
) -> None:
    (letter,) = shop.fail()
    for generation in range(1, MOST_GENERATIONS + 1):
        attempts = letter.attempts_total
        shop.redrive()
        letter = shop.letters.letter(letter.dl_id)
        assert letter.generation == generation
        assert letter.state == ("open" if generation < MOST_GENERATIONS else "parked")
        assert letter.attempts_total > attempts
        if generation == 2:
            failures = SqliteFailureLog(shop.db).failures(FailureFilter())
            assert [failure.generation for failure in failures] == [2, 1, 0]
            assert all(failure.trail for failure in failures)
    shop.ran()
    with pytest.raises(NotFound, match="no dead letter matches"):
        shop.redrive()
    assert shop.ran() == []


def test_a_patch_changes_the_inputs_and_the_first_digest_and_the_audit_tell(shop: Shop) -> None:
    (before,) = shop.fail()
    shop.mend()
    shop.redrive(patch={"params": {"factor": 3, "item": 5}}, mode="new-run", reason="wrong item")
    after = shop.letters.letter(before.dl_id)
    assert shop.ran()[2:] == ["fetch 5", "load 5", "notify 15"]
    assert after.state == "resolved"
    assert after.payload_digest == before.payload_digest != ""
    (row,) = shop.log.redrives(dl_id=before.dl_id)
    assert row.patch == {"params": {"factor": 3, "item": 5}}
    trail = shop.log.actions(before.dl_id)
    told = next(action for action in trail if action.action == "redrive")
    assert (told.actor, told.reason) == ("ann", "wrong item")
    assert told.detail["patch"] == row.patch
    assert shop.log.verify() is None


def test_a_permanent_failure_without_force_runs_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path, error="ValueError")
    (letter,) = shop.fail()
    shop.mend()
    shop.ran()
    with pytest.raises(RunError) as refused:
        start_batch(shop.db, wanted=FailureFilter(), actor="ann")
    assert refused.value.code == "TR348"
    assert letter.dl_id in refused.value.message
    assert (shop.ran(), shop.log.batches()) == ([], [])
    assert shop.letters.letter(letter.dl_id) == letter
    assert shop.redrive(force=True).counts["resolved"] == 1


def test_a_dry_run_changes_nothing(shop: Shop) -> None:
    (letter,) = shop.fail()
    shop.ran()
    before = shop.rows()
    found = plan(shop.db, wanted=FailureFilter(ids=(letter.dl_id[:12],)))
    (item,) = found.ready
    assert (item.reuse, item.rerun, item.results) == (("fetch",), ("load", "notify"), 1)
    assert any("idempotency_key" in caution for caution in item.cautions)
    assert (shop.rows(), shop.ran()) == (before, [])


def test_the_failed_node_alone_is_run_with_the_mode_node(shop: Shop) -> None:
    shop.fail()
    shop.mend()
    shop.ran()
    assert shop.redrive(mode="node").counts["resolved"] == 1
    assert shop.ran() == ["load 0"]


def test_a_fix_of_the_failed_task_needs_no_force_but_other_finished_nodes_do(shop: Shop) -> None:
    first, _ = shop.fail(2)
    shop.ran()
    fixed = STEPS.replace("ERROR", "ConnectionError").replace('"mended"', '"flow.yaml"')
    order = "wanted=FailureFilter(), actor='ann'"
    shop.write_steps(fixed)
    shop.python(f"start_batch(db, {order}, limit=1)")
    assert shop.letters.letter(first.dl_id).state == "resolved"
    assert shop.ran() == ["load 0", "notify 0"]
    shop.write_steps(fixed.replace("return item", "return item + 100"))
    said = shop.python(
        f"try:\n    start_batch(db, {order})\n"
        "except Exception as error:\n    print(error.code, error.message)\n"
    )
    assert said.startswith("TR348")
    assert "fetch (changed)" in said
    shop.python(f"start_batch(db, {order}, mode='new-run')")
    assert shop.ran() == ["fetch 1", "load 101", "notify 101"]
    assert shop.open_letters() == []


def test_force_reuses_what_other_code_has_finished(shop: Shop) -> None:
    shop.fail()
    shop.mend()
    shop.ran()
    text = STEPS.replace("ERROR", "ConnectionError")
    shop.write_steps(text.replace("return item", "return item + 100"))
    shop.python("start_batch(db, wanted=FailureFilter(), actor='ann', force=True)")
    assert shop.ran() == ["load 0", "notify 0"]


def test_canary_5_with_failures_stops_after_5(shop: Shop) -> None:
    letters = shop.fail(8)
    shop.ran()
    batch = shop.redrive(canary=5)
    assert (batch.state, batch.counts["claimed"], batch.counts["failed"]) == ("stopped", 5, 5)
    assert shop.ran() == [f"load {item}" for item in range(5)]
    assert [shop.letters.letter(one.dl_id).generation for one in letters] == [1] * 5 + [0] * 3
    with pytest.raises(RunError, match="has ended") as refused:
        continue_batch(shop.db, batch.batch_id)
    assert refused.value.code == "TR347"


def test_a_batch_killed_at_half_resumes_with_no_item_twice_and_exact_counts(shop: Shop) -> None:
    letters = shop.fail(12)
    shop.mend()
    shop.ran()
    process, block = shop.start_blocked(6, "half")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    block.unlink()
    assert find_batch(shop.log, "half").state == "running"
    ended = continue_batch(shop.db, "half")
    assert ended.state == "done"
    assert (ended.counts["resolved"], ended.counts["failed"]) == (12, 0)
    notified = [line for line in shop.ran() if line.startswith("notify")]
    assert sorted(notified) == sorted(f"notify {item}" for item in range(12))
    rows = shop.log.redrives(batch_id="half")
    resolved = [row.dl_id for row in rows if row.outcome == "resolved"]
    assert sorted(resolved) == sorted(letter.dl_id for letter in letters)
    assert [row.dl_id for row in rows if row.outcome == "lost"] == [letters[6].dl_id]
    killed = shop.letters.letter(letters[6].dl_id)
    assert (killed.state, killed.crash_attempts, killed.generation) == ("resolved", 1, 2)


def test_the_first_batch_after_a_kill_takes_what_the_dead_process_held(shop: Shop) -> None:
    shop.fail(2)
    shop.mend()
    process, block = shop.start_blocked(0, "first")
    process.kill()
    process.communicate()
    block.unlink()
    assert shop.redrive(batch_id="second").counts["resolved"] == 2


def test_a_letter_claimed_by_a_process_that_died_before_its_run_is_taken_again(shop: Shop) -> None:
    letters = shop.fail(2)
    shop.mend()
    shop.ran()
    process = shop.start(
        "from tailrace.runtime import rerun\n"
        "rerun.execute = lambda *_, **__: os._exit(9)\n"
        "start_batch(db, wanted=FailureFilter(), actor='ann', batch_id='early')"
    )
    process.communicate(timeout=60)
    assert process.returncode == 9
    continue_batch(shop.db, "early")
    ended = find_batch(shop.log, "early")
    assert (ended.state, ended.counts["resolved"]) == ("done", 2)
    assert {shop.letters.letter(one.dl_id).crash_attempts for one in letters} == {0}


def test_ctrl_c_ends_the_letter_in_hand_and_the_batch_goes_on_later(shop: Shop) -> None:
    shop.fail(3)
    shop.mend()
    shop.ran()
    process, block = shop.start_blocked(1, "b")
    process.send_signal(signal.SIGINT)
    wait_until((shop.folder / "stopping").exists, "Ctrl-C is noticed", process=process)
    assert process.poll() is None
    block.unlink()
    _, err = process.communicate(timeout=60)
    assert process.returncode in {130, -signal.SIGINT}
    assert "b is paused" in err
    paused = find_batch(shop.log, "b")
    assert (paused.state, paused.counts["resolved"], paused.counts["claimed"]) == ("paused", 2, 2)
    continue_batch(shop.db, "b")
    assert find_batch(shop.log, "b").counts["resolved"] == 3


def test_ctrl_c_says_what_happens_and_how_the_batch_goes_on(shop: Shop) -> None:
    shop.fail(2)
    shop.mend()
    block = shop.block(0)
    db = ("--db", str(shop.db))
    process = start(shop.folder, "dlq", "redrive", "--all", "--batch", "b", *db)
    wait_until((shop.folder / "blocked").exists, "a run blocks", process=process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == "\n"
    assert process.stderr.readline().startswith("finishing what is in hand")
    block.unlink()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: redrive batch b is paused" in err
    assert "tailrace failures batches resume b" in err
    assert "Traceback" not in err
    ended = tailrace(shop.folder, "failures", "batches", "resume", "b", *db)
    assert (ended.returncode, shop.open_letters()) == (0, [])


def test_somebody_else_pauses_a_batch_and_nobody_carries_it_out_twice(shop: Shop) -> None:
    shop.fail(3)
    shop.mend()
    process, block = shop.start_blocked(0, "b")
    with pytest.raises(RunError, match="another process") as refused:
        continue_batch(shop.db, "b")
    assert refused.value.code == "TR347"
    assert pause_batch(shop.db, "b", "bob").state == "paused"
    block.unlink()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    paused = find_batch(shop.log, "b")
    assert (paused.state, paused.counts["claimed"]) == ("paused", 1)
    actors = {action.actor for action in shop.log.actions("b")}
    assert {"ann", "bob"} <= actors


def test_a_name_starts_a_batch_once_and_goes_on_with_it_under_the_same_order_alone(
    shop: Shop,
) -> None:
    shop.fail(2)
    shop.mend()
    shop.redrive(batch_id="nightly", limit=1)
    with pytest.raises(RunError, match="has ended"):
        start_batch(shop.db, wanted=FailureFilter(), actor="ann", batch_id="nightly")
    process, block = shop.start_blocked(1, "two")
    process.kill()
    process.communicate()
    block.unlink()
    with pytest.raises(RunError, match="its mode is 'resume'"):
        start_batch(shop.db, wanted=FailureFilter(), actor="ann", batch_id="two", mode="new-run")
    assert shop.redrive(batch_id="two").counts["resolved"] == 1


def test_letters_that_give_up_after_a_batch_began_are_not_taken(shop: Shop) -> None:
    shop.fail(2)
    process, block = shop.start_blocked(0, "b")
    process.kill()
    process.communicate()
    block.unlink()
    (shop.folder / "blocked").unlink()
    shop.fail(1)
    shop.mend()
    continue_batch(shop.db, "b")
    assert find_batch(shop.log, "b").counts["resolved"] == 2
    assert len(shop.open_letters()) == 1


def test_letters_are_redriven_side_by_side_when_asked(shop: Shop) -> None:
    shop.fail(6)
    shop.mend()
    shop.ran()
    batch = shop.redrive(parallel=3)
    assert batch.counts["resolved"] == 6
    assert sorted(line for line in shop.ran() if line.startswith("notify")) == [
        f"notify {item}" for item in range(6)
    ]


def test_the_work_of_a_killed_process_is_redriven_from_where_it_stood(shop: Shop) -> None:
    block = shop.block(0)
    process = shop.start(
        "from tailrace.flows.load import load_definition\n"
        "execute(load_definition(str(Path('flow.yaml').resolve())), RunOptions(db=db))"
    )
    wait_until((shop.folder / "blocked").exists, "a run blocks", process=process)
    process.kill()
    process.communicate()
    block.unlink()
    shop.mend()
    shop.ran()
    shop.python("from tailrace.store import shared_store\nshared_store(db)")
    (letter,) = shop.open_letters()
    assert (letter.reason, letter.crash_attempts) == ("worker_lost", 1)
    assert shop.redrive().counts["resolved"] == 1
    assert shop.ran() == ["load 0", "notify 0"]


def test_a_flow_that_is_gone_is_said_before_anything_is_claimed(shop: Shop) -> None:
    (letter,) = shop.fail()
    (shop.folder / "flow.yaml").unlink()
    with pytest.raises(RunError, match=r"flow\.yaml") as refused:
        start_batch(shop.db, wanted=FailureFilter(), actor="ann", force=True)
    assert refused.value.code == "TR348"
    assert json.dumps(refused.value.details)
    assert shop.letters.letter(letter.dl_id).generation == 0


ACTION = """
from pathlib import Path


def call(n):
    if not Path("mended").exists():
        raise ConnectionError("no route")
    Path("called").write_text(str(n))
"""


def test_an_action_of_the_event_stream_is_redriven_and_settled_like_a_run(shop: Shop) -> None:
    (shop.folder / "actions.py").write_text(ACTION)
    order = "wanted=FailureFilter(), actor='ann'"
    emit = (
        "import actions, functools\n"
        "from tailrace.runtime.events import get_resilient_stream\n"
        "call = functools.partial(actions.call, n=7)\n"
        "stream = get_resilient_stream(db)\n"
        "stream.emit_with_retry('action', 'svc', call, max_retries=0)\n"
    )
    shop.python(emit)
    (letter,) = shop.open_letters()
    assert letter.kind == "event"
    shop.python(f"assert start_batch(db, {order}).counts['failed'] == 1")
    shop.mend()
    shop.python(f"start_batch(db, {order}, patch={{'payload': {{'kwargs': {{'n': 8}}}}}})")
    assert (shop.folder / "called").read_text() == "8"
    after = shop.letters.letter(letter.dl_id)
    assert (after.state, after.generation, after.attempts_total) == ("resolved", 2, 3)


def test_an_action_that_cannot_be_found_is_left_alone(shop: Shop) -> None:
    emit = (
        "from tailrace.runtime.events import get_resilient_stream\n"
        "stream = get_resilient_stream(db)\n"
        "stream.emit_with_retry('action', 'svc', lambda: 1 / 0, max_retries=0)\n"
    )
    shop.python(emit)
    (item,) = plan(shop.db, wanted=FailureFilter(), force=True).refused
    assert "cannot be run again" in item.refusal
