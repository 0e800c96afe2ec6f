"""Records in, spans out: names, attributes and status as the contract's table has them."""

from __future__ import annotations

import typing
from typing import Any

from tailrace.model import (
    AnyRecord,
    AttemptFailed,
    AttemptStarted,
    EventsDropped,
    FailureRecord,
    Frame,
    Logged,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    NodeState,
    Progress,
    RunFinished,
    RunStarted,
    RunStatus,
    ScopeFinished,
    ScopeStarted,
    ShapeDeclared,
    Span,
    SpanStatus,
    SpanType,
    UserSpanFinished,
    UserSpanStarted,
)
from tailrace.tracing.projection import Projection
from tailrace.tracing.spans import Spans, fold, interruption

BASE = 0x00F0_0000_0000_0000
BOOM = FailureRecord(
    "ValueError",
    "bad row 17",
    "unknown",
    location="etl/tasks.py:41",
    source_line="rows.append(parse(row))",
    function="transform",
    causes=(("KeyError", "'day'"),),
    fingerprint="f00d",
    failure_id="F-01",
    class_="validation",
    rule="type:ValueError",
    notes=("of orders.csv",),
    children=(("TimeoutError", "late"),),
    frames=(Frame("etl.tasks", "transform", "etl/tasks.py", 41, in_app=True),),
)
SHAPE = ShapeDeclared(1, "etl:clean", {"kind": "sync", "policy": {"timeout": 5}})


def started(**changes: Any) -> RunStarted:
    given: dict[str, Any] = {
        "run_id": "0" * 31 + "1",
        "flow": "weather",
        "flow_hash": "abc",
        "flow_source": "flow.yaml",
        "at": 100,
        "params": {"day": "today"},
        "source": "cli",
        "span_base": BASE,
    }
    return RunStarted(**(given | changes))


def node(span: int, name: str, at: int, *, parent: int = 1, **changes: Any) -> NodeStarted:
    given: dict[str, Any] = {"path": "", "inputs": {"x": 3}}
    given |= changes
    return NodeStarted(span, span + 1, parent, 1, name, at=at, **given)


def finished(span: int, name: str, at: int, **changes: Any) -> NodeFinished:
    given: dict[str, Any] = {
        "state": NodeState.SUCCEEDED,
        "output": b"7",
        "codec": "json",
        "summary": 7,
        "checkpoint": "stored",
        "attempt_span": span + 1,
    }
    return NodeFinished(span=span, at=at, path=name, **(given | changes))


def spans_of(*records: AnyRecord) -> dict[str, Span]:
    return {span.name: span for span in fold(records).trace().spans}


def test_every_kind_of_record_has_a_fold() -> None:
    assert set(Projection._folds) == set(typing.get_args(AnyRecord))


def test_a_chain_gives_the_run_its_nodes_and_their_attempts_in_order() -> None:
    spans = (
        fold([started(), SHAPE, node(2, "a", 110), finished(2, "a", 120), node(4, "b", 121)])
        .trace()
        .spans
    )

    assert [span.name for span in spans] == [
        "run weather", "node a", "attempt a", "node b", "attempt b",
    ]  # fmt: skip
    assert [span.type for span in spans[:3]] == [SpanType.RUN, SpanType.NODE, SpanType.ATTEMPT]
    assert [span.parent_id for span in spans] == [
        None, spans[0].span_id, spans[1].span_id, spans[0].span_id, spans[3].span_id,
    ]  # fmt: skip
    assert spans[0].span_id == f"{BASE + 1:016x}"
    assert [span.end_ns for span in spans] == [None, 120, 120, None, None]


def test_a_node_carries_what_is_static_its_inputs_and_its_output() -> None:
    span = spans_of(started(), SHAPE, node(2, "a", 110), finished(2, "a", 120))["node a"]

    assert span.attributes == {
        "tailrace.task": "etl:clean",
        "tailrace.node.kind": "sync",
        "tailrace.policy": '{"timeout":5}',
        "tailrace.node.path": "a",
        "tailrace.input.x": 3,
        "tailrace.output": 7,
        "tailrace.checkpoint": "stored",
        "tailrace.state": "SUCCEEDED",
    }
    assert (span.status, span.message) == (SpanStatus.UNSET, "")


