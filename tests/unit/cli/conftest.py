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
        self, spans: tuple[int, int], failure: FailureRecord | None = None, handled: str = ""
    ) -> None:
        state = NodeState.SUCCEEDED if failure is None else NodeState.FAILED
        span, attempt = spans
        self.records.append(
            NodeFinished(span, attempt, state, self.tick(), "", failure=failure, handled=handled)
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
