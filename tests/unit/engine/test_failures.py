"""What the engine makes of failures: rules of a task, and no secret in any of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tailrace import Flow, Policy, Retry, Rule, task
from tailrace.model import RunStatus
from tailrace.model.failure import FailureFilter
from tailrace.testing import MemoryStore

TASKS = """
def look_up():
    raise KeyError("slot")

def tell_all(api_key):
    raise RuntimeError(f"bad {api_key}")
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions that child processes can import, too."""
    (tmp_path / "failing_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("failing_tasks", None)
    return importlib.import_module("failing_tasks")


@pytest.mark.parametrize("isolation", ["auto", "thread", "process"])
def test_rules_of_a_task_say_what_its_failures_mean(
    isolation: str, tasks: ModuleType, tmp_path: Path
) -> None:
    rules = [Rule(type="KeyError", category="transient", class_="throttled")]
    flow = Flow("rules", task(tasks.look_up, rules=rules, isolation=isolation))
    result: Any = flow.run(db=tmp_path / "runs.db", raise_on_failure=False)
    report = result.report
    assert (report.category, report.error_class) == ("transient", "throttled")
    assert report.rule.startswith("rule:")


@pytest.mark.parametrize("isolation", ["auto", "process"])
def test_rules_of_a_flow_hold_for_all_of_its_tasks_after_their_own(
    isolation: str, tasks: ModuleType, tmp_path: Path
) -> None:
    own = [Rule(type="IndexError", category="permanent", class_="bug")]
    common = [
        Rule(type="IndexError", category="transient", class_="network"),
        Rule(type="KeyError", category="transient", class_="throttled"),
    ]
    node = task(tasks.look_up, rules=own, isolation=isolation)
    result: Any = Flow("rules", node, rules=common).run(
        db=tmp_path / "runs.db", raise_on_failure=False
    )
    assert (result.report.category, result.report.error_class) == ("transient", "throttled")


def test_rules_of_a_task_go_before_those_of_its_flow() -> None:
    @task(rules=[Rule(type="ConnectionError", category="permanent")])
    def refused() -> None:
        raise ConnectionError("blocked for good")

    flow = Flow("order", refused, rules=[Rule(type="ConnectionError", category="transient")])
    result: Any = flow.run(store=False, raise_on_failure=False)
    assert result.report.category == "permanent"


def test_rules_of_a_task_decide_whether_it_is_tried_again() -> None:
    calls: list[int] = []

    @task(
        rules=[Rule(type="ConnectionError", category="permanent")],
        policy=Policy(retry=Retry(max_attempts=3)),
    )
    def refused() -> None:
        calls.append(1)
        raise ConnectionError("blocked for good")

    result: Any = Flow("final", refused).run(store=False, raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    assert calls == [1]


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_the_value_of_a_secret_input_is_in_no_message(isolation: str, tasks: ModuleType) -> None:
    store = MemoryStore()
    flow = Flow("secret", task(tasks.tell_all, isolation=isolation))
    result: Any = flow.run(api_key="s3cr3t-value", store=store, raise_on_failure=False)

    [failure] = store.failures(FailureFilter())
    assert failure.message == "bad [redacted]"
    assert "s3cr3t-value" not in result.report.to_json()
    assert "s3cr3t-value" not in repr(store.trace(result.run_id))
