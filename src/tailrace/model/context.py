"""The context a task may ask for, and what a route may answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct


class LoopFrame(Struct, frozen=True, kw_only=True):
    """Where a task stands in one loop."""

    name: str
    kind: str
    """``foreach``, ``repeat`` or ``until``."""
    index: int
    """From 0."""
    iteration: int
    """From 1."""
    count: int | None
    """Iterations in all, where known; the maximum for ``until``."""
    item: Any
    path: str
    """Such as ``each[2]`` or ``outer[1].each[0]``."""


class Routing(Struct, frozen=True):
    """The answer of a route: where to go on, how sure, and why."""

    target: str | Sequence[str]
    confidence: float | None = None
    reason: str = ""


class SpanHandle(Protocol):
    """A span as far as a task may change it: that of its node, or one it opened itself."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute (string, number, boolean, or a list of one of these)."""
        ...

    def __call__(self, name: str, **attributes: Any) -> AbstractContextManager[SpanHandle]:
        """Open a span of the user's own under this one: ``with ctx.span("parse"):``."""
        ...


@runtime_checkable
class Context(Protocol):
    """What a task can see and do. Ask for it with a parameter named ``ctx`` or this annotation."""

    @property
    def run_id(self) -> str:
        """Trace id of the run, 32 hex digits."""
        ...

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        ...

    @property
    def traceparent(self) -> str:
        """The span that is current here, as W3C's header ``traceparent`` names it."""
        ...

    @property
    def idempotency_key(self) -> str:
        """Stable over attempts, resumes and redeliveries; different for every node path."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the run, read-only."""
        ...

    @property
    def results(self) -> Mapping[str, Any]:
        """Outputs of finished nodes by name, read-only."""
        ...

    @property
    def scratch(self) -> MutableMapping[str, Any]:
        """Values passed along beside the payload; parallel branches see a snapshot."""
        ...

    @property
    def artifacts(self) -> Mapping[str, Mapping[str, Any]]:
        """Saved artifacts by name: ``path``, ``type``, ``size``, ``sha256``."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables the flow is allowed to see."""
        ...

    @property
    def loop(self) -> LoopFrame | None:
        """The innermost loop, if any."""
        ...

    @property
    def loops(self) -> Sequence[LoopFrame]:
        """All loops around this task, outermost first."""
        ...

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines become events of the attempt's span."""
        ...

    @property
    def span(self) -> SpanHandle:
        """The node's span for attributes; spans opened from it hang under the attempt's."""
        ...

    @property
    def is_cancelled(self) -> bool:
        """True once the run was asked to stop or the attempt's time is over."""
        ...

    def check_cancelled(self) -> None:
        """Raise ``asyncio.CancelledError`` if ``is_cancelled``."""
        ...

    def progress(self, done: float, total: float | None = None) -> None:
        """Report how far the task is."""
        ...

    def event(self, name: str, **attributes: Any) -> None:
        """Add an event to the attempt's span."""
        ...

    def save_artifact(self, name: str, data: Any) -> str:
        """Store ``data`` (bytes, text, or anything with ``str``) under the run's artifact folder.

        Returns the absolute path of the file.

        Raises:
            ValueError: the name leaves the folder.
        """
        ...