def test_a_run_carries_flow_hash_params_and_its_end() -> None:
    end = RunFinished(200, RunStatus.COMPLETED, handled_failures=2, output="fine")
    run = spans_of(started(resumed_from="old", attributes={"worker": "w1"}), end)["run weather"]

    assert run.attributes == {
        "tailrace.flow.name": "weather",
        "tailrace.flow.hash": "abc",
        "tailrace.source": "cli",
        "tailrace.run.id": "0" * 31 + "1",
        "tailrace.resumed_from": "old",
        "tailrace.param.day": "today",
        "tailrace.worker": "w1",
        "tailrace.status": "COMPLETED",
        "tailrace.handled_failures": 2,
        "tailrace.output": "fine",
    }
    assert (run.start_ns, run.end_ns, run.status) == (100, 200, SpanStatus.UNSET)


def test_a_remote_parent_is_the_parent_of_the_run() -> None:
    run = spans_of(started(parent_span_id="00f067aa0ba902b7"))["run weather"]

    assert run.parent_id == "00f067aa0ba902b7"


def test_a_failure_healed_by_a_later_attempt_marks_the_attempt_only() -> None:
    spans = fold([
        started(),
        SHAPE,
        node(2, "a", 110, max_attempts=3),
        AttemptFailed(3, 115, BOOM, 1, 0.5),
        AttemptStarted(4, 2, 2, 118, 0.5, 3),
        finished(2, "a", 120, attempt_span=4, attempt=2),
    ]).trace().spans  # fmt: skip
    _, whole, first, second = spans

    assert (first.status, first.message, first.end_ns) == (SpanStatus.ERROR, "bad row 17", 115)
    assert first.attributes["exception.stacktrace"].splitlines() == [
        "Traceback (most recent call last):",
        '  File "etl/tasks.py", line 41, in transform',
        "ValueError: bad row 17",
        "of orders.csv",
    ]
    assert (whole.status, whole.message) == (SpanStatus.UNSET, "")
    assert "error.type" not in whole.attributes
    assert whole.attributes["tailrace.attempt"] == 2
    assert whole.attributes["tailrace.max_attempts"] == 3
    assert second.status is SpanStatus.UNSET
    assert second.attributes["tailrace.attempt"] == 2
    assert second.attributes["tailrace.delay_s"] == 0.5
    assert second.name == "attempt a"


def test_a_failure_for_good_marks_attempt_node_and_run() -> None:
    end = RunFinished(130, RunStatus.FAILED, BOOM, "a")
    failed = finished(2, "a", 120, state=NodeState.FAILED, failure=BOOM, codec="", output=None)
    spans = spans_of(started(), SHAPE, node(2, "a", 110), failed, end)

    for span in spans.values():
        assert (span.status, span.message) == (SpanStatus.ERROR, "bad row 17")
        assert span.attributes["error.type"] == "ValueError"
        assert span.attributes["exception.type"] == "ValueError"
        assert span.attributes["exception.message"] == "bad row 17\nof orders.csv"
        assert span.attributes["tailrace.category"] == "unknown"
        assert span.attributes["tailrace.fingerprint"] == "f00d"
        assert span.attributes["tailrace.failure_id"] == "F-01"
        assert span.attributes["tailrace.class"] == "validation"
        assert span.attributes["tailrace.rule"] == "type:ValueError"
    assert spans["attempt a"].attributes["tailrace.location"] == "etl/tasks.py:41"
    assert spans["attempt a"].attributes["tailrace.causes"] == [
        "KeyError: 'day'",
        "TimeoutError: late",
    ]
    assert spans["run weather"].attributes["tailrace.failed_node"] == "a"
    assert "tailrace.output" not in spans["node a"].attributes


def test_a_handled_failure_stays_an_error_and_says_so() -> None:
    handled = finished(2, "a", 120, state=NodeState.FAILED, failure=BOOM, handled="continue")
    span = spans_of(started(), SHAPE, node(2, "a", 110), handled)["node a"]

    assert span.status is SpanStatus.ERROR
    assert span.attributes["tailrace.handled"] is True
    assert span.attributes["tailrace.handled_by"] == "continue"
    assert span.attributes["tailrace.output"] == 7


def test_a_timeout_is_marked() -> None:
    late = FailureRecord("TimeoutError", "over 5 s", "timeout")
    failed = finished(2, "a", 120, state=NodeState.FAILED, failure=late)
    spans = spans_of(started(), SHAPE, node(2, "a", 110), failed)

    assert spans["node a"].attributes["timeout"] is True
    assert spans["attempt a"].attributes["timeout"] is True


