from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tailrace.model.letter import Redrive, RedriveBatch
from tailrace.runtime.redrive.pace import Pace
from tailrace.runtime.redrive.progress import (
    FEWEST_FOR_RATIO,
    Step,
    Tally,
    ended_letters,
    next_step,
    tally_of,
)

batches = st.builds(
    RedriveBatch,
    batch_id=st.just("B-1"),
    filter=st.just({}),
    actor=st.just("ann"),
    canary=st.integers(0, 8),
    limit=st.integers(0, 40),
    stop_ratio=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


def carry_out(
    batch: RedriveBatch, outcomes: list[bool], *, at_once: int = 1
) -> tuple[Tally, Step, int]:
    """Return the tally, the last step and the most letters that were in hand."""
    tally, taken, most = Tally(), 0, 0
    while True:
        step = next_step(batch, tally, is_left=taken < len(outcomes))
        if step in {Step.STOP, Step.END}:
            return tally, step, most
        if step is Step.CLAIM and tally.in_hand < at_once:
            tally, taken = tally.take(), taken + 1
        else:
            tally = tally.end(ok=outcomes[tally.finished])
        most = max(most, tally.in_hand)


@given(batches, st.lists(st.booleans(), max_size=50), st.integers(1, 4))
def test_a_batch_always_comes_to_its_end_with_nothing_in_hand(
    batch: RedriveBatch, outcomes: list[bool], at_once: int
) -> None:
    tally, _, most = carry_out(batch, outcomes, at_once=at_once)
    assert tally.in_hand == 0
    assert most <= at_once
    assert tally.claimed <= (batch.limit or len(outcomes))


@given(batches, st.lists(st.booleans(), max_size=50), st.integers(1, 4))
def test_no_letter_follows_the_canaries_unless_all_of_them_succeeded(
    batch: RedriveBatch, outcomes: list[bool], at_once: int
) -> None:
    tally, step, _ = carry_out(batch, outcomes, at_once=at_once)
    if not all(outcomes[: batch.canary][: batch.limit or None]):
        assert step is Step.STOP
        assert tally.claimed <= batch.canary


@given(batches, st.lists(st.booleans(), max_size=50))
def test_a_batch_stops_at_the_first_letter_that_makes_the_share_too_large(
    batch: RedriveBatch, outcomes: list[bool]
) -> None:
    tally, step, _ = carry_out(batch, outcomes)
    if step is Step.STOP and tally.claimed > batch.canary:
        assert tally.finished >= FEWEST_FOR_RATIO
        assert tally.failed > batch.stop_ratio * tally.finished


@given(st.lists(st.booleans(), max_size=30))
def test_without_bounds_every_letter_is_taken(outcomes: list[bool]) -> None:
    batch = RedriveBatch(batch_id="B-1", filter={}, actor="ann")
    tally, step, _ = carry_out(batch, outcomes)
    assert step is Step.END
    assert (tally.resolved, tally.failed) == (sum(outcomes), len(outcomes) - sum(outcomes))


def test_letters_in_hand_are_waited_for_before_a_batch_stops(
    batch: Callable[..., RedriveBatch],
) -> None:
    wanted = batch(canary=3)
    bad = Tally(failed=1, in_hand=2)
    assert next_step(wanted, bad, is_left=True) is Step.WAIT
    assert next_step(wanted, Tally(failed=1, resolved=2), is_left=True) is Step.STOP


def test_a_letter_whose_process_died_has_not_ended_and_the_newest_redrive_counts() -> None:
    rows = [
        redrive("DL-1", 1, "lost"),
        redrive("DL-2", 1, "resolved"),
        redrive("DL-3", 1, ""),
        redrive("DL-4", 1, "failed"),
        redrive("DL-1", 2, "resolved"),
    ]
    ended = ended_letters(rows)
    assert ended == {"DL-1": True, "DL-2": True, "DL-4": False}
    assert tally_of(ended) == Tally(resolved=2, failed=1)


def redrive(dl_id: str, generation: int, outcome: str) -> Redrive:
    return Redrive(dl_id=dl_id, generation=generation, batch_id="B-1", actor="ann", outcome=outcome)


@given(st.integers(1, 200), st.lists(st.floats(0, 3), min_size=1, max_size=300))
def test_no_second_sees_more_starts_than_the_rate_and_one(rate: int, works: list[float]) -> None:
    pace, now, starts = Pace(rate), 0.0, []
    for work in works:
        now += pace.wait(now)
        pace.started(now)
        starts.append(now)
        now += work / rate
    for place, start in enumerate(starts):
        inside = [one for one in starts[place:] if one - start < 1.0 - 1e-9]
        assert len(inside) <= rate + 1


def test_time_lost_is_not_caught_up_in_a_burst() -> None:
    pace = Pace(10)
    pace.started(0.0)
    assert pace.wait(60.0) == 0.0
    pace.started(60.0)
    assert abs(pace.wait(60.0) - 0.1) < 1e-9


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(0.0)
    pace.started(5.0)
    assert pace.wait(5.0) == 0.0
