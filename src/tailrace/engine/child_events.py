"""What a task does inside a child process, as part of the run's trace."""

from __future__ import annotations

from typing import Any

from tailrace.engine.attempt import Attempt
from tailrace.model import FailureRecord, UserSpanFinished, UserSpanStarted


class ChildFailure(Exception):  # noqa: N818 - carries the failure, is not one of ours
    """What the task raised in the child, as data."""

    def __init__(self, failure: FailureRecord) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ChildEvents:
    """Writes what a task does in its child into the run's own trace."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._numbers = {0: attempt.span}
        self._attributes: dict[int, dict[str, Any]] = {}

    def __call__(self, kind: str, parts: list[Any]) -> None:
        """Take one message of the child."""
        attempt = self._attempt
        match kind:
            case "event":
                self._add_event(*parts)
            case "output":
                self._take_output(*parts)
            case "progress":
                attempt.progress(*parts)
            case "attribute":
                self._set_attribute(*parts)
            case "span":
                self._open(*parts)
            case "span_end":
                self._close(*parts)
            case _:
                raise ValueError(kind)

    def _add_event(
        self, name: str, attributes: dict[str, Any], local: int = 0, at: int | None = None
    ) -> None:
        self._attempt.event(name, attributes, span=self._numbers.get(local), at=at)

    def _take_output(self, stream: str, text: str, local: int = 0, thread: int = 0) -> None:
        self._attempt.run.echo(stream, text)
        self._attempt.output(stream, text, self._numbers.get(local), thread)

    def _set_attribute(self, local: int, key: str, value: Any) -> None:
        if local == 0:
            self._attempt.set_attribute(key, value)
        else:
            self._attributes.setdefault(local, {})[key] = value

    def _open(
        self,
        local: int,
        parent: int,
        name: str,
        attributes: dict[str, Any],
        at: int | None = None,
        number: int = 0,
    ) -> None:
        run = self._attempt.run
        number = self._numbers[local] = number or run.next_span()
        above = self._numbers.get(parent, self._attempt.span)
        run.note(UserSpanStarted(number, above, name, at or run.now(), attributes))

    def _close(
        self,
        local: int,
        failure: FailureRecord | None,
        attributes: dict[str, Any] | None = None,
        at: int | None = None,
    ) -> None:
        run = self._attempt.run
        kept = self._attributes.pop(local, {}) | (attributes or {})
        run.note(UserSpanFinished(self._numbers.pop(local), at or run.now(), kept, failure))
