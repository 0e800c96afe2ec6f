"""The policy of each node, with all levels of precedence merged."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.errors import PolicyValidationError
from tailrace.model import EffectiveOnError, EffectivePolicy, Flow, Policy, TaskNode


class Policies:
    """The policy of each node, all levels merged; equal inputs are merged once."""

    def __init__(self, flow: Flow, override: Policy | None, base: Policy | None = None) -> None:
        self.override = override
        """The policy of the command line."""
        self.base = base
        """The policy of the project's settings, weaker than all others."""
        self._outer = (("settings", base), ("flow", flow.policy), ("--policy", override))
        self._known: dict[tuple[int, int], EffectivePolicy] = {}
        self.flow = _resolved(self._outer)

    def of(self, node: TaskNode) -> EffectivePolicy:
        """Return what the engine obeys for a node."""
        task, own = node.task.policy, node.policy
        if task is None and own is None:
            return self.flow
        key = (id(task), id(own))
        if key not in self._known:
            self._known[key] = _resolved((*self._outer, ("node", task), ("node", own)))
        return self._known[key]

    def on_error_of(self, node: TaskNode) -> EffectiveOnError:
        """Return what a node does when it has failed for good."""
        return self.of(node).on_error


def _resolved(levels: Sequence[tuple[str, Policy | None]]) -> EffectivePolicy:
    if all(policy is None for _, policy in levels):
        return EffectivePolicy()
    from tailrace.policy import resolve  # noqa: PLC0415 - only where a policy is given

    try:
        return resolve(levels)
    except PolicyValidationError:  # every problem of each level is among the findings
        return EffectivePolicy()
