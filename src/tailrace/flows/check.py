"""Checking a flow: every finding at once, and no task is run for it."""

from __future__ import annotations

from collections.abc import Collection

from tailrace.flows.compile import analysis
from tailrace.model import Finding, Flow, Policy

_PARAM_CODES = frozenset({"TR150", "TR153"})


def needs_param(finding: Finding) -> bool:
    """True if a finding may be mended by giving the run a param, without a change to the flow."""
    return finding.code in _PARAM_CODES


def check_flow(
    flow: Flow, *, params: Collection[str] | None = None, override: Policy | None = None
) -> list[Finding]:
    """Return every error and warning of a flow, sorted by place in the text.

    Args:
        flow: the definition.
        params: names of the params a run is given beside the flow's defaults; a param that nothing
            provides is an error.
        override: the policy of the command line.
    """
    return analysis(flow, params=params or (), override=override).findings.sorted()
