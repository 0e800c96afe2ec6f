"""What ``emit_with_retry`` gives back: an event id that knows what became of the action."""

from __future__ import annotations

from typing import Any, Self

from tailrace.model.event import EventStatus
from tailrace.model.failure import FailureSnapshot


class Emitted(str):
    """The id of the event that tells how the action ended; a plain ``str`` to whoever wants one."""

    __slots__ = ("attempts", "failure", "is_durable", "result", "status", "task_key")

    status: str
    """A value of ``EventStatus``: ``success``, ``failed`` or ``dead_letter``."""
    result: Any
    """What the action returned; None when it failed."""
    failure: FailureSnapshot | None
    """Why it failed for good, or why its result could not be recorded."""
    attempts: int
    """Calls that were made."""
    task_key: str
    """Key of the work: stable over its attempts and redrives."""
    is_durable: bool
    """False: the event could not be written yet and waits in this process."""

    def __new__(
        cls,
        event_id: str,
        *,
        status: str,
        result: Any = None,
        failure: FailureSnapshot | None = None,
        attempts: int = 1,
        task_key: str = "",
        is_durable: bool = True,
    ) -> Self:
        """Return the id with what belongs to it."""
        emitted = super().__new__(cls, event_id)
        emitted.status = status
        emitted.result = result
        emitted.failure = failure
        emitted.attempts = attempts
        emitted.task_key = task_key
        emitted.is_durable = is_durable
        return emitted

    @property
    def is_success(self) -> bool:
        """True when the action is done and recorded as such."""
        return self.status == EventStatus.SUCCESS.value
