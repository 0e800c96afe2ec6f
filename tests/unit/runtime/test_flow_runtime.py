"""The older interface, reports, and what a run leaves beside its trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace import Flow, FlowRuntime, Policy, Retry, RunFailed, RuntimeExecutionReport, Span, task
from tailrace.model import RunStatus
from tailrace.runtime import RunOptions, execute
from tailrace.store import SqliteTraceReader
from tailrace.testing import MemoryStore


@pytest.fixture(autouse=True)
def _fresh_runtime() -> Iterator[None]:
    FlowRuntime.configure(store=MemoryStore())
    yield
    FlowRuntime.configure()


@task
def shout(text: str, ctx: Any) -> str:
    ctx.scratch["seen"] = text
    return text.upper()


def test_run_takes_a_context_and_returns_one() -> None:
    context = {"params": {"text": "hi"}, "scratch": {"before": 1}}
    after = FlowRuntime.current().run(Flow("f", shout), context)
    assert after.results == {"shout": "HI"}
    assert after.output == "HI"
    assert dict(after.scratch) == {"before": 1, "seen": "hi"}
    assert len(after.run_id) == 32


def test_a_context_of_other_keys_is_all_params() -> None:
    assert FlowRuntime.current().run(Flow("f", shout), {"text": "hi"}).output == "HI"


def test_a_report_passed_in_is_filled_when_the_run_fails() -> None:
    @task
    def broken(row: int) -> None:
        raise ValueError("bad row 17")

    report = RuntimeExecutionReport()
    policy = Policy(retry=Retry(max_attempts=1))
    with pytest.raises(RunFailed):
        FlowRuntime.current().run(Flow("f", broken, policy=policy), {"row": 17}, report=report)
    assert report.failed_node_id == "broken"
    assert report.summary.startswith("Retry max attempts exceeded (attempt 2 of 2)")
    assert report.input_summary == {"row": 17}
    assert report.policy_snapshot["retry"]["max_attempts"] == 1
    assert report.context_digest["params"] == {"row": 17}
    assert json.loads(report.to_json())["trace_id"] == report.trace_id


def test_configured_options_hold_for_every_run() -> None:
    calls: list[int] = []

    @task
    def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("no")
        return len(calls)

    runtime = FlowRuntime.configure(store=False, policy=Policy(retry=Retry(max_attempts=2)))
    assert FlowRuntime.current() is runtime
    assert runtime.run(Flow("f", flaky)).output == 3


class Recorder:
    def __init__(self, *, fails: bool = False) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        self.closed = False
        self.fails = fails

    def on_start(self, span: Span) -> None:
        self.started.append(span.name)

    def on_end(self, span: Span) -> None:
        self.ended.append(span.name)
        if self.fails:
            raise RuntimeError("tracer trouble")

    def close(self) -> None:
        self.closed = True


def test_a_tracer_sees_spans_as_they_happen() -> None:
    tracer = Recorder()
    FlowRuntime.configure(store=False, tracer=tracer).run(Flow("f", shout), {"text": "a"})
    assert tracer.started == ["run f", "node shout", "attempt shout"]
    assert tracer.ended == ["attempt shout", "node shout", "run f"]
    assert tracer.closed


def test_a_tracer_that_fails_is_reported_once_and_never_fails_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracer = Recorder(fails=True)

    @task
    def start() -> int:
        return 1

    @task
    def step(value: int) -> int:
        return value + 1

    body: Any = start
    for number in range(1, 8):
        body = body >> step.named(f"n{number}")
    runtime = FlowRuntime.configure(store=False, tracer=tracer)
    assert runtime.run(Flow("f", body)).output == 8
    assert len(tracer.ended) == 5
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["a tracer failed", "a tracer is switched off"]


def test_a_run_without_options_writes_to_the_database_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = Flow("f", shout).run(text="x")
    with_reader = SqliteTraceReader(tmp_path / ".tailrace" / "tailrace.db")
    assert with_reader.runs()[0].run_id == result.run_id
    with_reader.close()
    assert not (tmp_path / "logs").exists()


def test_an_equal_failure_is_recognised_in_the_next_run(tmp_path: Path) -> None:
    fail = [False, True, True]

    @task
    def sometimes() -> None:
        if fail[0]:
            raise ValueError("no")

    flow = Flow("f", sometimes)
    reports = []
    for now in fail:
        fail[0] = now
        result = execute(flow, RunOptions(db=tmp_path / "t.db"))
        reports.append(result.report)
    assert reports[0] is None
    assert reports[1] is not None
    assert reports[1].seen_before["count"] == 0
    assert reports[2] is not None
    assert reports[2].seen_before["count"] == 1
    assert "last_success" in reports[2].seen_before


def test_artifacts_are_kept_inside_the_runs_folder(tmp_path: Path) -> None:
    @task
    def save(ctx: Any) -> Any:
        return ctx.save_artifact("reports/a.txt", "hello")

    @task
    def escape(ctx: Any) -> None:
        ctx.save_artifact("../outside.txt", "no")

    result = Flow("f", save).run(db=tmp_path / "t.db", output_dir=tmp_path)
    saved = Path(result.output)
    assert saved.read_text() == "hello"
    assert saved.is_relative_to(tmp_path / "artifacts" / result.run_id)
    entry = result.artifacts["reports/a.txt"]
    assert (entry["size"], entry["type"]) == (5, "str")
    failed = Flow("g", escape).run(
        db=tmp_path / "t.db", output_dir=tmp_path, raise_on_failure=False
    )
    assert failed.status is RunStatus.FAILED
    assert not (tmp_path / "outside.txt").exists()


def test_user_spans_and_events_hang_under_the_attempt() -> None:
    @task
    def work(ctx: Any) -> None:
        ctx.log.info("starting %s", "now")
        with ctx.span("parse", rows=3) as span:
            span.set_attribute("done", True)
            with span("inner"):
                pass
        ctx.event("milestone", number=1)
        ctx.progress(1, 2)
        print("printed")

    store = MemoryStore()
    result = Flow("f", work).run(store=store)
    spans = {span.name: span for span in store.trace(result.run_id).spans}
    attempt = spans["attempt work"]
    assert spans["parse"].parent_id == attempt.span_id
    assert spans["inner"].parent_id == spans["parse"].span_id
    assert spans["parse"].attributes["rows"] == 3
    assert spans["parse"].attributes["done"] is True
    events = {event.name: event.attributes for event in attempt.events}
    assert events["log"]["message"] == "starting now"
    assert events["milestone"] == {"number": 1}
    assert events["stdout"]["message"] == "printed"


def test_prints_and_logs_of_parallel_branches_go_to_their_own_spans() -> None:
    import threading

    gate = threading.Barrier(2, timeout=30)

    def speaker(word: str) -> Any:
        def speak() -> None:
            gate.wait()
            print(word)
            gate.wait()

        return task(speak).named(word)

    store = MemoryStore()
    result = Flow("f", speaker("left") & speaker("right")).run(store=store)
    for name in ("left", "right"):
        span = next(s for s in store.trace(result.run_id).spans if s.name == f"attempt {name}")
        assert [event.attributes["message"] for event in span.events] == [name]