def test_what_was_only_cancelled_is_no_error() -> None:
    failure = FailureRecord("CancelledError", "a sibling failed", "cancelled")
    cancelled = finished(2, "a", 120, state=NodeState.CANCELLED, failure=failure)
    end = RunFinished(130, RunStatus.CANCELLED, failure, reason="Ctrl-C")
    spans = spans_of(started(), SHAPE, node(2, "a", 110), cancelled, end)

    assert {span.status for span in spans.values()} == {SpanStatus.UNSET}
    assert spans["node a"].message == "a sibling failed"
    assert spans["node a"].attributes["tailrace.state"] == "CANCELLED"
    assert spans["run weather"].message == "Ctrl-C"
    assert spans["run weather"].attributes["tailrace.status"] == "CANCELLED"


def test_a_skipped_node_has_no_duration_and_a_reason() -> None:
    skipped = NodeSkipped(2, 1, 1, "a", "", 110, NodeState.SKIPPED, "needs b")
    span = spans_of(started(), SHAPE, skipped)["node a"]

    assert span.duration_ns == 0
    assert span.attributes["tailrace.skip.reason"] == "needs b"
    assert span.attributes["tailrace.state"] == "SKIPPED"


def test_a_loop_has_a_container_and_iterations_counted_from_one() -> None:
    spans = spans_of(
        started(),
        SHAPE,
        ScopeStarted(2, 1, "container", "foreach", "each", "", 110, {"count": 1}),
        ScopeStarted(3, 2, "iteration", "foreach", "each[0]", "", 111, {"iteration_number": 1}),
        node(4, "load", 112, parent=3, path="each[0].load"),
        finished(4, "each[0].load", 113),
        ScopeFinished(3, NodeState.SUCCEEDED, 114, "", {}),
        ScopeFinished(2, NodeState.SUCCEEDED, 115, "each", {"exit_reason": "done"}),
    )

    assert spans["foreach each"].attributes == {
        "tailrace.node.kind": "foreach",
        "tailrace.node.path": "each",
        "tailrace.count": 1,
        "tailrace.exit_reason": "done",
        "tailrace.state": "SUCCEEDED",
    }
    iteration = spans["each[0]"].attributes
    assert iteration["iteration_number"] == iteration["tailrace.iteration_number"] == 1
    assert spans["node load"].attributes["tailrace.node.path"] == "each[0].load"
    assert spans["node load"].parent_id == spans["each[0]"].span_id


def test_a_switch_names_the_branch_taken_in_both_forms() -> None:
    spans = spans_of(
        started(),
        ScopeStarted(2, 1, "container", "switch", "mode", "", 110, {}),
        ScopeFinished(2, NodeState.SUCCEEDED, 115, "mode", {"executed_branch_key": "fast"}),
    )
    attributes = spans["switch mode"].attributes

    assert attributes["executed_branch_key"] == "fast"
    assert attributes["tailrace.executed_branch_key"] == "fast"


def test_a_failed_container_is_an_error_without_the_stack() -> None:
    spans = spans_of(
        started(),
        ScopeStarted(2, 1, "container", "all", "all", "", 110, {}),
        ScopeFinished(2, NodeState.FAILED, 115, "all", {}, BOOM),
    )

    assert spans["all all"].status is SpanStatus.ERROR
    assert "exception.stacktrace" not in spans["all all"].attributes


def test_user_spans_and_attributes_keep_their_own_keys() -> None:
    spans = spans_of(
        started(),
        SHAPE,
        node(2, "a", 110),
        UserSpanStarted(4, 3, "parse", 111, {"file": "x.csv"}),
        UserSpanFinished(4, 112, {"rows": [1, 2]}),
        finished(2, "a", 120, attributes={"rows": 9}),
    )

    assert spans["parse"].attributes == {
        "file": "x.csv", "rows": [1, 2], "tailrace.state": "SUCCEEDED",
    }  # fmt: skip
    assert spans["parse"].parent_id == spans["attempt a"].span_id
    assert spans["node a"].attributes["rows"] == 9


