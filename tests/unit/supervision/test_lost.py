"""Failures of processes that died."""

from __future__ import annotations

from tailrace.failures.supervision import (
    Escalation,
    FailureChanges,
    OpenAttempt,
    RunContext,
    lost_failures,
)
from tailrace.model import (
    FailureOrigin,
    FailureRecord,
    NodeFinished,
    NodeState,
    RunFinished,
    RunStatus,
)

CONTEXT = RunContext(
    run_id="r1", flow="etl", worker_id="w1", parent=("root", "worker:w1"), span_base=16
)
LOAD = OpenAttempt(
    node="load",
    task="etl:load",
    attempt=2,
    max_attempts=3,
    span=5,
    started_ns=1_000_000_000,
    policy={"timeout": 5.0},
)


def interrupted(*attempts: OpenAttempt) -> FailureChanges:
    fold = Escalation(CONTEXT)
    fold.lose(attempts, at=3_500_000_000)
    fold.apply([RunFinished(3_500_000_000, RunStatus.INTERRUPTED)])
    return fold.drain()


def test_the_last_attempt_known_is_the_origin_of_a_lost_process() -> None:
    (lost,) = lost_failures(CONTEXT, [LOAD], 3_500_000_000)
    assert lost.origin.path[2:] == ("run:r1", "flow:etl", "node:load", "task:2")
    assert (lost.origin.source, lost.class_, lost.given_up) == (
        "lost", "worker_lost", "worker_lost",
    )  # fmt: skip
    assert (lost.node_id, lost.task_ref, lost.attempt, lost.max_attempts) == (
        "load", "etl:load", 2, 3,
    )  # fmt: skip
    assert lost.message == ("the process died during attempt 2 of 3; found 2.5 s after it began")
    assert lost.span_id == f"{16 + 5:016x}"
    assert lost.worker_id == "w1"


def test_deaths_over_one_task_are_one_group_and_over_another_another() -> None:
    other = OpenAttempt(node="save", task="etl:save")
    again = OpenAttempt(node="each[7].load", task="etl:load", attempt=1)
    first, second, third = lost_failures(CONTEXT, [LOAD, again, other], 1)
    assert first.fp_site == second.fp_site != third.fp_site
    assert first.fp_site.startswith("v1:")
    assert len({first.failure_id, second.failure_id, third.failure_id}) == 3


def test_an_interrupted_run_leaves_a_letter_that_says_worker_lost() -> None:
    changes = interrupted(LOAD)
    (ended,) = changes.ended
    assert [hop.level for hop in ended.trail] == ["node", "flow", "run"]
    assert ended.disposition == "terminal"
    letter = changes.letter
    assert letter is not None
    assert (letter.reason, letter.crash_attempts, letter.attempts_total) == ("worker_lost", 1, 2)
    assert (letter.node_id, letter.policy) == ("load", {"timeout": 5.0})


def test_every_attempt_under_way_is_lost_and_the_first_stands_for_the_run() -> None:
    changes = interrupted(LOAD, OpenAttempt(node="save", task="etl:save"))
    assert [one.node_id for one in changes.ended] == ["load", "save"]
    assert {one.disposition for one in changes.ended} == {"terminal"}
    assert changes.letter is not None
    assert changes.letter.failure_id == changes.ended[0].failure_id


def test_a_process_that_died_between_two_nodes_leaves_a_letter_too() -> None:
    for fold in (Escalation(CONTEXT), Escalation(CONTEXT)):
        fold.apply([RunFinished(9, RunStatus.INTERRUPTED)])
        changes = fold.drain()
        (ended,) = changes.ended
        assert ended.message == "the process died between two nodes of the run"
        assert ended.path == ("root", "worker:w1", "run:r1")
        assert changes.letter is not None
        assert (changes.letter.node_id, changes.letter.task_key) == ("", "r1")


def test_a_failure_on_its_way_when_the_process_died_ends_with_the_run() -> None:
    origin = FailureOrigin(("flow:etl", "node:bad", "task:1"), "bad")
    record = FailureRecord("E", "m", "permanent", failure_id="F-1", origin=origin)
    before = Escalation(CONTEXT)
    before.apply([NodeFinished(2, 3, NodeState.FAILED, 2, "bad", failure=record)])
    (way_out,) = before.drain().moved
    after = Escalation(CONTEXT, [way_out])
    after.lose([LOAD], at=3)
    after.apply([RunFinished(4, RunStatus.INTERRUPTED)])
    changes = after.drain()
    assert {one.failure_id: one.disposition for one in changes.ended}["F-1"] == "terminal"
    assert changes.letter is not None
    assert changes.letter.reason == "worker_lost"
