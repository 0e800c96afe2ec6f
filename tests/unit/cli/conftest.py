"""Traces made of real journal records, folded by the one projection."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tailrace.cli.terminal import Terminal
from tailrace.model import (
    AnyRecord,
    AttemptFailed,
    AttemptStarted,
    FailureRecord,
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
    Trace,
)
from tailrace.model.failure import (
    Cause,
    EscalationStage,
    FailureGroup,
    FailureSnapshot,
    Frame,
    Hop,
    Origin,
)
from tailrace.model.letter import DeadLetter
from tailrace.tracing.spans import Spans

START = 1_763_700_000_000_000_000
MS = 1_000_000
FAILURE = FailureRecord(
    "ValueError",
    "bad row 17",
    "permanent",
    location="etl/tasks.py:41",
    source_line="rows.append(parse(row))",
)


@dataclass
class Journal:
    """Writes the records of one run; every step takes one millisecond."""

    flow: str = "nightly"
    records: list[AnyRecord] = field(default_factory=list)
    spans: int = 1
    now: int = START
    failure: FailureRecord = FAILURE

    def __post_init__(self) -> None:
        run_id = "019aa0c4d1f27c3e8a5b6c7d8e9f0a1b"
        self.records += [
            RunStarted(run_id, self.flow, "hash", "flow.yaml", START, {}, "test", 7),
            ShapeDeclared(1, "tasks:run", {}),
        ]

    def tick(self, ms: int = 1) -> int:
        self.now += ms * MS
        return self.now

    def number(self) -> int:
        self.spans += 1
        return self.spans

    def start(self, name: str, parent: int = 1, path: str = "") -> tuple[int, int]:
        span, attempt = self.number(), self.number()
        self.records.append(
            NodeStarted(span, attempt, parent, 1, name, path, self.tick(), {}, max_attempts=3)
        )
        return span, attempt

    def finish(
        self,
        spans: tuple[int, int],
        failure: FailureRecord | None = None,
        handled: str = "",
        attributes: dict[str, Any] | None = None,
    ) -> None:
        state = NodeState.SUCCEEDED if failure is None else NodeState.FAILED
        span, attempt = spans
        self.records.append(
            NodeFinished(
                span,
                attempt,
                state,
                self.tick(),
                "",
                failure=failure,
                handled=handled,
                attributes=attributes,
            )
        )

    def retry(self, spans: tuple[int, int], number: int = 2) -> tuple[int, int]:
        span, attempt = spans
        self.records.append(AttemptFailed(attempt, self.tick(), FAILURE, number - 1, 0.5))
        again = self.number()
        self.records.append(
            AttemptStarted(again, span, number, self.tick(500), 0.5, max_attempts=3)
        )
        return span, again

    def node(self, name: str, parent: int = 1, failure: FailureRecord | None = None) -> None:
        self.finish(self.start(name, parent), failure)

    def skip(self, name: str, reason: str, parent: int = 1) -> None:
        self.records.append(
            NodeSkipped(self.number(), parent, 1, name, "", self.tick(), NodeState.SKIPPED, reason)
        )

    def open(self, kind: str, construct: str, name: str, parent: int = 1) -> int:
        span = self.number()
        self.records.append(ScopeStarted(span, parent, kind, construct, name, "", self.tick(), {}))
        return span

    def close(self, span: int, failure: FailureRecord | None = None, **attributes: Any) -> None:
        state = NodeState.SUCCEEDED if failure is None else NodeState.FAILED
        self.records.append(
            ScopeFinished(span, state, self.tick(), "", attributes, failure=failure)
        )

    def log(self, span: int, message: str) -> None:
        attributes = {"message": message, "level": "INFO", "logger": "etl"}
        self.records.append(Logged(span, self.tick(), "log", attributes))

    def progress(self, span: int, done: float, total: float | None) -> None:
        self.records.append(Progress(span, self.tick(), done, total))

    def end(self, status: RunStatus = RunStatus.COMPLETED) -> None:
        failure = FAILURE if status is RunStatus.FAILED else None
        self.records.append(
            RunFinished(self.tick(), status, failure=failure, failed_node="transform")
        )

    def trace(self) -> Trace:
        spans = Spans()
        spans.apply(self.records)
        return spans.trace()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def screen() -> Callable[..., Terminal]:
    def make(width: int = 100, **settings: Any) -> Terminal:
        return Terminal(stream=io.StringIO(), width=width, **settings)

    return make


FINGERPRINT = "v1:3ac9f0d2e17b4c58a6930d1f7e2b8c45"
RUN_ID = "019aa0c4d1f27c3e8a5b6c7d8e9f0a1b"


@pytest.fixture
def failure() -> Callable[..., FailureSnapshot]:
    """Return the maker of a failure that was retried and ended its run."""

    def make(**changes: Any) -> FailureSnapshot:
        path = ("root", "worker:w1", f"run:{RUN_ID}", "flow:nightly", "node:transform", "task:3")
        known: dict[str, Any] = {
            "failure_id": "F-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
            "captured_ns": START,
            "type": "TimeoutError",
            "message": "upstream timed out after 2.0 s",
            "category": "transient",
            "class_": "timeout",
            "rule": "type:TimeoutError",
            "origin": Origin(path=path, pid=71, thread="MainThread"),
            "path": path[:3],
            "level": "run",
            "stage": EscalationStage(kind="escalated", count=3),
            "trail": (
                Hop("node", path[:5], "escalate", "sha256:9c1f", "max_attempts", START + MS),
                Hop("flow", path[:4], "escalate", "", "", START + 2 * MS),
                Hop("run", path[:3], "stop", "", "", START + 3 * MS),
            ),
            "disposition": "terminal",
            "given_up": "max_attempts",
            "cause_chain": (Cause("ConnectionResetError", "peer went away"),),
            "fp_site": FINGERPRINT,
            "fp_template": "v1:99c9f0d2e17b4c58a6930d1f7e2b8c45",
            "frames": (
                Frame("httpx", "send", "/lib/httpx.py", 7, in_app=False),
                Frame("httpx", "get", "/lib/httpx.py", 9, in_app=False),
                Frame("etl.steps", "call_api", "etl/steps.py", 42, in_app=True),
            ),
            "location": "etl/steps.py:42",
            "source_line": "r.raise_for_status()",
            "run_id": RUN_ID,
            "flow": "nightly",
            "node_id": "transform",
            "attempt": 3,
            "max_attempts": 3,
        }
        return FailureSnapshot(**known | changes)

    return make


@pytest.fixture
def group() -> Callable[..., FailureGroup]:
    """Return the maker of a group of twelve failures."""

    def make(**changes: Any) -> FailureGroup:
        known: dict[str, Any] = {
            "fp_site": FINGERPRINT,
            "title": "TimeoutError: upstream timed out after 2.0 s",
            "type": "TimeoutError",
            "category": "transient",
            "class_": "network",
            "location": "etl/steps.py:42",
            "flow": "nightly",
            "node_id": "transform",
            "first_ns": START,
            "last_ns": START + 3_600_000 * MS,
            "count": 12,
            "runs": 4,
            "nodes": 1,
            "last_failure_id": "F-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
            "open_letters": 3,
        }
        return FailureGroup(**known | changes)

    return make


@pytest.fixture
def letter() -> Callable[..., DeadLetter]:
    """Return the maker of an open letter."""

    def make(**changes: Any) -> DeadLetter:
        known: dict[str, Any] = {
            "dl_id": "DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
            "task_key": f"{RUN_ID}:transform",
            "run_id": RUN_ID,
            "flow": "nightly",
            "node_id": "transform",
            "failure_id": "F-01KAHV6X3Q8Z04YQ0M5VNW2C7R",
            "reason": "max_attempts",
            "category": "transient",
            "class_": "timeout",
            "type": "TimeoutError",
            "message": "upstream timed out after 2.0 s",
            "fp_site": FINGERPRINT,
            "attempts_total": 3,
            "created_ns": START,
            "updated_ns": START,
        }
        return DeadLetter(**known | changes)

    return make
