"""The policy of ``--policy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.cli.arguments import read_mapping

if TYPE_CHECKING:
    from tailrace.model import Policy


def read_policy(source: str | None) -> Policy | None:
    """Return the policy of ``--policy``.

    Raises:
        UsageError: it cannot be read.
        PolicyValidationError: it is out of its bounds; all problems at once.
    """
    if source is None:
        return None
    from tailrace.policy import PolicyValidator  # noqa: PLC0415 - only where one is given

    return PolicyValidator.from_dict(read_mapping(source, option="--policy"))
