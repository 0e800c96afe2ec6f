"""What the engine adds to a failure: where in the run it was raised, and why it is final."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from tailrace import failures
from tailrace.codecs import Encoded, encode
from tailrace.engine.frame import Frame
from tailrace.failures.types import type_name
from tailrace.model import ErrorCategory, FailureOrigin, FailureRecord, LetterReason

_WITHOUT_RETRY = {
    ErrorCategory.PERMANENT.value: LetterReason.PERMANENT.value,
    ErrorCategory.UNKNOWN.value: LetterReason.UNKNOWN_EXHAUSTED.value,
    ErrorCategory.CANCELLED.value: "",
}


def final_reason(category: str) -> str:
    """Return why a failure that no policy retries is final, as a value of ``LetterReason``."""
    return _WITHOUT_RETRY.get(category, LetterReason.MAX_ATTEMPTS.value)


def given_up(failure: FailureRecord, origin: FailureOrigin, reason: str = "") -> FailureRecord:
    """Return the failure with its origin and why nothing tries again."""
    reason = reason or failure.given_up or final_reason(failure.category)
    return replace(failure, origin=failure.origin or origin, given_up=reason)


def placed(failure: FailureRecord, origin: FailureOrigin) -> FailureRecord:
    """Return the failure with its origin; another attempt follows."""
    return replace(failure, origin=origin)


def failure_of_step(error: BaseException, frame: Frame, name: str, span: int = 0) -> FailureRecord:
    """Return the failure of a step that has no attempt: a container, or a join."""
    origin = FailureOrigin((*frame.segments, f"node:{name}"), frame.prefix + name, span=span)
    return given_up(failures.capture(error), origin)


def type_names(failure: FailureRecord, error: BaseException | None) -> list[str]:
    """Return the names of a failure's type and, where the exception is at hand, of its bases."""
    if error is None:
        return [failure.type]
    return [type_name(kind) for kind in type(error).__mro__]


def input_digest(arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> str:
    """Return ``sha256:…`` of the encoded arguments; empty when they cannot be encoded."""
    encoded = encode([list(arguments[0]), arguments[1]])
    return f"sha256:{sha256(encoded.body).hexdigest()}" if isinstance(encoded, Encoded) else ""
