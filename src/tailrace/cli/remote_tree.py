"""A run elsewhere as the live tree of one here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tailrace.cli.live import LiveTree, live_terminal
from tailrace.cli.remote_lines import RemoteLines
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanStatus, SpanType

if TYPE_CHECKING:
    from tailrace.cli.terminal import Terminal
    from tailrace.client import Run, TaskRecord

_NS = 1_000_000_000
_WAITING = "PENDING"
_OPEN = frozenset({_WAITING, "RUNNING"})
_ROOT = SpanId("root")


def view_of(terminal: Terminal) -> RemoteLines | RemoteTree:
    """Return what shows a run elsewhere: a tree where there is a terminal, else lines."""
    return RemoteTree(terminal) if terminal.is_tty else RemoteLines(terminal)


class RemoteTree:
    """Draws the tree of a run by its snapshots; ``close`` leaves the last frame."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._tree: LiveTree | None = None
        self._seen: dict[str, tuple[str, int]] = {}
        self._worker = ""

    def show(self, run: Run) -> None:
        """Take in how the run stands now."""
        if run.start_time is None:
            return
        tree = self._tree
        if tree is None:
            names = [name for name in run.tasks if not _parent_in(run, name)]
            tree = self._tree = LiveTree(live_terminal(self._terminal), run.flow_name, names)
        if run.worker_id and run.worker_id != self._worker:
            if self._worker:
                tree.echo("", f"{self._worker} is lost; {run.worker_id} goes on\n")
            self._worker = run.worker_id
        if self._seen.get("") != (run.status, 0):
            self._tell(tree, "", run.status, 0, _root(run))
        for name, state in run.tasks.items():
            record = run.task_records.get(name)
            attempt = 1 if record is None else record.attempt
            if state != _WAITING and self._seen.get(name) != (state, attempt):
                self._tell(tree, name, state, attempt, _node(run, name, state, record))

    def _tell(self, tree: LiveTree, name: str, state: str, attempt: int, span: Span) -> None:
        if name not in self._seen:
            tree.on_start(span)
        tree.on_end(span)
        self._seen[name] = (state, attempt)

    def close(self) -> None:
        """Draw the last frame and leave it."""
        if self._tree is not None:
            self._tree.close()


def _parent_in(run: Run, name: str) -> str:
    """Return the task under which another one stands: its path begins with it; empty: none."""
    head = name
    while "." in head:
        head = head.rpartition(".")[0]
        if head in run.tasks:
            return head
    return ""


def _root(run: Run) -> Span:
    start = run.start_time or time.time()
    failed = run.status == "FAILED"
    return Span(
        trace_id=RunId(run.run_id),
        span_id=_ROOT,
        parent_id=None,
        name=f"run {run.flow_name}",
        type=SpanType.RUN,
        start_ns=round(start * _NS),
        end_ns=round((run.end_time or time.time()) * _NS) if run.is_terminal else None,
        status=SpanStatus.ERROR if failed else SpanStatus.UNSET,
        attributes={"tailrace.status": run.status},
        resource={"service.name": run.flow_name},
    )


def _node(run: Run, name: str, state: str, record: TaskRecord | None) -> Span:
    parent = _parent_in(run, name)
    now = time.time()
    start = now if record is None or record.started_at is None else record.started_at
    end = start if record is None or record.ended_at is None else record.ended_at
    error = "" if record is None else record.error or ""
    attributes: dict[str, Any] = {"tailrace.state": state}
    if record is not None and record.attempt > 1:
        attributes["tailrace.attempt"] = record.attempt
    return Span(
        trace_id=RunId(run.run_id),
        span_id=SpanId(name),
        parent_id=SpanId(parent) if parent else _ROOT,
        name=f"node {name.removeprefix(parent + '.') if parent else name}",
        type=SpanType.NODE,
        start_ns=round(start * _NS),
        end_ns=None if state in _OPEN else round(end * _NS),
        status=SpanStatus.ERROR if state == "FAILED" else SpanStatus.UNSET,
        message=error.partition("\n")[0],
        attributes=attributes,
        resource={"service.name": run.flow_name},
    )
