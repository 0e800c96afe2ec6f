"""Every example runs as a user runs it: as a process, through the ``tailrace`` command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from processes import tailrace
from tailrace import Flow

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", ".tailrace", "logs")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples, so that nothing is left in the repository."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=LEFT_BEHIND)
    for variable in [name for name in os.environ if name.startswith(("TAILRACE_", "GITHUB_"))]:
        monkeypatch.delenv(variable)
    return tmp_path


def run(desk: Path, flow: str, *options: str, code: int = 0) -> dict[str, Any]:
    done = tailrace(desk, "run", f"examples/{flow}", "--json", *options)
    assert done.returncode == code, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def spans(desk: Path) -> list[dict[str, Any]]:
    done = tailrace(desk, "trace", "show", "@last", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["spans"]
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [span["name"] for span in found]


@pytest.mark.parametrize(
    "flow",
    [
        "first_flow/hello.py",
        "first_flow/flow.yaml",
        "weather/flow.py",
        "weather/flow.yaml",
        "flaky_api/flow.py",
        "nested_loop/flow.yaml",
        "hanging_task/flow.py",
    ],
)
def test_an_example_has_no_findings(flow: str, desk: Path) -> None:
    done = tailrace(desk, "check", f"examples/{flow}", "--format", "json")
    assert done.returncode == 0, done.stdout
    assert not json.loads(done.stdout)["findings"]


@pytest.mark.parametrize("flow", ["first_flow/hello.py", "first_flow/flow.yaml"])
def test_the_first_flow_greets_in_both_spellings(flow: str, desk: Path) -> None:
    assert run(desk, flow)["output"] == "HELLO, ADA! HELLO, GRACE!"
    assert run(desk, flow, "-p", 'names=["Linus"]')["output"] == "HELLO, LINUS!"


@pytest.mark.parametrize("flow", ["weather/flow.py", "weather/flow.yaml"])
def test_the_weather_of_four_years_is_compared_and_reported(flow: str, desk: Path) -> None:
    output = run(desk, flow)["output"]
    assert output["headline"].startswith("2015 was the warmest year, 2014 the wettest")
    report = Path(output["report"])
    text = report.read_text("utf-8")
    assert "| 2012 | 366 | 1,226.0 | 177 | 15.28 | 34.4 on 2012-08-16 |" in text
    plot = ET.fromstring((report.parent / "weather.svg").read_text("utf-8"))  # noqa: S314 - our own file
    lines = plot.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4
    assert all(len(line.attrib["points"].split()) == 12 for line in lines)


def test_each_year_is_an_iteration_of_the_loop(desk: Path) -> None:
    run(desk, "weather/flow.yaml")
    found = names(spans(desk))
    assert [f"years[{year}]" for year in range(2012, 2016)] == [
        name for name in found if name.startswith("years[")
    ]
    assert found.count("node aggregate") == 4
    assert {"node read", "node compare", "node plot", "node report"} <= set(found)


def test_both_spellings_of_the_weather_flow_are_one_definition(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = desk / "examples" / "weather"
    monkeypatch.chdir(folder)
    in_yaml, in_python = Flow.load("flow.yaml"), Flow.load("flow.py")
    assert in_yaml.definition_hash == in_python.definition_hash
    text = (folder / "flow.yaml").read_text("utf-8")
    (folder / "other.yaml").write_text(text.replace("concurrency=4", "concurrency=2"), "utf-8")
    assert Flow.load("other.yaml").definition_hash != in_yaml.definition_hash


def test_a_bad_row_stops_the_weather_flow_with_its_line(desk: Path) -> None:
    folder = desk / "examples" / "weather"
    lines = (folder / "seattle-weather.csv").read_text("utf-8").splitlines()
    lines[99] = lines[99].replace(",", ",-,", 1)
    lines[499] = "2013/02/30,0,5,4,1,sun"
    broken = desk / "broken.csv"
    broken.write_text("\n".join(lines) + "\n", "utf-8")
    report = run(desk, "weather/flow.yaml", "-p", f"source={broken}", code=1)["report"]
    assert report["failed_node_id"] == "validate"
    assert report["error_type"].endswith("BadRowsError")
    assert report["error_message"].startswith("2 of 1461 rows: line 100: ")
    assert "line 500: date is '2013/02/30'" in report["error_message"]
    assert "tasks.py:" in report["location"]


def test_the_demo_shows_a_good_run_and_then_why_a_bad_one_failed(desk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "examples/weather/demo.py"],
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout
    order = ["2015 was the warmest year", "Flow failed.", "failed_node: validate", "Try next:"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "line 718: temp_max is 'mild'" in text


def test_a_flaky_server_is_asked_until_it_answers(desk: Path) -> None:
    assert run(desk, "flaky_api/flow.py")["output"] == 215
    attempts = [span for span in spans(desk) if span["name"] == "attempt fetch"]
    assert [span["status"] for span in attempts] == ["error", "error", "unset"]
    assert attempts[0]["attributes"]["tailrace.category"] == "transient"
    node = next(span for span in spans(desk) if span["name"] == "node fetch")
    assert node["status"] == "unset"


def test_a_server_that_stays_down_fails_the_run_after_the_last_attempt(desk: Path) -> None:
    report = run(desk, "flaky_api/flow.py", "-p", "failures=9", code=1)["report"]
    assert (report["failed_node_id"], report["attempt"], report["attempts"]) == ("fetch", 4, 4)


def test_nested_loops_take_the_branch_of_each_iteration(desk: Path) -> None:
    output = run(desk, "nested_loop/flow.yaml")["output"]
    assert output == {
        "actions": {
            "attic": ["heat", "heat", "heat"],
            "cellar": ["keep", "keep", "keep"],
            "study": ["cool", "cool", "cool"],
        },
        "drift": 0.5,
    }
    found = spans(desk)
    paths = [span["attributes"].get("tailrace.node.path") for span in found]
    assert "hours[2].rooms_now[1].keep" in paths
    assert names(found).count("node poll") == 4
    branches = {
        span["attributes"]["executed_branch_key"]
        for span in found
        if "executed_branch_key" in span["attributes"]
    }
    assert branches == {"cold", "warm", "default"}


def test_tasks_that_hang_are_killed_and_the_flow_goes_on(desk: Path) -> None:
    done = tailrace(desk, "run", "examples/hanging_task/flow.py")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == "2.8 by default tuning"
    hung = [int(pid) for pid in re.findall(r"runs in process (\d+)", done.stderr)]
    assert len(hung) == 2
    for pid in hung:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_failures_that_were_handled_count_when_asked_to(desk: Path) -> None:
    answer = run(desk, "hanging_task/flow.py", "--strict", code=1)
    assert (answer["status"], answer["handled_failures"]) == ("COMPLETED", 2)
