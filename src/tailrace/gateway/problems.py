"""Answers that say no: status, ``detail`` as older clients read it, and code, message and hint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from tailrace.errors import (
    Conflict,
    DefinitionError,
    NotFound,
    QueryError,
    StoreError,
    TailraceError,
)
from tailrace.errors.tree import TransportError

RETRY_AFTER = "1"
"""Seconds after which a client may try again what NATS did not answer."""
_TOO_LARGE = "TR403"


def _plain(value: Any) -> Any:
    return repr(value)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def encode_json(value: Any) -> bytes:
    """Return a value as JSON; what JSON has no word for is written as Python shows it."""
    try:
        return _encode(value)
    except (RecursionError, TypeError, ValueError):
        return _encode(_cut(value, 0))


_DEEP = 100


def _cut(value: Any, depth: int) -> Any:
    """Return a value that JSON can hold: odd keys as text, no deeper than a reader can bear."""
    if depth > _DEEP:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _cut(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_cut(inner, depth + 1) for inner in value]
    if isinstance(value, msgspec.Struct):
        return _cut(msgspec.structs.asdict(value), depth)
    if isinstance(value, int | float | bool | None):
        return value
    return repr(value)


class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def __init__(
        self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        if headers:
            super().__init__(content, status_code, headers)
            return
        self.status_code = status_code
        self.background = None
        self.body = encode_json(content)
        size = str(len(self.body)).encode()
        self.raw_headers = [(b"content-length", size), (b"content-type", b"application/json")]

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return encode_json(content)


class Problem(Exception):  # noqa: N818 - an answer more than a fault
    """A request that is refused.

    Args:
        status: of the answer.
        detail: what older clients read: a text, or the list of a validation.
        code: stable identifier of ours.
        message: what is wrong, where ``detail`` is no sentence.
        hint: how to mend it.
        headers: of the answer.
        more: further fields of the body.
    """

    def __init__(
        self,
        status: int,
        detail: Any,
        *,
        code: str,
        message: str = "",
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message or str(detail))
        self.status = status
        self.detail = detail
        self.code = code
        self.message = message or (
            detail if isinstance(detail, str) else "the request is not valid"
        )
        self.hint = hint
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def answer(self) -> Json:
        """Return it as an answer."""
        body = {"detail": self.detail, "code": self.code, "message": self.message}
        return Json(
            body | {"hint": self.hint} | self.more, status_code=self.status, headers=self.headers
        )


def not_found(what: str) -> Problem:
    """Return the answer for what is not there: ``run not found``."""
    return Problem(404, f"{what} not found", code="TR503", hint="Check the id.")


def invalid(
    location: Sequence[str | int], message: str, *, kind: str = "value_error", given: Any = None
) -> Problem:
    """Return the answer for one field that is not valid, in the form of a validation."""
    error = {"type": kind, "loc": list(location), "msg": message, "input": given}
    return invalid_list([error])


def invalid_list(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the answer of a validation."""
    first = errors[0] if errors else {"loc": [], "msg": "not valid"}
    where = ".".join(str(part) for part in first["loc"])
    return Problem(
        422,
        [dict(error) for error in errors],
        code="TR420",
        message=f"{where}: {first['msg']}" if where else str(first["msg"]),
        hint="GET /openapi.json describes every request.",
    )


def problem_of(error: TailraceError) -> Problem:
    """Return the answer that an error of ours means."""
    message, hint, code = error.message, error.hint, error.code
    match error:
        case TransportError() if code == _TOO_LARGE:
            return Problem(413, message, code=code, hint=hint)
        case TransportError():
            return Problem(
                503,
                f"nats unavailable: {type(error).__name__}",
                code=code,
                message=message,
                hint=hint or "Ask again in a moment; GET /readyz says what is missing.",
                headers={"Retry-After": RETRY_AFTER},
            )
        case Conflict():
            return Problem(409, message, code=code, hint=hint)
        case NotFound():
            return Problem(404, message, code=code, hint=hint)
        case StoreError():
            headers = {"Retry-After": RETRY_AFTER}
            return Problem(503, message, code=code, hint=hint, headers=headers)
        case DefinitionError() | QueryError():
            return Problem(422, message, code=code, hint=hint, more={"details": error.details})
        case _:
            return Problem(500, message, code=code, hint=hint)


def answer_to(error: Exception) -> Json:
    """Return the answer that any error means."""
    if isinstance(error, Problem):
        return error.answer()
    return (problem_of(error) if isinstance(error, TailraceError) else internal()).answer()


def internal() -> Problem:
    """Return the answer for a fault of ours."""
    return Problem(
        500,
        "Internal Server Error",
        code="TR002",
        message="the gateway failed at this request",
        hint="This is a fault of tailrace; the gateway's log says where.",
    )
