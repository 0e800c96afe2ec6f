"""Dead letters, and what the end of a redrive makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.failures.supervision import (
    Escalation,
    OpenAttempt,
    RunContext,
    advance,
    letter_of,
    settle,
)
from tailrace.failures.supervision.letters import reason_of
from tailrace.model import (
    DeadLetter,
    FailureOrigin,
    FailureRecord,
    FailureSnapshot,
    LetterReason,
    NodeFinished,
    NodeState,
    Origin,
    RunFinished,
    RunStarted,
    RunStatus,
)

PATH = ("root", "worker:w1", "run:r1", "flow:etl", "node:load", "task:3")
CONTEXT = RunContext(
    run_id="r1",
    flow="etl",
    flow_source="etl.yaml",
    code_version="sha256:c",
    payload_digest="sha256:in",
    policies={"fail_fast": True},
)


def failure(**fields: Any) -> FailureSnapshot:
    told = {
        "failure_id": "F-01",
        "captured_ns": 5,
        "type": "ConnectionError",
        "message": "refused",
        "category": "transient",
        "class_": "network",
        "given_up": "max_attempts",
        "origin": Origin(PATH),
        "path": PATH,
        "run_id": "r1",
        "node_id": "load",
        "task_ref": "etl:load",
        "attempt": 3,
        "max_attempts": 3,
        "code_version": "sha256:c",
        "fp_site": "v1:aa",
        **fields,
    }
    return FailureSnapshot(**told)


def letter(**fields: Any) -> DeadLetter:
    ended = advance(failure(), "escalate", 9)
    return replace(letter_of(ended, CONTEXT, {"retry": {"max_attempts": 2}}), **fields)


def redriven(**fields: Any) -> DeadLetter:
    return letter(state="redriving", generation=1, **fields)


def test_a_letter_holds_what_is_needed_to_run_the_work_again() -> None:
    left = letter()
    assert (left.payload_ref, left.payload_digest) == ("run:r1", "sha256:in")
    assert (left.task_ref, left.flow_source, left.node_id) == ("etl:load", "etl.yaml", "load")
    assert left.policy == {"retry": {"max_attempts": 2}}
    assert (left.code_version, left.attempts_total, left.reason) == ("sha256:c", 3, "max_attempts")
    assert (left.state, left.generation, left.crash_attempts) == ("open", 0, 0)
    assert left.created_ns == left.updated_ns == 9


def test_the_key_of_the_work_is_that_of_the_first_run_of_its_lineage() -> None:
    assert letter().task_key == "r1:load"
    later = replace(CONTEXT, run_id="r2", lineage="r1")
    assert letter_of(failure(), later).task_key == "r1:load"
    assert letter_of(failure(node_id=""), later).task_key == "r1"


def test_a_letter_without_a_policy_of_its_node_keeps_that_of_the_flow() -> None:
    assert letter_of(failure(), CONTEXT).policy == {"fail_fast": True}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"given_up": "budget_exceeded"}, "budget_exceeded"),
        ({"given_up": "", "category": "permanent"}, "permanent"),
        ({"given_up": "", "category": "unknown"}, "unknown_exhausted"),
        ({"given_up": "", "category": "transient"}, "max_attempts"),
        ({"given_up": "", "category": "timeout"}, "max_attempts"),
        ({"given_up": "", "class_": "worker_lost"}, "worker_lost"),
        ({"given_up": "of nobody's list", "category": "permanent"}, "permanent"),
    ],
)
def test_the_reason_is_why_nothing_tries_again(fields: dict[str, str], reason: str) -> None:
    assert reason_of(failure(**fields)) == reason
    assert reason in set(LetterReason)


def test_a_redrive_that_completes_resolves_the_letter_and_adds_its_attempt() -> None:
    now = settle(redriven(), "resolved", None, at_ns=20)
    assert (now.state, now.attempts_total, now.updated_ns) == ("resolved", 4, 20)
    assert (now.failure_id, now.generation, now.created_ns) == ("F-01", 1, 9)


def test_a_redrive_that_fails_opens_the_letter_with_the_new_failure() -> None:
    again = failure(failure_id="F-02", run_id="r2", attempt=2, message="still refused")
    now = settle(redriven(), "failed", again, at_ns=20)
    assert (now.state, now.generation, now.attempts_total) == ("open", 1, 5)
    assert (now.failure_id, now.run_id, now.message) == ("F-02", "r2", "still refused")
    assert (now.payload_ref, now.payload_digest) == ("run:r1", "sha256:in")
    assert now.task_key == "r1:load"


def test_a_letter_is_parked_after_its_last_generation() -> None:
    assert settle(replace(redriven(), generation=4), "failed", None, at_ns=1).state == "open"
    parked = settle(replace(redriven(), generation=5), "failed", failure(), at_ns=1)
    assert (parked.state, parked.reason) == ("parked", "max_attempts")


def test_a_letter_whose_processes_died_three_times_is_parked_as_poison() -> None:
    lost = failure(class_="worker_lost", given_up="worker_lost")
    work = letter_of(lost, CONTEXT)
    assert (work.reason, work.crash_attempts) == ("worker_lost", 1)
    states = []
    for generation in (1, 2):
        work = replace(work, state="redriving", generation=generation)
        work = settle(work, "lost", lost, at_ns=1)
        states.append((work.state, work.reason, work.crash_attempts))
    assert states == [("open", "worker_lost", 2), ("parked", "poison", 3)]


def test_limits_are_those_of_the_settings() -> None:
    assert settle(redriven(), "failed", None, at_ns=1, max_generations=1).state == "parked"
    now = settle(redriven(), "lost", failure(), at_ns=1, poison_limit=1)
    assert (now.state, now.reason) == ("parked", "poison")


def test_a_cancelled_redrive_leaves_the_letter_as_it_was_and_open() -> None:
    now = settle(redriven(), "failed", None, at_ns=1)
    assert (now.state, now.failure_id, now.reason) == ("open", "F-01", "max_attempts")


@pytest.mark.parametrize(
    ("before", "outcome", "after"),
    [
        ("discarded", "resolved", "discarded"),
        ("discarded", "failed", "discarded"),
        ("parked", "failed", "parked"),
        ("parked", "lost", "parked"),
        ("parked", "resolved", "resolved"),
    ],
)
def test_what_somebody_decided_during_a_redrive_stands(
    before: str, outcome: str, after: str
) -> None:
    assert settle(letter(state=before), outcome, None, at_ns=1).state == after


@given(st.lists(st.tuples(st.sampled_from(["failed", "lost"]), st.integers(1, 9))))
def test_attempts_are_added_up_and_never_reset(ends: list[tuple[str, int]]) -> None:
    work = letter()
    for generation, (outcome, attempt) in enumerate(ends, start=1):
        work = replace(work, state="redriving", generation=generation)
        work = settle(work, outcome, failure(attempt=attempt), at_ns=generation)
        assert work.state in {"open", "parked"}
    assert work.attempts_total == 3 + sum(attempt for _, attempt in ends)
    assert work.crash_attempts == sum(1 for outcome, _ in ends if outcome == "lost")
    assert work.payload_digest == "sha256:in"


# What the end of a run says about the letter it redrove.


def redrive(status: RunStatus, record: FailureRecord | None = None) -> Escalation:
    started = RunStarted(
        "r2", "etl", "h", "etl.yaml", 1, {}, "test", 0, lineage="r1", letter="DL-1", generation=2
    )
    fold = Escalation()
    fold.apply([started])
    if record is not None:
        fold.apply([NodeFinished(2, 3, NodeState.FAILED, 2, "load", failure=record)])
    fold.apply([RunFinished(8, status, record)])
    return fold


def test_a_redrive_settles_its_letter_and_leaves_no_other() -> None:
    origin = FailureOrigin(("flow:etl", "node:load", "task:2"), "load", attempt=2, max_attempts=2)
    record = FailureRecord("E", "m", "transient", failure_id="F-9", origin=origin)
    changes = redrive(RunStatus.FAILED, record).drain()
    assert changes.letter is None
    settled = changes.settled
    assert settled is not None
    assert (settled.dl_id, settled.outcome, settled.generation) == ("DL-1", "failed", 2)
    assert (settled.attempts, settled.at, settled.run_id) == (2, 8, "r2")
    assert settled.failure is not None
    assert settled.failure.failure_id == "F-9"
    assert settled.failure.generation == 2


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(RunStatus.COMPLETED, "resolved"), (RunStatus.CANCELLED, "failed")],
)
def test_a_redrive_without_a_failure_settles_its_letter_too(
    status: RunStatus, outcome: str
) -> None:
    settled = redrive(status).drain().settled
    assert settled is not None
    assert (settled.outcome, settled.failure, settled.attempts) == (outcome, None, 1)


def test_a_redrive_whose_process_died_is_lost() -> None:
    fold = Escalation(RunContext(run_id="r2", flow="etl", letter="DL-1", generation=1))
    fold.lose([OpenAttempt(node="load", attempt=2, max_attempts=3)], at=7)
    fold.apply([RunFinished(8, RunStatus.INTERRUPTED)])
    settled = fold.drain().settled
    assert settled is not None
    assert (settled.outcome, settled.attempts) == ("lost", 2)
    assert settled.failure is not None
    assert settled.failure.class_ == "worker_lost"
