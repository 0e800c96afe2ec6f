"""Answers that say no, as errors of our tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tailrace.errors import Conflict, DefinitionError, NotAllowed, NotFound, TailraceError
from tailrace.errors.tree import TransportError
from tailrace.model import Finding, Severity, SourceSpan

_LONGEST_WAIT = 60.0
_RETRYABLE = frozenset({429, 502, 503, 504})
_NOT_THERE = frozenset({404, 405})
_SHOWN = 200
SENT = "workflow"
"""Name of a file that was sent, in what the server found in it."""


def error_of(status: int, headers: Mapping[str, str], body: bytes, *, asked: str) -> TailraceError:
    """Return the error that an answer means.

    Args:
        status: of the answer, 300 or more.
        headers: of the answer.
        body: of the answer.
        asked: what was asked for, such as ``GET /runs/x``.
    """
    said = _object(body)
    message = str(said.get("message") or "") or _detail(said.get("detail"))
    hint = str(said.get("hint") or "")
    details: dict[str, Any] = {"status": status, "detail": said.get("detail")}
    code = str(said.get("code") or "")
    if not message:
        if status in _NOT_THERE and not said:
            return not_ours(asked, f"it answered {status} with something else than JSON")
        shown = " ".join(body[:_SHOWN].decode("utf-8", "replace").split())
        message = f"{asked} was answered with {status}" + (f": {shown}" if shown else "")
    match status:
        case 401:
            return NotAllowed(message, code=code or None, hint=_KEY, details=details)
        case 403:
            return NotAllowed(message, code=code or None, hint=hint or _KEY, details=details)
        case 404:
            return NotFound(message, code=code or None, hint=hint, details=details)
        case 409:
            return Conflict(message, code=code or None, hint=hint, details=details)
        case _ if status in _RETRYABLE or status >= 500:
            details |= {"retryable": status in _RETRYABLE, "retry_after": _wait(headers)}
            return TransportError(message, code=code or "TR407", hint=hint, details=details)
        case _ if 400 <= status < 500:
            return DefinitionError(
                message,
                code=code or "TR408",
                hint=hint,
                details=details,
                findings=findings_of(said.get("findings")),
            )
        case _:
            return not_ours(asked, f"it answered {status}")


_KEY = (
    "name a key with TAILRACE_API_KEY or tailrace context add; tailrace admin key create makes one"
)


def not_ours(asked: str, why: str) -> TransportError:
    """Return the error for an answer that no Tailrace server gives."""
    return TransportError(
        f"what answered {asked} is no Tailrace server: {why}",
        code="TR407",
        hint="check the address; tailrace server status shows where it comes from",
        details={"retryable": False},
    )


def unreachable(server: str, why: str, *, was_sent: bool = True, hint: str = "") -> TransportError:
    """Return the error for a server that does not answer."""
    return TransportError(
        f"{server} does not answer: {why}",
        code="TR400",
        hint=hint or "start it with tailrace up, or name another with --server or TAILRACE_SERVER",
        details={"server": server, "retryable": True, "was_sent": was_sent},
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _detail(detail: Any) -> str:
    """Return the ``detail`` of an older server: a text, or the list of a validation."""
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        first = detail[0]
        where = ".".join(str(part) for part in first.get("loc", ()))
        return f"{where}: {first.get('msg', '')}"
    return ""


def findings_of(said: Any) -> tuple[Finding, ...]:
    """Return all that a server, or its worker, finds wrong with a workflow that was sent."""
    try:
        told = msgspec.convert(said or [], list[_Told])
    except msgspec.ValidationError:
        return ()
    return tuple([one.finding() for one in told])


class _Told(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: str = ""
    subject: str = ""
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None

    def finding(self) -> Finding:
        return Finding(
            code=self.code,
            severity=Severity.ERROR,
            message=self.message,
            where=self._where(),
            hint=self.hint,
            subject=self.subject,
        )

    def _where(self) -> SourceSpan | None:
        if self.line is None or self.column is None:
            return None
        return SourceSpan(
            file=SENT,
            line=self.line,
            column=self.column,
            end_line=self.end_line or self.line,
            end_column=self.end_column or self.column + 1,
        )


def _wait(headers: Mapping[str, str]) -> float | None:
    try:
        wished = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(wished, _LONGEST_WAIT) if wished >= 0 else None
