"""The error tree. Each class means one reaction by the caller.

::

    TailraceError
    ├── DefinitionError          fix the flow, the policy or the arguments   (TR1xx, exit 2)
    │   ├── PolicyValidationError    … the policy; ``errors`` lists all problems
    │   ├── ExpressionError          … an expression
    │   └── SettingsError            … ``tailrace.toml``, ``TAILRACE_*`` or a flag  (exit 4)
    ├── QueryError               fix the query                               (TR2xx, exit 2)
    ├── RunError                 the run ended otherwise than wished         (TR3xx, exit 1)
    │   ├── RunFailed                … it failed; ``report`` says why
    │   └── RunCancelled             … it was cancelled                      (exit 130)
    ├── TransportError           retry later, or start the server            (TR4xx, exit 5)
    ├── NotAllowed               show a key that may do this                 (TR42x, exit 4)
    ├── Conflict                 somebody else wrote first: look again       (TR402, exit 1)
    └── StoreError               the store cannot be used                    (TR5xx, exit 5)
        └── NotFound                 … nothing has that id                   (exit 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class TailraceError(Exception):
    """Base of all errors that Tailrace raises on purpose.

    Attributes:
        code: stable identifier, ``TR`` and three digits; see ``tailrace explain CODE``.
        message: what failed, the value seen, the bound or the known values.
        hint: the next step that mends it; empty when there is none.
        details: typed data for programs.
    """

    default_code = "TR000"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})


class DefinitionError(TailraceError):
    """The definition of a flow is wrong; nothing has run.

    ``findings`` holds every problem found (``tailrace.model.Finding``), not only the first.
    """

    default_code = "TR100"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        details: Mapping[str, Any] | None = None,
        findings: Sequence[Any] = (),
    ) -> None:
        super().__init__(message, code=code, hint=hint, details=details)
        self.findings = tuple(findings)


class PolicyValidationError(DefinitionError):
    """A policy is out of its bounds. ``errors`` lists every problem with its path."""

    default_code = "TR170"

    def __init__(
        self, errors: Sequence[str], *, code: str | None = None, findings: Sequence[Any] = ()
    ) -> None:
        self.errors: list[str] = list(errors)
        super().__init__("; ".join(self.errors) or "invalid policy", code=code, findings=findings)

    def __str__(self) -> str:
        return "\n".join(self.errors)


class ExpressionError(DefinitionError):
    """An expression cannot be parsed or evaluated.

    Attributes:
        column: offset of the fault in the expression's text, from 0; -1 when it has none.
    """

    default_code = "TR140"

    def __init__(
        self, message: str, *, code: str | None = None, hint: str = "", column: int = -1
    ) -> None:
        super().__init__(message, code=code, hint=hint, details={"column": column})
        self.column = column


class SettingsError(DefinitionError):
    """A setting is unknown or out of its bounds."""

    default_code = "TR190"


class QueryError(TailraceError):
    """A query is not valid."""

    default_code = "TR200"


class RunError(TailraceError):
    """A run did not end as wished."""

    default_code = "TR300"


class RunFailed(RunError):  # noqa: N818 - the public name of the runtime contract
    """The run failed. ``report`` is its ``RuntimeExecutionReport``."""

    default_code = "TR301"

    def __init__(self, message: str, *, report: Any, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.report = report


class RunCancelled(RunError):  # noqa: N818 - reads as the state it reports
    """The run was cancelled. ``report`` is its ``RuntimeExecutionReport``."""

    default_code = "TR302"

    def __init__(self, message: str, *, report: Any, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.report = report


class TransportError(TailraceError):
    """A server cannot be reached."""

    default_code = "TR400"


class NotAllowed(TailraceError):  # noqa: N818 - an answer more than a fault
    """A server wants a key, or another one."""

    default_code = "TR409"


class Conflict(TailraceError):  # noqa: N818 - an answer more than a fault
    """A compare-and-set failed: somebody else wrote first."""

    default_code = "TR402"


RUN_EXISTS = "TR524"
"""Code of the ``StoreError`` of a run whose id the store has already."""


class StoreError(TailraceError):
    """The store cannot be opened, read or written."""

    default_code = "TR500"


class NotFound(StoreError):  # noqa: N818 - reads as the state it reports
    """No run, trace or record has that id."""

    default_code = "TR503"
