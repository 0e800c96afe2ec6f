"""Records of simple runs, as an engine appends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailrace.model import (
    AttemptFailed,
    AttemptStarted,
    FailureRecord,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ShapeDeclared,
    new_run_id,
)
from tailrace.model.ids import new_sortable
from tailrace.model.journal import FailureOrigin

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


FINGERPRINT = "v1:" + "a" * 32


def _failure(number: int = 1, *, node: str = "load", **changes: Any) -> FailureRecord:
    origin = FailureOrigin(
        ("flow:etl", f"node:{node}", f"task:{number}"), node, "m:load", 3, number, 2
    )
    known: dict[str, Any] = {
        "type": "ConnectionError", "message": "gone", "category": "transient", "retryable": True,
        "fingerprint": FINGERPRINT, "fp_template": FINGERPRINT, "class_": "network",
        "failure_id": f"F-{new_sortable()}", "captured_ns": 1_000 + number, "origin": origin,
    }  # fmt: skip
    return FailureRecord(**(known | changes))


def _failing(run_id: RunId | None = None, **changes: Any) -> list[Any]:
    known: dict[str, Any] = {
        "run_id": run_id or new_run_id(), "flow": "etl", "flow_hash": "h",
        "flow_source": "flow.yaml", "at": 1_000, "params": {}, "source": "test", "span_base": 77,
        "code_version": "sha256:1", "inputs": b'{"params":{}}', "inputs_codec": "json",
        "policies": {"fail_fast": True},
    }  # fmt: skip
    last = _failure(2, given_up="max_attempts")
    return [
        [
            RunStarted(**(known | changes)),
            ShapeDeclared(1, "m:load", {}),
            NodeStarted(2, 3, 1, 1, "load", "", 1_001, {}, 2),
        ],
        [AttemptFailed(3, 1_002, _failure(1), 1, 0.5)],
        [AttemptStarted(4, 2, 2, 1_003, 0.5, 2)],
        [
            NodeFinished(2, 4, NodeState.FAILED, 1_004, "load", failure=last, attempt=2,
                         policy={"retry": {"max_attempts": 1}}),
            RunFinished(1_005, RunStatus.FAILED, last, "load"),
        ],
    ]  # fmt: skip


@pytest.fixture
def failing() -> Callable[..., Appends]:
    """Makes the appends of a run that fails; keywords are fields of its ``RunStarted``."""
    return _failing


@pytest.fixture
def failure() -> Callable[..., FailureRecord]:
    """Makes the failure of attempt ``number`` of a node."""
    return _failure
