"""What attempts in one process know together of the things they call: budgets and breakers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from tailrace.model import EffectiveRetry
from tailrace.policy.breaker import Breakers
from tailrace.policy.budget import Budgets, within_budget
from tailrace.policy.retry import RetryDecision


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The budgets and breakers of a process, by the name that policies give what is called."""

    budgets: Budgets = field(default_factory=Budgets)
    breakers: Breakers = field(default_factory=Breakers)

    def deposit(self, retry: EffectiveRetry) -> None:
        """Count a first attempt."""
        if retry.budget is not None:
            self.budgets.deposit(retry.budget, time.monotonic())

    def wait(self, retry: EffectiveRetry) -> float:
        """Return the seconds after which an attempt asks again; 0: it may go."""
        return (
            0.0 if retry.breaker is None else self.breakers.admit(retry.breaker, time.monotonic())
        )

    def settle(self, retry: EffectiveRetry, category: str | None) -> None:
        """Tell the breaker how an attempt ended; None: it succeeded."""
        if retry.breaker is None:
            return
        if category is None:
            self.breakers.succeeded(retry.breaker)
        else:
            self.breakers.settle(retry.breaker, category, time.monotonic())

    def within_budget(
        self, decision: RetryDecision, retry: EffectiveRetry, elapsed: float
    ) -> RetryDecision:
        """Return what the budget leaves of a decision; ``elapsed``: seconds since the first try."""
        now = time.monotonic()
        return within_budget(decision, retry, self.budgets, now=now, elapsed=elapsed)


OF_PROCESS: Final = Dependencies()
"""Shared by all runs of this process."""
