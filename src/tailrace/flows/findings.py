"""Gathering findings: each once, in the order of their places in the text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tailrace.model import Finding, Severity, SourceSpan, TaskNode

if TYPE_CHECKING:
    from tailrace.errors import ExpressionError

_MAXIMUM = 1000
"""Findings kept; who has more mends these first."""


class Findings:
    """What a check has found so far."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, SourceSpan | None], Finding] = {}

    def add(
        self,
        code: str,
        message: str,
        *,
        where: SourceSpan | None = None,
        hint: str = "",
        subject: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Keep a finding, unless the very same is there already."""
        if len(self._found) < _MAXIMUM:
            self._found.setdefault(
                (code, subject, message, where),
                Finding(
                    code=code,
                    severity=severity,
                    message=message,
                    where=where,
                    hint=hint,
                    subject=subject,
                ),
            )

    def warn(
        self,
        code: str,
        message: str,
        *,
        where: SourceSpan | None = None,
        hint: str = "",
        subject: str = "",
    ) -> None:
        """Keep a warning."""
        self.add(code, message, where=where, hint=hint, subject=subject, severity=Severity.WARNING)

    def take(
        self, error: ExpressionError, *, where: SourceSpan | None, subject: str, source: object
    ) -> None:
        """Keep the problem of an expression."""
        self.add(
            error.code,
            f"{error.message} in {source!r}",
            where=where,
            hint=error.hint,
            subject=subject,
        )

    def extend(self, others: Iterable[Finding]) -> None:
        """Keep findings that were made elsewhere."""
        for found in others:
            key = (found.code, found.subject, found.message, found.where)
            self._found.setdefault(key, found)

    @property
    def has_errors(self) -> bool:
        """True when something keeps the flow from running."""
        return any(found.severity is Severity.ERROR for found in self._found.values())

    def errors(self) -> list[Finding]:
        """Return what keeps the flow from running, sorted."""
        return [found for found in self.sorted() if found.severity is Severity.ERROR]

    def sorted(self) -> list[Finding]:
        """Return all findings by file, line and column; those without a place come last."""
        return sorted(self._found.values(), key=_place)


def _place(found: Finding) -> tuple[bool, str, int, int]:
    where = found.where
    if where is None:
        return True, "", 0, 0
    return False, where.file, where.line, where.column


def meant(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known name, else nothing."""
    import difflib  # noqa: PLC0415 - only when something is wrong

    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def listed(names: Iterable[str], *, limit: int = 10) -> str:
    """Return names for a message: the first ones, or ``none``."""
    shown: list[str] = []
    for name in names:
        if len(shown) == limit:
            shown.append("…")
            break
        shown.append(name)
    return ", ".join(shown) or "none"


def place_of(node: TaskNode) -> SourceSpan | None:
    """Return where a task node is written: its text, else its function's ``def`` line."""
    return node.where or definition_place(node.task.function)


def definition_place(function: Any) -> SourceSpan | None:
    """Return the line a Python function is defined at; None for what has none."""
    function = getattr(function, "func", function)
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    if code is None:
        return None
    import linecache  # noqa: PLC0415 - only when something is wrong

    line, file = code.co_firstlineno, code.co_filename
    text = linecache.getline(file, line).rstrip("\n")
    while text.lstrip().startswith("@"):
        line += 1
        text = linecache.getline(file, line).rstrip("\n")
    column = len(text) - len(text.lstrip()) + 1
    return SourceSpan(
        file=file, line=line, column=column, end_line=line, end_column=len(text) + 1, text=text
    )
