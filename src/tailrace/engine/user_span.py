"""Spans that a task opens with ``ctx.span``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import Token
from time import monotonic_ns
from types import TracebackType
from typing import Any, Self, cast

from msgspec import Struct

from tailrace import failures
from tailrace.engine.attempt import INNER, Attempt, Inner
from tailrace.engine.recorder import inner_span
from tailrace.model import AnyRecord, FailureRecord, SpanHandle, UserSpanFinished, UserSpanStarted
from tailrace.model.span import SpanLink
from tailrace.tracing.attributes import FIXED, attribute, fixed
from tailrace.tracing.bridge import BRIDGE


class UserSpan(Struct, eq=False):
    """A span that is open while its ``with`` block runs; it can be entered once.

    It is what the journal is given when it opens, once for start and end where both have happened
    before the journal's thread comes to it: a task may open very many.
    """

    attempt: Attempt
    name: str
    given: dict[str, Any]
    """Attributes that it opens with."""
    parent: int = 0
    """Number of the span that it hangs under; 0: the one that is current when it opens, and once it
    is open the attempt's."""
    number: int = 0
    start: int = 0
    end: int = 0
    """Both by the monotonic clock; 0: not yet."""
    later: dict[str, Any] | None = None
    """Attributes that were set while it was open."""
    failure: FailureRecord | None = None
    made: Any = None
    """Where the bridge to OpenTelemetry keeps what it has made for this span, while it is open."""
    links: list[SpanLink] | None = None
    outer: Token[Inner | None] | None = None
    is_begun: bool = False
    is_over: bool = False
    """What was written of it: that it has started, that it has ended."""

    def __enter__(self) -> Self:
        """Open the span and make it the current one."""
        if self.number:
            raise RuntimeError(f"span {self.name!r} has been entered before; open another one")
        attempt = self.attempt
        if not self.parent:
            outer, attached = INNER.get(), BRIDGE.attached
            if attached is not None and attached():
                self.parent = inner_span(attempt) or 0
            elif outer is not None and outer.attempt is attempt:
                self.parent = outer.number
        run = attempt.run
        self.number = next(run.spans)
        self.outer = INNER.set(self)
        note = run.note  # fetched first, as an attribute that is no method is slow to call at once
        self.start = monotonic_ns()
        note(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the span, as failed where the block was left by an error."""
        now = monotonic_ns()
        outer = self.outer
        if outer is None or self.end:
            return
        if error is not None:
            self.failure = failures.capture(error)
        # In this order, as ``take`` has it the other way round: one of the two sees the other.
        self.end = now
        if self.is_begun:
            self.attempt.run.note(self)
        if self.made is not None:
            self.made = None
        try:
            INNER.reset(outer)
        except ValueError:  # a generator may be closed in another context
            return

    def take(self, into: list[AnyRecord]) -> None:
        """Add what has happened and was not written before."""
        offset = self.attempt.run.clock_offset
        if not self.is_begun:
            self.is_begun = True
            at, parent = self.start + offset, self.parent or self.attempt.span
            into.append(UserSpanStarted(self.number, parent, self.name, at, self.given))
        if self.end and not self.is_over:
            self.is_over = True
            at = self.end + offset
            into.append(UserSpanFinished(self.number, at, {**(self.later or {})}, self.failure))

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of this span; once it has ended it keeps what it has."""
        if self.end:
            return
        if value.__class__ not in FIXED:
            value = attribute(value)
        if self.later is None:
            self.later = {key: value}
        else:
            self.later[key] = value

    def __call__(self, name: str, **attributes: Any) -> AbstractContextManager[SpanHandle]:
        """Open a span under this one."""
        return UserSpan(self.attempt, name, fixed(attributes), self.number)


def attempt_span(attempt: Attempt) -> SpanHandle:
    """Return the attempt's span as its task sees it; called, it opens a span inside the attempt.

    A function, as calling one takes half the time of calling an object that has ``__call__``.
    """

    def span(name: str, **attributes: Any) -> AbstractContextManager[SpanHandle]:
        """Open a span under the one that is current."""
        for value in attributes.values():
            if value.__class__ not in FIXED:
                attributes = fixed(attributes)
                break
        return UserSpan(attempt, name, attributes)

    handle: Any = span
    handle.set_attribute = attempt.set_attribute
    return cast("SpanHandle", handle)
