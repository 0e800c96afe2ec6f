"""Retry budgets: a share of the calls, so that retries cannot bury what is in trouble."""

from __future__ import annotations

import math
from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType

from msgspec import Struct, field

from tailrace.errors import PolicyValidationError
from tailrace.model import EffectiveRetry, LetterReason
from tailrace.policy.retry import GiveUp, RetryAfter, RetryDecision

_SLICES = 10
"""Parts of the time that tokens last; what is in one expires together."""
_MOST = 1e9


class RetryBudget(Struct, frozen=True, kw_only=True):
    """How many retries a dependency is given.

    In ``ttl`` seconds at most ``share`` of the first attempts made in them, or
    ``per_second * ttl`` where that is more, so that what is seldom called may be retried, too.

    Raises:
        PolicyValidationError: a field is out of its bounds; all problems at once.
    """

    share: float = 0.2
    """Retries per first attempt, 0 to 10."""
    per_second: float = 1.0
    """Retries per second that are always allowed, more than 0."""
    ttl: float = 10.0
    """Seconds that a first attempt counts, more than 0."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        found = []
        if not 0 <= self.share <= 10:
            found.append(f"RetryBudget.share is {self.share!r}; it must be a number from 0 to 10")
        for name in ("per_second", "ttl"):
            value = getattr(self, name)
            if not 0 < value < _MOST:
                found.append(f"RetryBudget.{name} is {value!r}; it must be a number above 0")
        if found:
            raise PolicyValidationError(found)


class _Window(Struct):
    """First attempts and retries of one dependency in the last ``ttl`` seconds."""

    slice: int = 0
    firsts: list[int] = field(default_factory=lambda: [0] * _SLICES)
    retries: list[int] = field(default_factory=lambda: [0] * _SLICES)
    queue_ends: float = float("-inf")
    """Instant at which the last retry that waits in line may go."""

    def turn_to(self, now_slice: int) -> int:
        """Forget what has expired; return the place of the current slice."""
        for passed in range(min(now_slice - self.slice, _SLICES)):
            place = (now_slice - passed) % _SLICES
            self.firsts[place] = self.retries[place] = 0
        self.slice = max(self.slice, now_slice)
        return self.slice % _SLICES


class Budgets:
    """The budgets of one process, by the name of what is called.

    Instants are seconds of any clock that does not go backwards, the same for all calls.
    Concurrency: any thread may call; no call waits longer than another one takes.
    """

    def __init__(
        self,
        default: RetryBudget | None = None,
        budgets: Mapping[str, RetryBudget] = MappingProxyType({}),
    ) -> None:
        self._default = default or RetryBudget()
        self._budgets = dict(budgets)
        self._windows: dict[str, _Window] = {}
        self._lock = Lock()

    def deposit(self, key: str, now: float) -> None:
        """Count a first attempt."""
        with self._lock:
            window, place = self._window(key, now)
            window.firsts[place] += 1

    def spend(self, key: str, now: float) -> bool:
        """Take a retry out of the budget; False when there is none to take.

        None may be taken before those who wait in line have gone.
        """
        with self._lock:
            window, place = self._window(key, now)
            if window.queue_ends > now or sum(window.retries) + 1 > self._allowed(key, window):
                return False
            window.retries[place] += 1
            return True

    def queue(self, key: str, now: float, longest: float = math.inf) -> float | None:
        """Take a place in line; return the seconds after which that retry may go.

        The line moves as fast as the budget grows at the moment. None, and no place is taken,
        when the wait would be more than ``longest`` seconds.
        """
        with self._lock:
            window, _ = self._window(key, now)
            pace = self._budget(key).ttl / self._allowed(key, window)
            wait = max(window.queue_ends - now, 0.0) + pace
            if wait > longest:
                return None
            window.queue_ends = now + wait
            return wait

    def _window(self, key: str, now: float) -> tuple[_Window, int]:
        window = self._windows.get(key)
        now_slice = int(now * _SLICES / self._budget(key).ttl)
        if window is None:
            window = self._windows[key] = _Window(now_slice)
        return window, window.turn_to(now_slice)

    def _budget(self, key: str) -> RetryBudget:
        return self._budgets.get(key, self._default)

    def _allowed(self, key: str, window: _Window) -> float:
        budget = self._budget(key)
        return max(budget.share * sum(window.firsts), budget.per_second * budget.ttl)


def within_budget(
    decision: RetryDecision,
    retry: EffectiveRetry,
    budgets: Budgets,
    *,
    now: float,
    elapsed: float = 0.0,
) -> RetryDecision:
    """Return what is left of a decision to try again once the policy's budget is asked.

    Without budget it is given up, or waits in line until there is some, as ``on_budget`` says.
    Ask once for each decision: a retry is taken out of the budget.

    Args:
        decision: what ``decide_retry`` said.
        retry: the policy it was asked for.
        budgets: the budgets of this process.
        now: seconds of the clock of ``budgets``.
        elapsed: seconds since the first attempt started; ``max_elapsed`` holds for the line, too.
    """
    if isinstance(decision, GiveUp) or retry.budget is None:
        return decision
    if budgets.spend(retry.budget, now):
        return decision
    if retry.on_budget == "delay":
        left = retry.max_elapsed - elapsed if retry.max_elapsed else math.inf
        wait = budgets.queue(retry.budget, now, left)
        if wait is not None:
            return RetryAfter(max(wait, decision.delay), "budget")
    reason = f"the retry budget of {retry.budget!r} is used up"
    return GiveUp(reason, LetterReason.BUDGET_EXCEEDED.value)
