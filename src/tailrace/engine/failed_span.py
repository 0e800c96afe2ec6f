"""How a span of OpenTelemetry has failed, as a record."""

from __future__ import annotations

from tailrace import failures
from tailrace.model import FailureRecord
from tailrace.model.states import ErrorCategory


def failure_of(failure: BaseException | tuple[str, str] | None) -> FailureRecord | None:
    """Return a failure that was raised, or of which type and message are known."""
    if failure is None:
        return None
    if isinstance(failure, BaseException):
        return failures.capture(failure)
    kind, message = failure
    return FailureRecord(kind, message, ErrorCategory.UNKNOWN)
