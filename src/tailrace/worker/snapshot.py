"""How a run stands, folded from its records: the tasks and their records as HTTP shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    AttemptStarted,
    FailureRecord,
    NodeFinished,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    RunContinued,
    RunFinished,
    RunStarted,
)
from tailrace.model.remote import RunState, TaskRecord
from tailrace.model.states import NodeState
from tailrace.runtime.fingerprint import static_path
from tailrace.tracing.attributes import full_message, plain

_SECOND = 1e9
_SHOWN = 4096
"""Bytes of an output that is shown as it is; of larger ones the summary is."""
_LONG = re.compile(rb"[0-9]{19}")
"""In what may hold an integer of more than 64 bits, which no state can."""
_MOST_RECORDS = 2000
"""Tasks whose records are kept; the states of all are."""
_RUNNING, _FAILED = NodeState.RUNNING.value, NodeState.FAILED.value
_SUCCEEDED, _PENDING = NodeState.SUCCEEDED.value, NodeState.PENDING.value
_decode = msgspec.json.Decoder().decode


class SnapshotFold:
    """Writes what records say into a state. A task inside a loop shows its newest iteration."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self._nodes: dict[int, str] = {}

    def expect(self, names: Iterable[str]) -> None:
        """Show tasks that have not started."""
        for name in names:
            self.state.tasks.setdefault(name, _PENDING)

    def apply(self, records: Iterable[AnyRecord]) -> None:
        """Fold records in."""
        folds = self._folds
        for record in records:
            fold = folds.get(record.__class__)
            if fold is not None:
                fold(self, record)

    def take_back(self, records: Iterable[AnyRecord]) -> None:
        """What these say has finished will never be stored: it has failed after all."""
        for record in records:
            if isinstance(record, NodeFinished):
                shown = self._record(static_path(record.path), _FAILED)
                if shown is not None:
                    shown.output = None

    def _record(self, name: str, state: str) -> TaskRecord | None:
        """Set the state of a task and return its record; None where there are too many."""
        self.state.tasks[name] = state
        records = self.state.task_records
        known = records.get(name)
        if known is None:
            if len(records) >= _MOST_RECORDS:
                self.state.task_records_truncated = True
                return None
            known = records[name] = TaskRecord(state=state)
        known.state = state
        return known

    def _run_started(self, record: RunStarted) -> None:
        self.state.start_time = record.at / _SECOND

    def _run_continued(self, _: RunContinued) -> None:
        for name in self._nodes.values():
            self.state.tasks[name] = _PENDING
        self._nodes.clear()

    def _node_started(self, record: NodeStarted) -> None:
        name = static_path(record.path or record.name)
        self._nodes[record.span] = name
        state = _PENDING if record.waits_until else _RUNNING
        shown = self._record(name, state)
        if shown is not None:
            self.state.task_records[name] = TaskRecord(
                state=state,
                started_at=record.at / _SECOND,
                inputs=plain(record.inputs),
                attempt=record.attempt,
            )

    def _attempt_started(self, record: AttemptStarted) -> None:
        name = self._nodes.get(record.node)
        if name is not None:
            shown = self._record(name, _RUNNING)
            if shown is not None:
                shown.attempt = record.attempt

    def _attempt_failed(self, record: AttemptFailed) -> None:
        failure = record.failure
        name = "" if failure.origin is None else static_path(failure.origin.node)
        shown = self.state.task_records.get(name)
        if shown is not None:
            shown.error = full_message(failure)

    def _node_finished(self, record: NodeFinished) -> None:
        name = self._nodes.pop(record.span, None) or static_path(record.path)
        failure = record.failure
        state = record.state.value
        if failure is not None and record.handled == "continue":
            state = _SUCCEEDED
        shown = self._record(name, state)
        if shown is None:
            return
        shown.ended_at = record.at / _SECOND
        if shown.started_at is not None:
            shown.duration_ms = round((shown.ended_at - shown.started_at) * 1000, 3)
        shown.attempt = record.attempt
        shown.error = None
        if failure is not None:
            shown.error, shown.traceback = full_message(failure), stack_text(failure)
        if failure is None or record.handled == "continue":
            shown.output = _shown(record)

    def _node_reused(self, record: NodeReused) -> None:
        shown = self._record(static_path(record.path or record.name), _SUCCEEDED)
        if shown is not None:
            shown.started_at = shown.ended_at = record.at / _SECOND
            shown.duration_ms = 0.0

    def _node_skipped(self, record: NodeSkipped) -> None:
        name = static_path(record.path or record.name)
        if self.state.tasks.get(name) not in {_SUCCEEDED, _FAILED}:
            self._record(name, record.state.value)

    def _run_finished(self, record: RunFinished) -> None:
        state = self.state
        state.status = record.status.value
        state.end_time = record.at / _SECOND
        state.failed_node = record.failed_node
        failure = record.failure
        state.output = plain(record.output)
        if failure is not None:
            state.failure_id = failure.failure_id
            state.error = full_message(failure)
        elif record.reason:
            state.error = record.reason

    _folds: ClassVar[dict[type[Any], Callable[[Any, Any], None]]] = {
        RunStarted: _run_started,
        RunContinued: _run_continued,
        NodeStarted: _node_started,
        AttemptStarted: _attempt_started,
        AttemptFailed: _attempt_failed,
        NodeFinished: _node_finished,
        NodeReused: _node_reused,
        NodeSkipped: _node_skipped,
        RunFinished: _run_finished,
    }


def _shown(record: NodeFinished) -> Any:
    """Return the output of a node as it is where it is small JSON, else its summary."""
    body = record.output
    if body is not None and record.codec == "json" and len(body) <= _SHOWN:
        value = _decode(body)
        return plain(value) if _LONG.search(body) else value
    return plain(record.summary)


def stack_text(failure: FailureRecord) -> str | None:
    """Return a failure's stack as Python prints one; None: it has none."""
    if not failure.frames:
        return None
    lines = [
        f'  File "{frame.file}", line {frame.line}, in {frame.function}' for frame in failure.frames
    ]
    last = f"{failure.type}: {full_message(failure)}"
    return "\n".join(["Traceback (most recent call last):", *lines, last])