def test_a_later_name_of_a_users_span_is_its_name() -> None:
    spans = Spans()
    spans.apply((started(), UserSpanStarted(2, 1, "GET", 110, {})))
    changes = spans.apply([UserSpanFinished(2, 111, {"otel.span.name": "GET /orders", "n": 1})])

    assert [(span.name, span.attributes["n"]) for span in changes.ended] == [("GET /orders", 1)]
    assert "otel.span.name" not in changes.ended[0].attributes


def test_logs_are_events_and_dropped_ones_are_counted_even_late() -> None:
    spans = spans_of(
        started(),
        SHAPE,
        node(2, "a", 110),
        Logged(3, 111, "stdout", {"message": "hello"}),
        EventsDropped(3, 4),
        finished(2, "a", 120),
        Logged(3, 130, "late result", {}),
        EventsDropped(3, 1),
    )
    attempt = spans["attempt a"]

    assert [(event.time_ns, event.name) for event in attempt.events] == [
        (111, "stdout"), (130, "late result"),
    ]  # fmt: skip
    assert attempt.events[0].attributes == {"message": "hello"}
    assert attempt.dropped_events == 5


def test_the_newest_progress_counts() -> None:
    spans = spans_of(
        started(), SHAPE, node(2, "a", 110), Progress(3, 111, 1.0, 4.0), Progress(3, 112, 3.0, 4.0)
    )

    assert spans["attempt a"].attributes["tailrace.progress.done"] == 3.0
    assert spans["attempt a"].attributes["tailrace.progress.total"] == 4.0


def test_spans_open_at_the_end_of_the_run_are_closed_by_it() -> None:
    end = RunFinished(130, RunStatus.COMPLETED)
    span = spans_of(started(), UserSpanStarted(2, 1, "left", 110, {}), end)["left"]

    assert (span.end_ns, span.status) == (130, SpanStatus.UNSET)
    assert span.message == "still open when the run ended"


def test_an_interrupted_run_ends_at_its_last_sign_of_life() -> None:
    projection = Projection()
    projection.apply([started(), SHAPE, node(2, "a", 110), Logged(3, 125, "log", {})])
    end = interruption(projection)
    spans = spans_of(started(), SHAPE, node(2, "a", 110), Logged(3, 125, "log", {}), end)

    for span in spans.values():
        assert (span.end_ns, span.status, span.message) == (125, SpanStatus.ERROR, "interrupted")
    assert spans["node a"].attributes["tailrace.state"] == "INTERRUPTED"
    assert spans["run weather"].attributes["tailrace.status"] == "INTERRUPTED"


def test_the_summary_of_a_failed_run_says_where_and_why() -> None:
    run = fold([started(), RunFinished(130, RunStatus.FAILED, BOOM, "a.b")]).trace().run

    assert (run.status, run.failed_node, run.reason) == (
        RunStatus.FAILED, "a.b", "ValueError: bad row 17",
    )  # fmt: skip
    assert (run.flow, run.flow_hash, run.flow_source, run.spans) == (
        "weather", "abc", "flow.yaml", 1,
    )  # fmt: skip


def test_records_about_unknown_spans_change_nothing() -> None:
    spans = fold([
        started(),
        finished(9, "ghost", 120),
        AttemptFailed(8, 120, BOOM, 1, 0.0),
        ScopeFinished(7, NodeState.SUCCEEDED, 121, "", {}),
        UserSpanFinished(6, 122, {}),
        Progress(5, 123, 1.0, None),
    ]).trace().spans  # fmt: skip

    assert [span.name for span in spans] == ["run weather"]


def test_live_views_get_each_span_once_when_it_starts_and_once_when_it_ends() -> None:
    live = Spans(keep=False)
    seen: list[tuple[str, str]] = []
    batches: list[list[AnyRecord]] = [
        [started()],
        [SHAPE, node(2, "a", 110)],
        [finished(2, "a", 120), node(4, "b", 120)],
        [finished(4, "b", 130), RunFinished(131, RunStatus.COMPLETED)],
    ]
    for batch in batches:
        changes = live.apply(batch)
        seen += [("start", span.name) for span in changes.started]
        seen += [("end", span.name) for span in changes.ended]

    assert seen == [
        ("start", "run weather"),
        ("start", "node a"), ("start", "attempt a"),
        ("start", "node b"), ("start", "attempt b"), ("end", "attempt a"), ("end", "node a"),
        ("end", "attempt b"), ("end", "node b"), ("end", "run weather"),
    ]  # fmt: skip
    assert live.trace().spans == []
