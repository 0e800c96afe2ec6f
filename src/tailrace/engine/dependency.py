"""What attempts in one process know together of the things they call: budgets and breakers."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

from tailrace.model import EffectiveRetry

if TYPE_CHECKING:
    from tailrace.policy.breaker import Breakers
    from tailrace.policy.budget import Budgets
    from tailrace.policy.retry import RetryDecision


class Dependencies:
    """The budgets and breakers of a process, by the name that policies give what is called."""

    def __init__(self, *, budgets: Budgets | None = None, breakers: Breakers | None = None) -> None:
        self._budgets = budgets
        self._breakers = breakers
        self._lock = Lock()

    @property
    def budgets(self) -> Budgets:
        """Made when a policy first names one."""
        from tailrace.policy import Budgets  # noqa: PLC0415 - few policies do

        with self._lock:
            if self._budgets is None:
                self._budgets = Budgets()
            return self._budgets

    @property
    def breakers(self) -> Breakers:
        """Made when a policy first names one."""
        from tailrace.policy import Breakers  # noqa: PLC0415 - few policies do

        with self._lock:
            if self._breakers is None:
                self._breakers = Breakers()
            return self._breakers

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
        if retry.budget is None:
            return decision
        from tailrace.policy.budget import within_budget  # noqa: PLC0415 - only of what failed

        now = time.monotonic()
        return within_budget(decision, retry, self.budgets, now=now, elapsed=elapsed)


OF_PROCESS: Final = Dependencies()
"""Shared by all runs of this process."""
