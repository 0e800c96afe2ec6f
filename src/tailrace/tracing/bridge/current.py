"""A span as the current one of OpenTelemetry's API while a block runs."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from types import TracebackType

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util._decorator import _AgnosticContextManager


class CurrentSpan(_AgnosticContextManager[Span]):
    """Opens a span, makes it the current one, and ends it; also a decorator of functions.

    What ``start_as_current_span`` of the SDK does by two generators, which take longer than the
    span. As there, errors that are no ``Exception`` leave a span as it is.

    Args:
        opens: gives the span.
        record_exception: whether what leaves the block becomes an event.
        set_status: whether it makes the span one that has failed.
        end: whether the span ends with the block.
    """

    def __init__(
        self, opens: Callable[[], Span], *, record_exception: bool, set_status: bool, end: bool
    ) -> None:
        self._opens = opens
        self._record_exception = record_exception
        self._set_status = set_status
        self._ends = end
        self._token: Token[Context] | None = None

    def _recreate_cm(self) -> CurrentSpan:
        """Return another one, for the next call of a function that this decorates."""
        return CurrentSpan(
            self._opens,
            record_exception=self._record_exception,
            set_status=self._set_status,
            end=self._ends,
        )

    def __enter__(self) -> Span:
        """Open the span."""
        self._span = span = self._opens()
        self._token = context_api.attach(trace.set_span_in_context(span))
        return span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Make the one before the current one again."""
        span = self._span
        if self._token is not None:
            context_api.detach(self._token)
        try:
            if isinstance(error, Exception) and span.is_recording():
                if self._record_exception:
                    span.record_exception(error)
                if self._set_status:
                    told = f"{type(error).__name__}: {error}"
                    span.set_status(Status(StatusCode.ERROR, told))
        finally:
            if self._ends:
                span.end()
