"""From the records of a run to what a hub is told."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from tailrace.failures.supervision import Escalation
from tailrace.failures.telemetry import FailureEventKind, FailureHub, RunWatch
from tailrace.model import (
    AnyRecord,
    AttemptFailed,
    FailureOrigin,
    FailureRecord,
    NodeFinished,
    NodeState,
    RunFinished,
    RunStarted,
    RunStatus,
    new_sortable,
)
from tailrace.ports import FailureLog

RUN = "0197d6a4c7f87e1ab0c9d2e3f4a5b6c7"


def started(**fields: Any) -> RunStarted:
    return RunStarted(RUN, "etl", "", "flow.yaml", 1, {}, "test", 7, **fields)


def failed() -> FailureRecord:
    return FailureRecord(
        type="ValueError",
        message="no number",
        category="permanent",
        failure_id=f"F-{new_sortable()}",
        fingerprint="v1:" + "c" * 32,
        origin=FailureOrigin(("flow:etl", "node:load", "task:1"), "load", attempt=1),
    )


def ended(failure: FailureRecord, handled: str = "") -> NodeFinished:
    state = NodeState.SUCCEEDED if handled else NodeState.FAILED
    return NodeFinished(2, 3, state, 20, "load", failure=failure, handled=handled)


def watched(diary: Any, **fields: Any) -> RunWatch:
    hub = FailureHub(
        diary, store=cast("FailureLog", diary), handler=diary.handle, listeners=[diary]
    )
    escalation = Escalation()
    escalation.apply([started(**fields)])
    return RunWatch(hub, escalation)


def kinds(diary: Any) -> list[str]:
    return [event.kind.value for event in diary.of("listener")]


def test_a_failure_that_ends_its_run_is_told_at_its_end_with_its_exception(diary: Any) -> None:
    watch, failure, error = watched(diary), failed(), ValueError("no number")
    records: list[AnyRecord] = [
        ended(failure),
        RunFinished(30, RunStatus.FAILED, failure, failed_node="load"),
    ]
    watch.take(records[:1], {failure.failure_id: error})
    assert diary.of("telemetry") == []
    watch.take(records[1:], {failure.failure_id: error})
    (snapshot,) = diary.of("telemetry")
    assert snapshot.failure_id == failure.failure_id
    assert snapshot.stage.hops() == 3
    assert diary.of("handler")[0].error is error
    assert diary.of("store") == []  # the journal has it already
    assert kinds(diary) == ["captured", "hop", "hop", "hop", "root_escalated", "dead_lettered"]
    letter = diary.of("listener")[-1]
    assert letter.letter.failure_id == failure.failure_id
    assert letter.letter_id == letter.letter.dl_id


def test_a_failure_that_its_node_handles_reaches_the_listener_only(diary: Any) -> None:
    watch = watched(diary)
    watch.take([ended(failed(), handled="continue"), RunFinished(30, RunStatus.COMPLETED)], {})
    assert set(diary.callers) == {"listener"}
    assert kinds(diary) == ["captured", "hop"]
    assert diary.of("listener")[1].hop.directive == "resume"


def test_a_retried_attempt_is_an_event_and_no_more(diary: Any) -> None:
    watch = watched(diary)
    watch.take([AttemptFailed(3, 10, failed(), 1, 0.5)], {})
    assert kinds(diary) == ["captured", "retried"]
    assert set(diary.callers) == {"listener"}


def test_the_end_of_a_redrive_resolves_its_letter(diary: Any) -> None:
    watch = watched(diary, letter="DL-1", generation=1)
    watch.take([RunFinished(30, RunStatus.COMPLETED)], {})
    (event,) = diary.of("listener")
    assert (event.kind, event.letter_id) == (FailureEventKind.RESOLVED, "DL-1")
    assert event.data["outcome"] == "resolved"


def test_the_beginning_of_a_redrive_is_told_before_its_end(diary: Any) -> None:
    watch = watched(diary, letter="DL-1", generation=2)
    watch.take([started(letter="DL-1", generation=2)], {})
    (event,) = diary.of("listener")
    assert (event.kind, event.letter_id) == (FailureEventKind.REDRIVEN, "DL-1")
    assert (event.at_ns, event.data) == (1, {"generation": 2})
    watch.take([RunFinished(30, RunStatus.COMPLETED)], {})
    assert kinds(diary) == ["redriven", "resolved"]


def test_a_redrive_that_fails_again_is_dead_lettered_again(diary: Any) -> None:
    watch, failure = watched(diary, letter="DL-1", generation=2), failed()
    watch.take([ended(failure), RunFinished(30, RunStatus.FAILED, failure, "load")], {})
    event = diary.of("listener")[-1]
    assert (event.kind, event.letter_id) == (FailureEventKind.DEAD_LETTERED, "DL-1")
    assert event.data == {"outcome": "failed", "generation": 2}
    assert event.snapshot.failure_id == failure.failure_id


def test_without_listeners_nothing_but_the_end_is_told(diary: Any) -> None:
    escalation = Escalation()
    escalation.apply([started()])
    watch, failure = RunWatch(FailureHub(diary), escalation), failed()
    watch.take([ended(failure), RunFinished(30, RunStatus.FAILED, failure, "load")], {})
    assert diary.callers == ["telemetry"]


def test_a_run_without_a_store_tells_of_no_letter(diary: Any) -> None:
    escalation = Escalation()
    escalation.apply([started()])
    watch = RunWatch(FailureHub(listeners=[diary]), escalation, stored=False)
    failure = failed()
    watch.take([ended(failure), RunFinished(30, RunStatus.FAILED, failure, "load")], {})
    assert kinds(diary)[-1] == "root_escalated"


def test_a_fold_that_breaks_does_not_reach_the_run_and_is_said_once(
    diary: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def apply(self, _: Any) -> None:
            raise RuntimeError("broken fold")

    watch = RunWatch(FailureHub(diary), cast("Escalation", Broken()))
    with caplog.at_level(logging.WARNING, "tailrace.telemetry"):
        watch.take([ended(failed())], {})
        watch.take([ended(failed())], {})
    assert watch.faults == 2
    assert len(caplog.records) == 1
