from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tailrace.errors import DefinitionError, NotFound, StoreError
from tailrace.model.failure import FailureSnapshot
from tailrace.model.letter import MOST_GENERATIONS, DeadLetter, Redrive, RedriveBatch
from tailrace.runtime.redrive import RerunOutcome, find_batch, redrive

Make = Callable[..., RedriveBatch]


def test_letters_are_redriven_oldest_first_and_resolved(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(5)
    ended = redrive(batch(), bench.desk())
    assert bench.ran == ids
    assert set(bench.letters.states().values()) == {"resolved"}
    assert ended.state == "done"
    assert ended.counts == {"claimed": 5, "resolved": 5, "failed": 0, "refused": 0}


def test_a_batch_of_no_letters_is_done(bench: Any, batch: Make) -> None:
    assert redrive(batch(), bench.desk()).state == "done"


def test_a_redrive_that_fails_leaves_its_letter_open_one_generation_on(
    bench: Any, batch: Make
) -> None:
    (dl_id,) = bench.letters.add(1)
    bench.bad = {dl_id}
    ended = redrive(batch(), bench.desk())
    assert bench.letters.letter(dl_id).state == "open"
    assert bench.letters.letter(dl_id).generation == 1
    assert (ended.state, ended.counts["failed"]) == ("done", 1)


def test_after_five_generations_a_letter_is_parked_and_taken_no_more(
    bench: Any, batch: Make
) -> None:
    (dl_id,) = bench.letters.add(1)
    bench.bad = {dl_id}
    for number in range(MOST_GENERATIONS + 2):
        redrive(batch(batch_id=f"B-{number}"), bench.desk())
    assert bench.ran == [dl_id] * MOST_GENERATIONS
    assert bench.letters.letter(dl_id).state == "parked"


def test_rate_10_keeps_at_most_11_per_second(bench: Any, batch: Make) -> None:
    bench.letters.add(100)
    bench.takes = 0.003
    redrive(batch(rate=10.0), bench.desk())
    starts = [at for at, _ in bench.started]
    assert len(starts) == 100
    assert max(sum(0 <= one - first <= 1.0 for one in starts) for first in starts) <= 11
    assert starts[-1] < 10.5


def test_canary_5_with_a_failure_stops_after_5(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(20)
    bench.bad = {ids[1]}
    ended = redrive(batch(canary=5), bench.desk())
    assert bench.ran == ids[:5]
    assert ended.state == "stopped"
    assert [bench.letters.letter(one).generation for one in ids[5:]] == [0] * 15


def test_canaries_that_all_succeed_are_followed_by_the_others(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(20)
    bench.bad = {ids[7]}
    ended = redrive(batch(canary=5), bench.desk())
    assert bench.ran == ids
    assert (ended.state, ended.counts["failed"]) == ("done", 1)


def test_a_limit_bounds_the_letters_that_are_taken(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(20)
    assert redrive(batch(limit=3), bench.desk()).state == "done"
    assert bench.ran == ids[:3]


def test_a_batch_stops_when_more_than_the_share_has_failed_but_not_before_ten(
    bench: Any, batch: Make
) -> None:
    ids = bench.letters.add(30)
    bench.bad = set(ids)
    ended = redrive(batch(stop_ratio=0.5), bench.desk())
    assert (ended.state, len(bench.ran)) == ("stopped", 10)


def test_a_letter_that_is_refused_is_left_alone_and_counted(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(4)
    bench.refused = {ids[1], ids[2]}
    ended = redrive(batch(limit=2), bench.desk())
    assert bench.ran == [ids[0], ids[3]]
    assert ended.counts["refused"] == 2
    assert bench.letters.letter(ids[1]) == msgspec.structs.replace(bench.letters.letter(ids[1]))
    assert bench.letters.letter(ids[1]).generation == 0


def test_a_letter_that_somebody_else_took_meanwhile_is_passed_by(bench: Any, batch: Make) -> None:
    first, second = bench.letters.add(2)
    other = Redrive(dl_id="", generation=0, batch_id="B-other", actor="bob")

    def take_the_second(letter: DeadLetter) -> None:
        bench.letters.claim(_only(second), other, limit=1)

    bench.before = take_the_second
    ended = redrive(batch(), bench.desk())
    assert bench.ran == [first]
    assert ended.counts["claimed"] == 1


def _only(dl_id: str) -> Any:
    from tailrace.model.failure import FailureFilter

    return FailureFilter(ids=(dl_id,))


def test_each_redrive_says_batch_actor_reason_mode_patch_and_generation(
    bench: Any, batch: Make
) -> None:
    bench.letters.add(1, generation=2)
    patch = {"params": {"n": 1}}
    redrive(batch(reason="fixed", mode="new-run", patch=patch), bench.desk())
    (row,) = bench.letters.redrives()
    assert bench.redrives == [row_as_it_began(row)]
    assert (row.batch_id, row.actor, row.reason) == ("B-1", "ann", "fixed")
    assert (row.mode, row.patch, row.generation) == ("new-run", patch, 3)


def row_as_it_began(row: Redrive) -> Redrive:
    return msgspec.structs.replace(row, outcome="")


def test_the_policy_of_a_batch_reaches_the_run_ready_to_use(bench: Any, batch: Make) -> None:
    bench.letters.add(1)
    redrive(batch(policy={"retry": {"max_attempts": 2}}), bench.desk())
    (policy,) = bench.policies
    assert policy.retry.max_attempts == 2


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_batch_killed_half_way_goes_on_with_no_item_twice_and_exact_counts(
    bench: Any, batch: Make, parallel: int
) -> None:
    ids = bench.letters.add(20)
    bench.bad = {ids[3]}

    def die(letter: DeadLetter) -> None:
        if letter.dl_id == ids[10]:
            raise MemoryError("as if killed")

    bench.before = die
    with pytest.raises(MemoryError):
        redrive(batch(), bench.desk(), parallel=parallel)
    reopen_lost(bench)
    bench.before = lambda _: None
    ended = redrive(find_batch(bench.letters, "B-1"), bench.desk(), parallel=parallel)
    completed = [one for one in bench.ran if one != ids[10]]
    assert sorted(completed) == sorted(set(ids) - {ids[10]})
    assert bench.ran.count(ids[10]) == 2
    assert ended.state == "done"
    assert (ended.counts["resolved"], ended.counts["failed"]) == (19, 1)


def reopen_lost(bench: Any) -> None:
    """Do what the store does about letters whose process died."""
    for letter in list(bench.letters.kept.values()):
        if letter.state == "redriving":
            bench.letters.settle(letter, "lost", failure=None)


def test_canary_limit_and_share_count_what_was_done_before_the_kill(
    bench: Any, batch: Make
) -> None:
    ids = bench.letters.add(20)
    redrive(batch(limit=4), bench.desk())
    unended = msgspec.structs.replace(find_batch(bench.letters, "B-1"), state="running", limit=6)
    redrive(unended, bench.desk())
    assert bench.ran == ids[:6]


def test_a_batch_that_is_paused_takes_no_further_letter(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(10)
    bench.takes = 0.2

    def pause(letter: DeadLetter) -> None:
        if letter.dl_id == ids[3]:
            present = find_batch(bench.letters, "B-1")
            bench.letters.put_batch(msgspec.structs.replace(present, state="paused"))

    bench.before = pause
    assert redrive(batch(), bench.desk()).state == "paused"
    assert bench.ran == ids[:4]
    bench.before = lambda _: None
    assert redrive(find_batch(bench.letters, "B-1"), bench.desk()).state == "done"
    assert bench.ran == ids


def test_a_pause_is_seen_while_waiting_for_the_rate(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(2)
    sleep = bench.sleep

    def sleep_and_pause(seconds: float) -> None:
        sleep(seconds)
        present = find_batch(bench.letters, "B-1")
        bench.letters.put_batch(msgspec.structs.replace(present, state="paused"))

    bench.sleep = sleep_and_pause
    assert redrive(batch(rate=0.001), bench.desk()).state == "paused"
    assert bench.ran == ids[:1]
    assert bench.now < 1.0


def test_ctrl_c_ends_the_letter_in_hand_and_pauses_the_batch(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(5)

    def interrupt(letter: DeadLetter) -> None:
        if letter.dl_id == ids[1]:
            os.kill(os.getpid(), signal.SIGINT)

    bench.before = interrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match="B-1 is paused"):
            redrive(batch(), bench.desk())
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert bench.ran == ids[:2]
    assert find_batch(bench.letters, "B-1").state == "paused"
    assert bench.letters.letter(ids[1]).state == "resolved"


def test_a_second_ctrl_c_does_not_wait_for_the_letter_in_hand(bench: Any, batch: Make) -> None:
    bench.letters.add(3)

    def insist(_: DeadLetter) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    bench.before = insist
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match="B-1 is paused"):
            redrive(batch(), bench.desk())
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(bench.ran) == 1
    assert find_batch(bench.letters, "B-1").state == "paused"


def test_signals_stay_the_callers_business_outside_of_the_main_thread(
    bench: Any, batch: Make
) -> None:
    bench.letters.add(1)
    before = signal.getsignal(signal.SIGINT)
    seen: list[Any] = []
    bench.before = lambda _: seen.append(signal.getsignal(signal.SIGINT))
    thread = threading.Thread(target=redrive, args=(batch(), bench.desk()))
    thread.start()
    thread.join()
    assert seen == [before]


def test_what_stands_in_the_way_of_a_run_fails_its_letter_and_the_next_is_taken(
    bench: Any, batch: Make
) -> None:
    ids = bench.letters.add(3)
    told: list[tuple[str, RerunOutcome]] = []

    def refuse(letter: DeadLetter) -> None:
        if letter.dl_id == ids[0]:
            raise DefinitionError("there is no file flow.yaml")

    bench.before = refuse
    desk = replace(bench.desk(), watch=lambda letter, outcome: told.append((letter.dl_id, outcome)))
    ended = redrive(batch(), desk)
    assert bench.letters.letter(ids[0]).state == "open"
    assert (ended.counts["failed"], ended.counts["resolved"]) == (1, 2)
    assert [dl_id for dl_id, _ in told] == ids
    assert told[0][1].message == "there is no file flow.yaml"


def test_a_run_that_broke_off_has_settled_its_letter_and_nothing_settles_it_twice(
    bench: Any, batch: Make
) -> None:
    (dl_id,) = bench.letters.add(1)

    def break_off(letter: DeadLetter) -> None:
        bench.letters.settle(letter, "lost", failure=None)
        raise StoreError("disk full", code="TR504")

    bench.before = break_off
    redrive(batch(), bench.desk())
    assert [row.outcome for row in bench.letters.redrives(dl_id=dl_id)] == ["lost"]


def test_a_letter_is_settled_by_its_journal_alone_when_a_run_started(
    bench: Any, batch: Make
) -> None:
    (dl_id,) = bench.letters.add(1)
    bench.run_id = "0123"
    redrive(batch(), bench.desk())
    assert bench.letters.letter(dl_id).state == "redriving"


def test_a_store_that_fails_ends_the_work_and_the_batch_can_go_on(
    bench: Any, batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.letters.add(2)

    def full(letter: DeadLetter, outcome: str, *, failure: FailureSnapshot | None) -> None:
        raise StoreError("disk full", code="TR504")

    with monkeypatch.context() as patched:
        patched.setattr(bench.letters, "settle", full)
        with pytest.raises(StoreError, match="disk full"):
            redrive(batch(), bench.desk())
    assert find_batch(bench.letters, "B-1").state == "running"
    reopen_lost(bench)
    assert redrive(find_batch(bench.letters, "B-1"), bench.desk()).counts["resolved"] == 2


def test_parallel_letters_are_in_hand_at_once(bench: Any, batch: Make) -> None:
    bench.letters.add(8)
    meet = threading.Barrier(4)
    bench.before = lambda _: meet.wait(60)
    ended = redrive(batch(), bench.desk(), parallel=4)
    assert ended.counts["resolved"] == 8


def test_canaries_in_parallel_all_end_before_the_others_begin(bench: Any, batch: Make) -> None:
    ids = bench.letters.add(12)
    bench.bad = {ids[2]}
    ended = redrive(batch(canary=3), bench.desk(), parallel=4)
    assert sorted(bench.ran) == ids[:3]
    assert ended.state == "stopped"


def test_a_batch_that_is_not_there_is_not_found_and_the_newest_are_named(
    bench: Any, batch: Make
) -> None:
    redrive(batch(batch_id="B-nightly"), bench.desk())
    with pytest.raises(NotFound, match="B-nightly"):
        find_batch(bench.letters, "B-nightlee")
