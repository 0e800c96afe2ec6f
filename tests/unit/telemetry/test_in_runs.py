"""Telemetry around real runs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace import Context, Flow, OnError, Policy, Retry, task
from tailrace.failures.telemetry import (
    CompositeFailureTelemetry,
    FailureEventStream,
    FailureTelemetry,
    LoggingFailureTelemetry,
    MetricsFailureTelemetry,
    RingBufferFailureTelemetry,
)
from tailrace.model import FailureFilter, FailureSnapshot, RunStatus
from tailrace.runtime import RunOptions, RunResult, execute
from tailrace.runtime.config import RuntimeConfig, recent_failures
from tailrace.store import SqliteFailureLog

Run = Callable[..., RunResult]


@task
def parse(text: str) -> int:
    return int(text)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a flow in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def start(body: Any, config: RuntimeConfig | None = None, **params: Any) -> RunResult:
        return execute(Flow("numbers", body), RunOptions(params=params, config=config))

    return start


def way(failure: FailureSnapshot) -> list[tuple[object, ...]]:
    return [(hop.level, hop.directive, hop.reason, hop.at_ns) for hop in failure.trail]


def test_without_configuration_a_failure_is_in_the_log_the_ring_and_the_store(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = run(parse, text="seventeen")
    (logged,) = [record for record in caplog.records if record.name == "tailrace.failures"]
    failure = recent_failures()[-1]
    assert vars(logged)["failure_id"] == failure.failure_id
    assert failure.run_id == result.run_id
    kept = SqliteFailureLog(tmp_path / ".tailrace" / "tailrace.db").failures(FailureFilter())
    assert [(one.failure_id, one.fp_site) for one in kept] == [
        (failure.failure_id, failure.fp_site)
    ]
    assert way(kept[0]) == way(failure)


def test_a_run_without_failures_calls_nothing(run: Run, diary: Any) -> None:
    config = (
        RuntimeConfig()
        .with_failure_telemetry(diary)
        .with_event_listener(diary)
        .with_event_handler(diary.handle)
    )
    assert run(parse, config, text="17").ok
    assert diary.lines == []


def test_the_handler_gets_the_exception_that_the_task_raised(run: Run, diary: Any) -> None:
    run(parse, RuntimeConfig().with_event_handler(diary.handle), text="seventeen")
    (info,) = diary.of("handler")
    assert isinstance(info.error, ValueError)
    assert info.snapshot.message == str(info.error)


def test_telemetry_that_raises_changes_nothing_for_the_run(run: Run, diary: Any) -> None:
    class Broken:
        def on_failure(self, _: FailureSnapshot) -> None:
            raise RuntimeError("no")

    def broken_handler(_: object) -> None:
        raise RuntimeError("no")

    config = (
        RuntimeConfig()
        .with_failure_telemetry(Broken())
        .with_event_handler(broken_handler)
        .with_event_listener(diary)
    )
    result = run(parse, config, text="seventeen")
    assert result.status is RunStatus.FAILED
    assert result.report is not None
    assert result.report.error_type == "ValueError"
    assert [event.kind.value for event in diary.of("listener")][-2:] == [
        "root_escalated",
        "dead_lettered",
    ]


def test_a_parent_that_handles_leaves_telemetry_uncalled_and_an_event_with_resume(
    run: Run, diary: Any
) -> None:
    lenient = parse.with_policy(Policy(on_error=OnError(action="continue", value=0)))
    config = RuntimeConfig().with_failure_telemetry(diary).with_event_listener(diary)
    assert run(lenient, config, text="seventeen").ok
    assert diary.of("telemetry") == []
    hops = [event.hop.directive for event in diary.of("listener") if event.hop is not None]
    assert hops == ["resume"]


def test_each_retry_is_an_event_and_the_last_failure_is_told_once(run: Run) -> None:
    @task(policy=Policy(retry=Retry(max_attempts=2, delay="0s")))
    def flaky(ctx: Context) -> str:
        raise ConnectionError(f"reset at attempt {ctx.attempt}")

    stream, metrics = FailureEventStream(), MetricsFailureTelemetry()
    events = stream.subscribe()
    config = RuntimeConfig().with_failure_telemetry(metrics).with_event_listener(stream)
    run(flaky, config)
    stream.close()
    kinds = [event.kind.value for event in events]
    assert kinds.count("retried") == 2
    assert kinds.count("captured") == 3
    assert kinds.count("root_escalated") == 1
    assert metrics.snapshot().total == 1


def test_a_secret_reaches_neither_log_nor_ring(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    @task
    def login() -> None:
        raise RuntimeError("refused: password=hunter2hunter2")

    ring = RingBufferFailureTelemetry()
    both: FailureTelemetry = CompositeFailureTelemetry(LoggingFailureTelemetry(), ring)
    with caplog.at_level(logging.ERROR):
        run(login, RuntimeConfig().with_failure_telemetry(both))
    (failure,) = ring.dump()
    assert "refused" in failure.message
    assert "hunter2" not in repr(failure)
    assert all("hunter2" not in repr(vars(record)) for record in caplog.records)


PLUGIN = """
def broken(context):
    raise OSError("cannot connect")
"""


def test_telemetry_of_the_settings_that_cannot_be_built_ends_the_start_with_exit_code_4(
    tmp_path: Path,
) -> None:
    (tmp_path / "telemetry_plugin.py").write_text(PLUGIN, "utf-8")
    about = tmp_path / "telemetry_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: telemetry-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[tailrace.telemetry]\nours = telemetry_plugin:broken\n"
    )
    (tmp_path / "tailrace.toml").write_text('[failures]\ntelemetry = ["ours"]\n')
    (tmp_path / "flow.py").write_text(
        "from tailrace import Flow, task\n\n@task\ndef one() -> int:\n    print('ran')\n\n"
        "flow = Flow('f', one)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tailrace", "run", "flow.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "TR333" in done.stderr
    assert "raised OSError: cannot connect" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ran" not in done.stdout


def test_a_failed_run_on_the_command_line_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(
        "from tailrace import Flow, task\n\n@task\ndef one() -> int:\n    return int('x17')\n\n"
        "flow = Flow('f', one)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tailrace", "run", "flow.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "failure at" not in done.stdout + done.stderr
