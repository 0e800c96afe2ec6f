"""Spans that a task opens with OpenTelemetry's API, as records of the run's journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.engine.attempt import CURRENT, INNER, Attempt, Inner
from tailrace.engine.carrying import carry
from tailrace.engine.child_recorder import Place, environment_of
from tailrace.engine.failed_span import failure_of
from tailrace.model import UserSpanFinished, UserSpanStarted, span_id
from tailrace.model.span import SpanLink
from tailrace.tracing.attributes import fixed
from tailrace.tracing.bridge import BRIDGE, bridge_to, innermost


class AttemptRecorder:
    """One attempt as OpenTelemetry's API sees it."""

    made: Any = None
    links: list[SpanLink] | None = None

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.trace_id = int(attempt.run.run_id, 16)
        self.trace_state = attempt.run.request.trace_state

    @property
    def is_open(self) -> bool:
        """Whether the attempt is still going on."""
        return self._attempt.open

    def reserve(self) -> tuple[int, int]:
        """Return number and id for a span."""
        number = self._attempt.run.next_span()
        return number, self.id_of(number)

    def inner(self) -> Inner | None:
        """Return the innermost span that was opened with ``ctx.span`` here."""
        inner = INNER.get()
        return inner if inner is not None and inner.attempt is self._attempt else None

    def id_of(self, number: int) -> int:
        """Return the id of a span."""
        attempt = self._attempt
        return int(span_id(attempt.run.span_base, number or attempt.span), 16)

    def open_span(
        self, number: int, parent: int, name: str, attributes: dict[str, Any], at: int | None
    ) -> None:
        """Note that a span opened."""
        attempt = self._attempt
        run = attempt.run
        above, given = parent or attempt.span, fixed(attributes)
        run.note(UserSpanStarted(number, above, name, at or run.now(), given))

    def close_span(
        self,
        number: int,
        attributes: dict[str, Any],
        failure: BaseException | tuple[str, str] | None,
        at: int | None,
    ) -> None:
        """Note that a span ended."""
        run = self._attempt.run
        given = fixed(attributes)
        run.note(UserSpanFinished(number, at or run.now(), given, failure_of(failure)))

    def add_event(
        self, number: int, name: str, attributes: Mapping[str, Any], at: int | None
    ) -> None:
        """Note an event, within the bounds of the attempt."""
        self._attempt.event(name, fixed(dict(attributes)), span=number or None, at=at)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute that the node's span gets when it ends."""
        self._attempt.set_attribute(key, value)


def recorder_of(attempt: Attempt) -> AttemptRecorder | None:
    """Return the recorder of an attempt; None: its run's id is none of OpenTelemetry's."""
    found: AttemptRecorder | None = attempt.recorder
    if found is None:
        try:
            found = attempt.recorder = AttemptRecorder(attempt)
        except ValueError:
            return None
    return found


_FOR_CHILD = 32
"""Numbers that a child gets for spans of its own."""


def place_of(attempt: Attempt) -> Place | None:
    """Return what a child needs to put its spans under the attempt; None: the run has no trace."""
    run = attempt.run
    if recorder_of(attempt) is None:
        return None
    numbers = tuple(run.next_span() for _ in range(_FOR_CHILD))
    return Place(run.run_id, run.span_base, attempt.span, numbers, run.request.trace_state)


def current_recorder() -> AttemptRecorder | None:
    """Return the recorder of the attempt whose code is running here."""
    attempt = CURRENT.get()
    return None if attempt is None else recorder_of(attempt)


def inner_span(attempt: Attempt) -> int | None:
    """Return the number of the span inside the attempt that is current here; None: its own is."""
    if BRIDGE.context is not None:
        recorder = recorder_of(attempt)
        if recorder is not None:
            return innermost(recorder) or None
    inner = INNER.get()
    return inner.number if inner is not None and inner.attempt is attempt else None


def current_environment() -> Mapping[str, str] | None:
    """Return what a program started here finds in its environment."""
    attempt = CURRENT.get()
    recorder = None if attempt is None else recorder_of(attempt)
    if attempt is None or recorder is None:
        return None
    return environment_of(
        recorder.trace_id, recorder.id_of(inner_span(attempt) or 0), recorder.trace_state
    )


def watch() -> None:
    """Have what tasks start belong to them, and spans of OpenTelemetry recorded once it is used."""
    carry(current_environment, CURRENT, INNER)
    bridge_to(current_recorder)
