"""Policies as code gives them: made already, or spelled as in ``flow.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.model import Policy

PolicyGiven = Policy | Mapping[str, Any]


def given_policy(given: PolicyGiven | None) -> Policy | None:
    """Return the policy that was given; one that is a policy already is checked with its flow.

    Raises:
        PolicyValidationError: what was given spells none; all problems at once.
    """
    if given is None or isinstance(given, Policy):
        return given
    from tailrace.policy import PolicyValidator  # noqa: PLC0415 - most flows need none of it

    return PolicyValidator.from_dict(given)
