"""Failures to report, and somebody who writes down what is called."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.failures.telemetry import FailureEvent, FailureInfo, MetricsEvent
from tailrace.model import FailureSnapshot, Hop

Make = Callable[..., FailureSnapshot]


@pytest.fixture
def make() -> Make:
    """Return a function that makes failures; each has an id of its own unless one is given."""
    numbers = itertools.count()

    def one(**fields: Any) -> FailureSnapshot:
        given: dict[str, Any] = {
            "failure_id": f"F-{next(numbers):026}",
            "captured_ns": 1_790_000_000_000_000_000,
            "type": "ValueError",
            "message": "no number",
            "category": "permanent",
            "class_": "validation",
            "fp_site": "v1:" + "a" * 32,
            "disposition": "terminal",
        }
        return FailureSnapshot(**(given | fields))

    return one


class Diary:
    """Stands at every place where a hub calls, and writes down who was called with what."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Any]] = []

    def record(self, snapshots: list[FailureSnapshot], _: Any = ()) -> None:
        self.lines.append(("store", list(snapshots)))

    def on_failure(self, snapshot: FailureSnapshot) -> None:
        self.lines.append(("telemetry", snapshot))

    def on_hop(self, _: FailureSnapshot, hop: Hop) -> None:
        self.lines.append(("telemetry hop", hop))

    def emit(self, event: MetricsEvent) -> None:
        self.lines.append(("metrics", event))

    def handle(self, info: FailureInfo) -> None:
        self.lines.append(("handler", info))

    def on_event(self, event: FailureEvent) -> None:
        self.lines.append(("listener", event))

    @property
    def callers(self) -> list[str]:
        return [who for who, _ in self.lines]

    def of(self, who: str) -> list[Any]:
        return [what for name, what in self.lines if name == who]


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def hop() -> Hop:
    return Hop(level="node", path=("run:1", "flow:f", "node:n"), directive="resume", at_ns=5)
