"""Loading the flow a command is about; everything wrong with it is said at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tailrace.cli.session import current_session
from tailrace.cli.width import clean
from tailrace.errors import DefinitionError
from tailrace.model import Finding, Severity

if TYPE_CHECKING:
    from tailrace.model import Flow, Policy

_DOUBTFUL_POLICY = "TR174"
"""A policy that works but may not be meant; said where policies are looked at, not at each run."""


def load_flow(
    target: str,
    *,
    params: Collection[str] = (),
    override: Policy | None = None,
    quiet: bool = False,
) -> Flow:
    """Return the flow of a file or module; warnings go to standard error, one line each.

    Raises:
        DefinitionError: it cannot be used; ``findings`` holds every error.
    """
    flow, findings = load_checked(target, params=params, override=override)
    errors = [found for found in findings if found.severity is Severity.ERROR]
    if errors or flow is None:
        raise DefinitionError(f"{target} holds no flow that can be used", findings=errors)
    if not quiet:
        warn(findings)
    return flow


def load_checked(
    target: str, *, params: Collection[str] = (), override: Policy | None = None
) -> tuple[Flow | None, list[Finding]]:
    """Return a flow and its findings for a run that gives these params and this policy."""
    from tailrace.flows import check_flow, load_target  # noqa: PLC0415 - YAML, only when needed

    loaded = load_target(target)
    if loaded.flow is None or (not params and override is None):
        return loaded.flow, list(loaded.findings)
    without = set(check_flow(loaded.flow))
    of_text = [found for found in loaded.findings if found not in without]
    checked = check_flow(loaded.flow, params=params, override=override)
    return loaded.flow, list(dict.fromkeys([*of_text, *checked]))


def warn(findings: Sequence[Finding]) -> None:
    """Write each warning on one line of standard error, but no doubts about policies."""
    worth_it = [
        finding
        for finding in findings
        if finding.severity is Severity.WARNING and finding.code != _DOUBTFUL_POLICY
    ]
    if worth_it:
        from tailrace.cli.report_error import problem_of  # noqa: PLC0415 - only with a warning

        terminal = current_session().err
        for finding in worth_it:
            problem = problem_of(finding)
            label = terminal.style(f"warning[{problem.code}]", "bold yellow")
            place = f" ({problem.where})" if problem.where is not None else ""
            terminal.lines([f"{label}: {clean(problem.message + place)}"])
