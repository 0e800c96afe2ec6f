"""One printer for every error: what, where with a caret, and the next step."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from tailrace.cli.problem_text import Problem, annotation, render_problem
from tailrace.cli.refusal import Refusal
from tailrace.cli.session import Session
from tailrace.errors import (
    DefinitionError,
    NotAllowed,
    NotFound,
    PolicyValidationError,
    QueryError,
    RunCancelled,
    SettingsError,
    StoreError,
    TailraceError,
    TransportError,
)

if TYPE_CHECKING:
    from tailrace.model import Finding

USAGE = "TR001"
INTERNAL = "TR002"
_LOCKED = "TR506"
_NO_SUCH_FILE = "TR101"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class ErrorReport(Struct, frozen=True, kw_only=True):
    """An error as the command line tells it. ``problems`` has one entry or more."""

    exit_code: int
    problems: tuple[Problem, ...]
    details: dict[str, Any]
    retryable: bool = False


def report_error(error: Exception, arguments: Sequence[str], session: Session) -> int:
    """Print ``error`` on standard error, as JSON where that was asked for; return the exit code."""
    if session.debug:
        traceback.print_exception(error)
    report = describe_error(error)
    terminal = session.err
    if wants_json(arguments):
        terminal.lines([_as_json(report)])
        return report.exit_code
    for place, problem in enumerate(report.problems):
        if place:
            terminal.lines([""])
        terminal.lines(render_problem(problem, terminal))
        if os.environ.get("GITHUB_ACTIONS") == "true":
            terminal.lines([annotation(problem)])
    return report.exit_code


def describe_error(error: Exception) -> ErrorReport:
    """Return what to tell about ``error`` and which exit code it means."""
    match error:
        case click.UsageError():
            return ErrorReport(exit_code=2, problems=(_usage(error),), details={})
        case click.ClickException():
            problem = Problem(code=USAGE, message=error.format_message())
            return ErrorReport(exit_code=2, problems=(problem,), details={})
        case TailraceError():
            return ErrorReport(
                exit_code=exit_code_of(error),
                problems=_problems(error),
                details=error.details,
                retryable=bool(
                    error.details.get(
                        "retryable", isinstance(error, TransportError) or error.code == _LOCKED
                    )
                ),
            )
        case OSError() if error.filename is not None:
            return ErrorReport(exit_code=2, problems=(_file(error),), details={})
        case OSError() if error.errno in _NO_ROOM:
            problem = Problem(code=USAGE, message=f"the output cannot be written: {error.strerror}")
            return ErrorReport(exit_code=1, problems=(problem,), details={})
        case _:
            return ErrorReport(exit_code=1, problems=(_internal(error),), details={})


def exit_code_of(error: TailraceError) -> int:
    """Return the exit code of an error class, as the contract of the command line has it."""
    match error:
        case NotFound():
            return 3
        case DefinitionError() if is_missing(error.findings):
            return 3
        case SettingsError() | NotAllowed():
            return 4
        case DefinitionError():
            return 2
        case StoreError() | TransportError():
            return 5
        case RunCancelled():
            return 130
        case _ if error.code.startswith("TR3"):
            return 1
        case _:
            return 2


def is_missing(findings: Sequence[Finding]) -> bool:
    """Return whether what was named is not there, rather than wrong."""
    return any(finding.code == _NO_SUCH_FILE for finding in findings)


def _problems(error: TailraceError) -> tuple[Problem, ...]:
    if isinstance(error, DefinitionError) and error.findings:
        return tuple(problem_of(finding) for finding in error.findings)
    if isinstance(error, QueryError):
        from tailrace.cli.query_problem import query_problem  # noqa: PLC0415 - queries only

        return (query_problem(error),)
    if isinstance(error, PolicyValidationError):
        return tuple(Problem(code=error.code, message=text) for text in error.errors)
    return (Problem(code=error.code, message=error.message, hint=error.hint),)


def problem_of(finding: Finding) -> Problem:
    """Return a finding as the printer takes it."""
    return Problem(
        code=finding.code,
        severity=str(finding.severity),
        message=finding.message,
        hint=finding.hint,
        where=finding.where,
        subject=finding.subject,
    )


def _usage(error: click.UsageError) -> Problem:
    message, hint = error.format_message().rstrip(".") + _nearest(error), ""
    if isinstance(error, Refusal):
        return Problem(code=error.code, message=message, hint=error.hint)
    if error.ctx is not None:
        hint = f"{error.ctx.command_path} --help shows what is allowed"
    return Problem(code=USAGE, message=message[:1].lower() + message[1:], hint=hint)


def _nearest(error: click.UsageError) -> str:
    """Return which allowed value was meant by one that is none, as the end of a sentence."""
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param else None
    if not isinstance(kind, click.Choice):
        return ""
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    given = error.message.partition("'")[2].partition("' is not one of")[0]
    near = get_close_matches(given, [str(choice) for choice in kind.choices], 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _file(error: OSError) -> Problem:
    message = f"{error.filename}: {error.strerror or type(error).__name__}"
    return Problem(code=USAGE, message=message)


def _internal(error: Exception) -> Problem:
    return Problem(
        code=INTERNAL,
        message=f"internal error: {type(error).__name__}: {error}",
        hint="this is a fault of tailrace; the same command with --debug shows where it happened",
    )


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether the command line asks for JSON, be it well formed or not."""
    for place, argument in enumerate(arguments):
        if argument == "--":
            return False
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        name, _, value = argument.partition("=")
        if argument == "--json":
            return True
        if name in ("--format", "-o") and (value or following) in ("json", "jsonl"):
            return True
    return False


def _as_json(report: ErrorReport) -> str:
    import json  # noqa: PLC0415 - only for programs

    first = report.problems[0]
    body: dict[str, Any] = {
        "code": first.code,
        "message": first.message,
        "hint": first.hint,
        "details": {**report.details, "problems": [p.to_dict() for p in report.problems]},
        "retryable": report.retryable,
    }
    return json.dumps({"error": body}, ensure_ascii=False, default=str)
