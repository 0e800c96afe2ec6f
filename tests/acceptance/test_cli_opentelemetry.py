"""``tailrace run`` among programs that use OpenTelemetry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from collector import Collector
from processes import environ, start, tailrace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FLOW = """
from tailrace import Flow, task

@task
def one() -> int:
    return 1

@task
def two(one: int) -> int:
    return one + 1

flow = Flow("shop", one >> two)
"""

MEETING = """
import importlib, os, pathlib, time
from tailrace import Flow, task
execute = importlib.import_module("tailrace.runtime.execute")

look = execute._Prepared._is_new

def meet(self, run_id):
    found = look(self, run_id)
    pathlib.Path(f"here-{os.getpid()}").touch()
    while len(list(pathlib.Path().glob("here-*"))) < 3:
        time.sleep(0.005)
    return found

execute._Prepared._is_new = meet

@task
def one(me: int) -> int:
    return me

flow = Flow("shop", one)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.py").write_text(FLOW)
    return tmp_path


def run(folder: Path, *options: str, **more: str) -> dict[str, Any]:
    """Run the flow and return its result."""
    done = tailrace(folder, "run", "flow.py", "--json", *options, more=more)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"stderr": done.stderr}


def root(folder: Path, run_id: str) -> dict[str, Any]:
    shown = tailrace(folder, "trace", "show", run_id, "--format", "json").stdout
    found: dict[str, Any] = json.loads(shown)["spans"][0]
    return found


def test_a_run_belongs_to_the_span_in_its_environment(folder: Path) -> None:
    parent = f"00-{TRACE}-{SPAN}-01"
    first = run(folder, TRACEPARENT=parent)
    assert first["run_id"] == TRACE
    assert root(folder, TRACE)["parent_id"] == SPAN
    second = run(folder, TRACEPARENT=parent)
    assert second["run_id"] != TRACE
    (link,) = root(folder, second["run_id"])["links"]
    assert (link["trace_id"], link["span_id"]) == (TRACE, SPAN)


def test_tracer_otlp_sends_all_spans_before_the_process_ends(folder: Path) -> None:
    with Collector() as collector:
        found = run(folder, "--tracer", "otlp", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.traces)
    assert {span.trace_id for span in collector.spans} == {found["run_id"]}
    assert sorted(span.name for span in collector.spans) == [
        "attempt one",
        "attempt two",
        "node one",
        "node two",
        "run shop",
    ]


def test_a_collector_that_is_gone_is_told_once_and_the_run_is_good(folder: Path) -> None:
    with Collector() as collector:
        endpoint = collector.base
    found = run(folder, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert found["stderr"].count("cannot be sent") == 1
    assert endpoint in found["stderr"]


def test_settings_name_tracers_and_none_switches_them_off(folder: Path) -> None:
    (folder / "tailrace.toml").write_text('tracers = ["console"]\n')
    assert ". node one" in run(folder)["stderr"]
    assert ". node one" not in run(folder, "--tracer", "none")["stderr"]
    (folder / "tailrace.toml").write_text('tracers = ["loud"]\n')
    done = tailrace(folder, "run", "flow.py")
    assert done.returncode == 4
    assert "console and otlp" in done.stderr


def test_the_callers_tracestate_goes_on_and_is_shown(folder: Path) -> None:
    more = {"TRACEPARENT": f"00-{TRACE}-{SPAN}-01", "TRACESTATE": "vendor=7,other=x"}
    with Collector() as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.traces}
        run(folder, "--tracer", "otlp", **more, **endpoint)
    assert {span.trace_state for span in collector.spans} == {"vendor=7,other=x"}
    first = root(folder, TRACE)
    assert first["trace_state"] == "vendor=7,other=x"
    assert "tailrace.tracestate" not in first["attributes"]
    second = root(folder, run(folder, **more)["run_id"])
    assert "trace_state" not in second
    assert second["links"][0]["trace_state"] == "vendor=7,other=x"


def test_of_runs_that_take_the_callers_trace_at_once_one_has_it_and_all_are_kept(
    folder: Path,
) -> None:
    (folder / "flow.py").write_text(MEETING)
    more = environ({"TRACEPARENT": f"00-{TRACE}-{SPAN}-01"})
    started: list[subprocess.Popen[str]] = [
        start(folder, "run", "flow.py", "--json", "--param", f"me={number}", env=more)
        for number in range(3)
    ]
    ended = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ended
    found = [json.loads(output) for output, _ in ended]
    ids = {one["run_id"] for one in found}
    assert len(ids) == 3
    assert TRACE in ids
    assert sorted(one["output"] for one in found) == [0, 1, 2]
    for run_id in ids - {TRACE}:
        (link,) = root(folder, run_id)["links"]
        assert (link["trace_id"], link["span_id"]) == (TRACE, SPAN)
    assert root(folder, TRACE)["parent_id"] == SPAN
