"""The context handed to tasks (``model.Context``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from tailrace.engine.artifacts import save_artifact
from tailrace.engine.attempt import Attempt
from tailrace.engine.frame import Frame, ResultsView
from tailrace.engine.recorder import inner_span
from tailrace.engine.scratch import Scratch
from tailrace.engine.user_span import attempt_span
from tailrace.model import LoopFrame, SpanHandle, span_id
from tailrace.tracing.attributes import fixed

LOGGER_NAME = "tailrace.task"


class TaskContext:
    """What one attempt can see and do."""

    __slots__ = ("_attempt", "_frame", "_payload", "_scratch", "results", "span")
    span: SpanHandle
    """The attempt's span."""

    def __init__(self, attempt: Attempt, frame: Frame, payload: Any, scratch: Scratch) -> None:
        self._attempt = attempt
        self._frame = frame
        self._payload = payload
        self._scratch = scratch
        self.results: Mapping[str, Any] = ResultsView(frame)

    def __getattr__(self, name: str) -> SpanHandle:
        """Make what few tasks ask for, once it is asked for; then it is found without this."""
        if name != "span":
            raise AttributeError(f"a context has no {name!r}", name=name, obj=self)
        self.span = attempt_span(self._attempt)
        return self.span

    def portable(self, parameters: frozenset[str]) -> dict[str, Any]:
        """Return what a child process needs to offer the same names."""
        attempt, frame = self._attempt, self._frame
        loops = frame.loops()
        return {
            "parameters": tuple(parameters),
            "folder": str(attempt.run.artifact_folder),
            "values": {
                "run_id": attempt.run.run_id,
                "node": attempt.path,
                "attempt": attempt.number,
                "idempotency_key": attempt.idempotency_key,
                "payload": self._payload,
                "params": dict(frame.flow.params),
                "results": dict(self.results),
                "scratch": dict(self._scratch),
                "artifacts": dict(frame.flow.artifacts),
                "env": dict(frame.flow.env),
                "loop": loops[-1] if loops else None,
                "loops": loops,
            },
        }

    @property
    def run_id(self) -> str:
        """Trace id of the run."""
        return self._attempt.run.run_id

    @property
    def node(self) -> str:
        """Path of the node, such as ``poll[2].check``."""
        return self._attempt.path

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._attempt.number

    @property
    def traceparent(self) -> str:
        """The span that is current here, for headers and environments of other programs."""
        run, attempt = self._attempt.run, self._attempt
        here = span_id(run.span_base, inner_span(attempt) or attempt.span)
        return f"00-{run.run_id}-{here}-01"

    @property
    def idempotency_key(self) -> str:
        """Stable over attempts, resumes and redeliveries."""
        return self._attempt.idempotency_key

    @property
    def payload(self) -> Any:
        """What came along the edge."""
        return self._payload

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the run."""
        return self._frame.flow.params

    @property
    def scratch(self) -> MutableMapping[str, Any]:
        """Values passed along beside the payload."""
        return self._scratch

    @property
    def artifacts(self) -> Mapping[str, Mapping[str, Any]]:
        """Saved artifacts by name."""
        return self._frame.flow.artifacts

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables the flow may see."""
        return self._frame.flow.env

    @property
    def loop(self) -> LoopFrame | None:
        """The innermost loop."""
        loops = self._frame.loops()
        return loops[-1] if loops else None

    @property
    def loops(self) -> Sequence[LoopFrame]:
        """All loops around, outermost first."""
        return self._frame.loops()

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines become events of the attempt's span."""
        return logging.getLogger(LOGGER_NAME)

    @property
    def is_cancelled(self) -> bool:
        """True once the attempt should stop."""
        return self._attempt.cancelled or self._attempt.run.cancel.requested

    def check_cancelled(self) -> None:
        """Raise ``asyncio.CancelledError`` if the attempt should stop."""
        if self.is_cancelled:
            raise asyncio.CancelledError("the run was asked to stop")

    def progress(self, done: float, total: float | None = None) -> None:
        """Report how far the task is."""
        self._attempt.progress(done, total)

    def event(self, name: str, **attributes: Any) -> None:
        """Add an event to the attempt's span."""
        self._attempt.event(name, fixed(attributes))

    def save_artifact(self, name: str, data: Any) -> str:
        """Store data under the run's artifact folder and return its path."""
        attempt = self._attempt
        entry = save_artifact(attempt.run.artifact_folder, name, data)
        self._frame.flow.artifacts[name] = entry
        if attempt.artifacts is None:
            attempt.artifacts = {}
        attempt.artifacts[name] = entry
        attempt.event("artifact", {"name": name, **entry})
        return str(entry["path"])
