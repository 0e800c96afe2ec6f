"""Spans that a task opens with OpenTelemetry's API in a child process, sent to the parent."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from tailrace.engine.carrying import carry
from tailrace.engine.failed_span import failure_of
from tailrace.model import span_id
from tailrace.model.span import SpanLink
from tailrace.tracing.bridge import Inner, bridge_to, innermost

Send = Callable[..., None]
LOCAL = itertools.count(1)
"""Numbers of spans as child and parent call them; 0 is the attempt's own."""
INNER: ContextVar[Inner | None] = ContextVar("tailrace_inner_span", default=None)
"""The innermost span that was opened with ``ctx.span`` here."""


class Place(NamedTuple):
    """Where an attempt stands in its run's trace."""

    run_id: str
    span_base: int
    span: int
    numbers: tuple[int, ...]
    """Numbers that spans of the child may have; further ones get theirs in the parent."""
    trace_state: str = ""
    """W3C ``tracestate`` to pass on."""


class ChildRecorder:
    """One attempt as OpenTelemetry's API sees it in the child."""

    made: Any = None
    links: list[SpanLink] | None = None
    is_open = True

    def __init__(self, send: Send, place: Place) -> None:
        self._send = send
        self._place = place
        self._free = iter(place.numbers)
        self._known: dict[int, tuple[int, int]] = {}
        """Local number to number in the run (0: the parent gives one) and id."""
        self.trace_id = int(place.run_id, 16)
        self.trace_state = place.trace_state

    def traceparent(self, number: int = 0) -> str:
        """Return a span as W3C's header names it, by its local number."""
        return f"00-{self.trace_id:032x}-{self.id_of(number):016x}-01"

    def reserve(self) -> tuple[int, int]:
        """Return local number and id for a span."""
        local, number = next(LOCAL), next(self._free, 0)
        self._known[local] = number, self._id(number)
        return local, self._known[local][1]

    def inner(self) -> Inner | None:
        """Return the innermost span that was opened with ``ctx.span`` here."""
        return INNER.get()

    def id_of(self, number: int) -> int:
        """Return the id of a span, by its local number."""
        known = self._known.get(number)
        return self._id(self._place.span) if known is None else known[1]

    def _id(self, number: int) -> int:
        if not number:
            return int.from_bytes(os.urandom(8), "big") or 1
        return int(span_id(self._place.span_base, number), 16)

    def open_span(
        self, number: int, parent: int, name: str, attributes: dict[str, Any], at: int | None
    ) -> None:
        """Send that a span opened."""
        self._send("span", number, parent, name, attributes, at, self._known[number][0])

    def close_span(
        self,
        number: int,
        attributes: dict[str, Any],
        failure: BaseException | tuple[str, str] | None,
        at: int | None,
    ) -> None:
        """Send that a span ended."""
        self._known.pop(number, None)
        self._send("span_end", number, failure_of(failure), attributes, at)

    def add_event(
        self, number: int, name: str, attributes: Mapping[str, Any], at: int | None
    ) -> None:
        """Send an event."""
        self._send("event", name, dict(attributes), number, at)

    def set_attribute(self, key: str, value: Any) -> None:
        """Send an attribute of the attempt's span."""
        self._send("attribute", 0, key, value)


def environment_of(trace_id: int, span_id: int, trace_state: str) -> dict[str, str]:
    """Return the variables by which a program knows the span that started it."""
    found = {"TRACEPARENT": f"00-{trace_id:032x}-{span_id:016x}-01"}
    if trace_state:
        found["TRACESTATE"] = trace_state
    return found


class _Now:
    recorder: ChildRecorder | None = None
    """That of the one attempt that runs in this process."""


def current_recorder() -> ChildRecorder | None:
    """Return the recorder of the attempt that runs in this process."""
    return _Now.recorder


def current_environment() -> dict[str, str] | None:
    """Return what a program started here finds in its environment."""
    recorder = _Now.recorder
    if recorder is None:
        return None
    span_id = recorder.id_of(inner_span())
    return environment_of(recorder.trace_id, span_id, recorder.trace_state)


@contextmanager
def recorded(send: Send, place: Place | None) -> Iterator[None]:
    """Run an attempt in its place: for spans of OpenTelemetry, and for processes it starts."""
    if place is None:
        yield
        return
    recorder = _Now.recorder = ChildRecorder(send, place)
    before = {name: os.environ.pop(name, None) for name in ("TRACEPARENT", "TRACESTATE")}
    os.environ |= environment_of(recorder.trace_id, recorder.id_of(0), recorder.trace_state)
    carry(current_environment, INNER)
    bridge_to(current_recorder)
    try:
        yield
    finally:
        recorder.is_open = False
        _Now.recorder = None
        for name in before:
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})


def inner_span() -> int:
    """Return the local number of the span that is current here; 0: the attempt's own is."""
    recorder = _Now.recorder
    if recorder is not None:
        return innermost(recorder)
    inner = INNER.get()
    return 0 if inner is None else inner.number
