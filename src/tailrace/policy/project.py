"""The policy that a project's settings imply."""

from __future__ import annotations

from tailrace.model import EffectiveRetry, Policy, Retry
from tailrace.settings import FailureSettings


def project_policy(settings: FailureSettings) -> Policy | None:
    """Return the weakest level of all policies; None when the settings leave the defaults."""
    if settings.retry_after_cap == EffectiveRetry().retry_after_cap:
        return None
    return Policy(retry=Retry(retry_after_cap=settings.retry_after_cap))
