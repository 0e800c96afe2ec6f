"""A node as it stands in a replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from tailrace.engine.attempt import Attempt
from tailrace.model import Span, TaskSpec
from tailrace.model.span import RunSummary
from tailrace.runtime.replay.record import NodeRecord, RecordedFailure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayedNode:
    """One node of a finished run: what went in and what came out."""

    path: str
    """With loop indices, such as ``each[3].load``."""
    run_id: str
    """The run in which it ran; empty when it ran in none."""
    reused_from: str = ""
    """The earlier run that gave its output; empty when it ran in the run that is replayed."""
    state: str
    """As recorded: SUCCEEDED, FAILED, CANCELLED, …; empty when it did not run."""
    inputs: Mapping[str, Any]
    """By parameter name, as the task would be given them; without contexts."""
    missing: Mapping[str, str]
    """Why inputs, or parts of them, are not known."""
    drift: Mapping[str, Any]
    """Summaries as recorded of the inputs that look different now."""
    output: Any = None
    """What it gave; None also when that is not known, see ``why``."""
    why: str = ""
    """Why there is no output; empty when there is one."""
    failure: RecordedFailure | None = None
    has_changed: bool | None = None
    """Whether its code or its inputs are defined differently now; None: not known."""
    task: TaskSpec
    record: NodeRecord | None = None
    arguments: tuple[tuple[Any, ...], dict[str, Any]] = field(repr=False)
    """Positional and keyword arguments, contexts included."""
    attempt: Attempt = field(repr=False)
    """What the task would see of its run: a number, a path, an idempotency key."""

    @property
    def function(self) -> Callable[..., Any]:
        """The task's function as it is now."""
        return self.task.function

    @property
    def span(self) -> Span | None:
        """The recorded span; None when it did not run."""
        return None if self.record is None else self.record.span

    @property
    def has_output(self) -> bool:
        """Whether ``output`` is what the node gave."""
        return not self.why


class ReplayedRun(Struct, frozen=True, kw_only=True, eq=False):
    """A run, or its beginning, node by node in the order of the flow."""

    run: RunSummary
    nodes: tuple[ReplayedNode, ...]
    skipped: Mapping[str, str]
    """Why nodes did not start, by path; as recorded."""
    gone: tuple[str, ...]
    """Paths that were recorded and to which the flow does not lead any more."""

    def __getitem__(self, path: str) -> ReplayedNode:
        """Return the node at a path; KeyError when the replay did not come to it."""
        for node in self.nodes:
            if node.path == path:
                return node
        raise KeyError(path)
