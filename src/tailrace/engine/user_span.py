"""Spans that a task opens with ``ctx.span``."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from tailrace.engine.attempt import INNER, Attempt
from tailrace.engine.recorder import recorder_of
from tailrace.failures import capture
from tailrace.model import SpanHandle, UserSpanFinished, UserSpanStarted
from tailrace.tracing.bridge import entered, is_bridged


class UserSpan:
    """A span that is open while its ``with`` block runs; it can be entered once.

    A class rather than a generator: a task may open very many.
    """

    __slots__ = ("_attempt", "_bridge", "_inner", "_name", "_number", "_parent", "attributes")

    def __init__(
        self, attempt: Attempt, parent: int, name: str, attributes: dict[str, Any]
    ) -> None:
        self._attempt = attempt
        self._parent = parent
        self._name = name
        self._number = 0
        self._inner: Token[tuple[Attempt, int] | None] | None = None
        self._bridge: AbstractContextManager[Any] | None = None
        self.attributes = attributes
        """Before it opens those that it opens with; then those that it gets when it ends."""

    def __enter__(self) -> Self:
        """Open the span and make it the current one."""
        if self._number:
            raise RuntimeError(f"span {self._name!r} has been entered before; open another one")
        attempt = self._attempt
        run = attempt.run
        self._number = number = run.next_span()
        run.note(UserSpanStarted(number, self._parent, self._name, run.now(), self.attributes))
        self.attributes = {}
        self._inner = INNER.set((attempt, number))
        if is_bridged():
            self._bridge = entered(recorder_of(attempt), number, self.attributes)
            self._bridge.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the span, as failed where the block was left by an error."""
        run = self._attempt.run
        try:
            if self._bridge is not None:
                self._bridge.__exit__(kind, error, traceback)
        finally:
            failure = None if error is None else capture(error)
            run.note(UserSpanFinished(self._number, run.now(), self.attributes, failure))
            if self._inner is not None:
                with suppress(ValueError):  # a generator may be closed in another context
                    INNER.reset(self._inner)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of this span."""
        self.attributes[key] = value

    def __call__(self, name: str, **attributes: Any) -> AbstractContextManager[SpanHandle]:
        """Open a span under this one."""
        return UserSpan(self._attempt, self._number, name, attributes)
