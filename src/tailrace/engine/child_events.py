"""What a task does inside a child process, as part of the run's trace."""

from __future__ import annotations

from typing import Any

from tailrace.engine.attempt import Attempt
from tailrace.model import FailureRecord, UserSpanFinished, UserSpanStarted


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
                attempt.event(*parts)
            case "output":
                attempt.run.echo(*parts)
                attempt.output(*parts)
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

    def _set_attribute(self, local: int, key: str, value: Any) -> None:
        if local == 0:
            self._attempt.set_attribute(key, value)
        else:
            self._attributes.setdefault(local, {})[key] = value

    def _open(self, local: int, parent: int, name: str, attributes: dict[str, Any]) -> None:
        run = self._attempt.run
        number = self._numbers[local] = run.next_span()
        run.note(UserSpanStarted(number, self._numbers[parent], name, run.now(), attributes))

    def _close(self, local: int, failure: FailureRecord | None) -> None:
        run = self._attempt.run
        attributes = self._attributes.pop(local, {})
        run.note(UserSpanFinished(self._numbers.pop(local), run.now(), attributes, failure))
