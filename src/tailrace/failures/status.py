"""What numbers mean that come with an exception: HTTP status and errno."""

from __future__ import annotations

import errno
import time

from tailrace.model import ErrorCategory

_PASSING_STATUS = frozenset({408, 421, 425, 429, 500, 502, 503, 504})
_LASTING_STATUS = frozenset({501, 505})
_NUMBERS = ("status_code", "status", "code")
LONGEST_WAIT = 3600.0
"""Seconds of ``Retry-After`` that are obeyed; a longer wish is cut to it."""


def _known(*names: str) -> frozenset[int]:
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


_PASSING_ERRNO = _known(
    "EAGAIN", "EALREADY", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EDQUOT",
    "EHOSTDOWN", "EHOSTUNREACH", "EINPROGRESS", "EINTR", "EIO", "EMFILE", "ENETDOWN", "ENETRESET",
    "ENETUNREACH", "ENFILE", "ENOBUFS", "ENOMEM", "ENOSPC", "ENOTCONN", "EPIPE", "ETIMEDOUT",
    "ETXTBSY",
)  # fmt: skip
_LASTING_ERRNO = _known(
    "EACCES", "EBADF", "EEXIST", "EINVAL", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOEXEC",
    "ENOTDIR", "ENOTEMPTY", "ENOTSUP", "EPERM", "EROFS", "EXDEV",
)  # fmt: skip


def http_category(error: BaseException) -> ErrorCategory | None:
    """Return what the HTTP status that an exception carries means; None when it has none."""
    status = _status(getattr(error, "response", None)) or _status(error)
    if status is None:
        return None
    if status in _PASSING_STATUS:
        return ErrorCategory.TRANSIENT
    if status in _LASTING_STATUS or status < 500:
        return ErrorCategory.PERMANENT
    return ErrorCategory.TRANSIENT


def _status(holder: object) -> int | None:
    if holder is None:
        return None
    for name in _NUMBERS:
        value = getattr(holder, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return int(value)
    return None


def errno_category(error: OSError) -> ErrorCategory | None:
    """Return what the errno of an operating system error means; None when it says nothing.

    Errors of TLS and of name resolution count in spaces of their own and are left out.
    """
    if any(kind.__module__ in ("ssl", "socket") for kind in type(error).__mro__):
        return None
    number = error.errno
    if number in _PASSING_ERRNO:
        return ErrorCategory.TRANSIENT
    if number in _LASTING_ERRNO:
        return ErrorCategory.PERMANENT
    return None


def retry_after(error: BaseException) -> float | None:
    """Return the seconds to wait that an exception or its response asks for, at most an hour."""
    wish = getattr(error, "retry_after", None)
    if wish is None:
        holder = getattr(error, "response", None)
        headers = getattr(holder if holder is not None else error, "headers", None)
        get = getattr(headers, "get", None)
        wish = get("Retry-After") if callable(get) else None
    seconds = _seconds(wish)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)


def _seconds(wish: object) -> float | None:
    match wish:
        case bool() | None:
            return None
        case int() | float():
            return float(wish) if wish == wish else None  # noqa: PLR0124 - NaN is no wish
        case str() if wish.strip().isascii() and wish.strip().isdigit():
            return float(wish)
        case str():
            return _until(wish)
        case _:
            return None


def _until(date: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed

    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
