"""A finding of a check: what is wrong, where, and how to mend it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Severity(StrEnum):
    """An error stops a run from starting; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class SourceSpan(Struct, frozen=True, kw_only=True):
    """A place in a text. Lines and columns count from 1; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""
    """The source line itself, for the caret display."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Finding(Struct, frozen=True, kw_only=True):
    """One problem of a definition, with a stable id."""

    code: str
    """``TR1xx``; see ``tailrace explain``."""
    severity: Severity
    message: str
    """What is wrong, with the value seen and the values allowed."""
    where: SourceSpan | None = None
    hint: str = ""
    """The smallest mend, as an imperative sentence."""
    subject: str = ""
    """Path in the definition, such as ``tasks.load.policy.retry.delay``."""


def finding_to_dict(found: Finding) -> dict[str, Any]:
    """Return a finding as it is told over the wire: without the file, which the reader has."""
    where = found.where
    return {
        "code": found.code,
        "message": found.message,
        "hint": found.hint,
        "subject": found.subject,
        "line": None if where is None else where.line,
        "column": None if where is None else where.column,
        "end_line": None if where is None else where.end_line,
        "end_column": None if where is None else where.end_column,
    }
