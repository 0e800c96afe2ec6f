"""Records of simple runs, as an engine appends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailrace.model import (
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ShapeDeclared,
)

Appends = list[list[Any]]


def _chain(run_id: RunId, length: int, *, at: int = 1_000, flow: str = "chain") -> Appends:
    started = RunStarted(run_id, flow, "h" * 64, "flow.yaml", at, {}, "test", 2**63 + 5)
    appends: Appends = [[started, ShapeDeclared(1, "m:f", {"kind": "sync", "policy": {"a": 1}})]]
    for index in range(length):
        span, name = 2 + 2 * index, f"n{index}"
        appends[-1].append(NodeStarted(span, span + 1, 1, 1, name, "", at + index, {"x": index}))
        appends.append([
            NodeFinished(
                span, span + 1, NodeState.SUCCEEDED, at + index + 1, name, b"%d" % index, "json",
                index, "stored",
            )
        ])  # fmt: skip
    appends[-1].append(RunFinished(at + length, RunStatus.COMPLETED))
    return appends


@pytest.fixture
def chain() -> Callable[..., Appends]:
    """Makes the appends of a run of ``length`` nodes in a row, the last one ends it."""
    return _chain
