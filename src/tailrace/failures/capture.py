"""An exception turned into data, at once and without formatting a traceback."""

from __future__ import annotations

from tailrace.failures.classify import MAX_CAUSES, causes, classify, leaves
from tailrace.failures.fingerprint import custom_fingerprint, site_fingerprint
from tailrace.failures.frames import Place, place_of, shown_file, source_line
from tailrace.failures.types import type_name
from tailrace.model import ErrorCategory, FailureRecord
from tailrace.model.secret import redact_text
from tailrace.policy import format_duration

MAX_MESSAGE = 2048
"""Characters of a message that are kept."""
_MAX_CAUSE_MESSAGE = 512
_MAX_NOTES = 8


def capture(error: BaseException, *, category: str | None = None) -> FailureRecord:
    """Return the failure that an exception is.

    Never raises, whatever the exception's own code does, and keeps no reference to the exception,
    its frames or their variables.

    Args:
        error: the exception; its traceback says where it came from.
        category: a value of ``ErrorCategory`` that the caller knows better than the rules.
    """
    try:
        return _capture(error, category)
    except BaseException:  # noqa: BLE001 - the exception's own code may raise anything
        return FailureRecord(
            type=type_name(type(error)),
            message="(the exception cannot be read: its own attributes raise)",
            category=category or ErrorCategory.UNKNOWN.value,
            retryable=True,
        )


def timeout_failure(seconds: float) -> FailureRecord:
    """Return the failure of an attempt that was stopped at its deadline."""
    return FailureRecord(
        type="TimeoutError",
        message=f"not finished within its timeout of {format_duration(seconds)}",
        category=ErrorCategory.TIMEOUT.value,
        retryable=True,
        fingerprint=site_fingerprint(("TimeoutError",), ("deadline",), ()),
    )


def cancelled_failure(reason: str = "") -> FailureRecord:
    """Return the failure of an attempt that was cancelled, with the reason given."""
    return FailureRecord(
        type="CancelledError",
        message=_bounded(reason, MAX_MESSAGE),
        category=ErrorCategory.CANCELLED.value,
        fingerprint=site_fingerprint(("CancelledError",), (), ()),
    )


def _capture(error: BaseException, category: str | None) -> FailureRecord:
    verdict = classify(error)
    members = leaves(error) if isinstance(error, BaseExceptionGroup) else []
    chain = list(causes(error))
    place = place_of(error.__traceback__)
    if members:
        place = _place_in_group(place, members)
    file, line, function = place.own or ("", 0, "")
    names = tuple(type_name(type(one)) for one in (error, *chain))
    shown = [*chain, *members][:MAX_CAUSES]
    return FailureRecord(
        type=names[0],
        message=_message(error),
        category=category or verdict.category.value,
        retryable=not verdict.is_refused,
        location=f"{shown_file(file)}:{line}" if file else "",
        source_line=_encodable(source_line(file, line)) if file else "",
        function=function,
        causes=tuple((type_name(type(one)), _text(one, _MAX_CAUSE_MESSAGE)) for one in shown),
        stack=place.stack,
        fingerprint=_fingerprint(error, names, members, place),
        retry_after=verdict.retry_after,
    )


def _place_in_group(place: Place, members: list[BaseException]) -> Place:
    """Return where the first member was raised that knows a line of the user's code."""
    for member in members:
        inner = place_of(member.__traceback__)
        if inner.own is not None:
            return inner._replace(stack=place.stack)
    return place


def _fingerprint(
    error: BaseException,
    names: tuple[str, ...],
    members: list[BaseException],
    place: Place,
) -> str:
    kinds = tuple(sorted({type_name(type(member)) for member in members}))
    default = site_fingerprint(names, kinds, place.site)
    wish = getattr(error, "fingerprint", None)
    return custom_fingerprint(wish, default) if isinstance(wish, str) and wish else default


def _message(error: BaseException) -> str:
    text = _text(error, MAX_MESSAGE)
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return text
    lines = [note for note in notes[:_MAX_NOTES] if isinstance(note, str)]
    return _bounded("\n".join((text, *lines)), MAX_MESSAGE)


def _text(error: BaseException, limit: int) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - __str__ of a foreign exception
        kind = type_name(type(broken))
        return f"(no message: its __str__ raised {kind})"
    return _bounded(text, limit)


def _bounded(text: str, limit: int) -> str:
    length = len(text)
    text = _encodable(redact_text(text))
    if max(length, len(text)) > limit:
        end = f"… ({length} characters)"
        text = text[: limit - len(end)] + end
    return text


def _encodable(text: str) -> str:
    """Return the text as a plain ``str`` that UTF-8 can hold."""
    if text.isascii():
        return text if type(text) is str else "".join(text)
    return text.encode("utf-8", "backslashreplace").decode()
