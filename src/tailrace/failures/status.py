"""What numbers and codes mean that come with an exception: HTTP status, gRPC code, errno."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import cache

from tailrace.failures.verdict import Verdict
from tailrace.model import ErrorCategory, FailureClass

_PASSING_STATUS = frozenset({408, 421, 425, 429, 500, 502, 503, 504})
_LASTING_STATUS = frozenset({501, 505})
_NUMBERS = ("status_code", "status", "code")
_STATUS_CLASSES = {
    401: FailureClass.AUTH,
    403: FailureClass.AUTH,
    404: FailureClass.NOT_FOUND,
    407: FailureClass.AUTH,
    408: FailureClass.TIMEOUT,
    410: FailureClass.NOT_FOUND,
    425: FailureClass.THROTTLED,
    429: FailureClass.THROTTLED,
    504: FailureClass.TIMEOUT,
    507: FailureClass.RESOURCE,
    511: FailureClass.AUTH,
}
_GRPC = {
    "UNAVAILABLE": (ErrorCategory.TRANSIENT, FailureClass.NETWORK),
    "DEADLINE_EXCEEDED": (ErrorCategory.TRANSIENT, FailureClass.TIMEOUT),
    "RESOURCE_EXHAUSTED": (ErrorCategory.TRANSIENT, FailureClass.THROTTLED),
    "ABORTED": (ErrorCategory.TRANSIENT, FailureClass.RESOURCE),
    "INVALID_ARGUMENT": (ErrorCategory.PERMANENT, FailureClass.VALIDATION),
    "FAILED_PRECONDITION": (ErrorCategory.PERMANENT, FailureClass.VALIDATION),
    "OUT_OF_RANGE": (ErrorCategory.PERMANENT, FailureClass.VALIDATION),
    "ALREADY_EXISTS": (ErrorCategory.PERMANENT, FailureClass.VALIDATION),
    "DATA_LOSS": (ErrorCategory.PERMANENT, FailureClass.VALIDATION),
    "NOT_FOUND": (ErrorCategory.PERMANENT, FailureClass.NOT_FOUND),
    "PERMISSION_DENIED": (ErrorCategory.PERMANENT, FailureClass.AUTH),
    "UNAUTHENTICATED": (ErrorCategory.PERMANENT, FailureClass.AUTH),
    "UNIMPLEMENTED": (ErrorCategory.PERMANENT, FailureClass.BUG),
}
_ERRNO = {
    (ErrorCategory.TRANSIENT, FailureClass.NETWORK): (
        "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN",
        "ENETRESET", "ENETUNREACH", "ENOTCONN", "EPIPE",
    ),
    (ErrorCategory.TRANSIENT, FailureClass.TIMEOUT): ("ETIMEDOUT",),
    (ErrorCategory.TRANSIENT, FailureClass.RESOURCE): (
        "EAGAIN", "EALREADY", "EBUSY", "EDQUOT", "EINPROGRESS", "EINTR", "EIO", "EMFILE", "ENFILE",
        "ENOBUFS", "ENOMEM", "ENOSPC", "ETXTBSY",
    ),
    (ErrorCategory.PERMANENT, FailureClass.AUTH): ("EACCES", "EPERM"),
    (ErrorCategory.PERMANENT, FailureClass.NOT_FOUND): ("ENOENT", "ENODEV", "ENXIO"),
    (ErrorCategory.PERMANENT, FailureClass.RESOURCE): ("EROFS",),
    (ErrorCategory.PERMANENT, FailureClass.BUG): ("EBADF",),
    (ErrorCategory.PERMANENT, FailureClass.VALIDATION): (
        "EEXIST", "EINVAL", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOEXEC", "ENOTDIR", "ENOTEMPTY",
        "ENOTSUP", "EXDEV",
    ),
}  # fmt: skip


@cache
def _http(status: int) -> Verdict:
    if status in _PASSING_STATUS or (status >= 500 and status not in _LASTING_STATUS):
        category, usual = ErrorCategory.TRANSIENT, FailureClass.NETWORK
    else:
        category, usual = ErrorCategory.PERMANENT, FailureClass.VALIDATION
    class_ = _STATUS_CLASSES.get(status, usual)
    return Verdict(category, f"http:{status}", class_=class_)


_BY_ERRNO = {
    getattr(errno, name): Verdict(category, f"errno:{name}", class_=class_)
    for (category, class_), names in _ERRNO.items()
    for name in names
    if hasattr(errno, name)
}


def by_status(error: BaseException) -> Verdict | None:
    """Return what the HTTP status or gRPC code means that an exception carries, if it has one."""
    response = getattr(error, "response", None)
    if response is not None:
        status = _of_mapping(response) if isinstance(response, Mapping) else _status(response)
        if status is not None:
            return _http(status)
    status = _status(error)
    if status is not None:
        return _http(status)
    return _by_grpc_code(error) if hasattr(error, "trailing_metadata") else None


def _status(holder: object) -> int | None:
    for name in _NUMBERS:
        value = getattr(holder, name, None)
        if value is not None and _is_failing(value):
            return int(value)
    return None


def _of_mapping(response: Mapping[str, object]) -> int | None:
    """Return the status in a response of botocore, which tells throttling by name."""
    error = response.get("Error")
    code = error.get("Code") if isinstance(error, Mapping) else None
    if isinstance(code, str) and ("Throttl" in code or "TooManyRequests" in code):
        return 429
    metadata = response.get("ResponseMetadata")
    status = metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None
    return int(status) if isinstance(status, int) and _is_failing(status) else None


def _is_failing(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600


def _by_grpc_code(error: object) -> Verdict | None:
    code = getattr(error, "code", None)
    name = getattr(code(), "name", None) if callable(code) else None
    meaning = _GRPC.get(name) if isinstance(name, str) else None
    return None if meaning is None else Verdict(meaning[0], f"grpc:{name}", class_=meaning[1])


def by_errno(error: OSError) -> Verdict | None:
    """Return what the errno of an operating system error means; None when it says nothing.

    Errors of TLS and of name resolution count in spaces of their own and are left out.
    """
    verdict = _BY_ERRNO.get(error.errno)
    if verdict is None or any(kind.__module__ in ("ssl", "socket") for kind in type(error).__mro__):
        return None
    return verdict
