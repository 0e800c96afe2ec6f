"""What classification says of a failure."""

from __future__ import annotations

from typing import NamedTuple

from tailrace.model import ErrorCategory, FailureClass


class Verdict(NamedTuple):
    """A category, a class, and the rule that gave them."""

    category: ErrorCategory
    rule: str
    """``explicit``, ``rule:<label>``, ``plugin:<name>``, ``exhausted``, ``report`` (of a run
    inside), ``http:<status>``, ``grpc:<code>``, ``errno:<name>``, ``type:<name>`` or ``unknown``;
    before it ``cause:`` or ``group:`` where a cause or a member of a group decided."""
    is_refused: bool = False
    """True when nothing may try again, whatever the policy says."""
    retry_after: float | None = None
    """Seconds to wait at least before another attempt; not cut to any bound of a policy."""
    class_: FailureClass = FailureClass.UNKNOWN
    fingerprint: str = ""
    """Name of the group that a rule wishes for; empty: the usual one."""


UNKNOWN = Verdict(ErrorCategory.UNKNOWN, "unknown")
"""The verdict where no rule has an answer."""
EXHAUSTED = "exhausted"
"""The rule of failures whose retries were made already, further inside."""


def is_exhausted(rule: str) -> bool:
    """Tell by the rule that decided whether retries were made already, further inside."""
    return rule.endswith(EXHAUSTED)
