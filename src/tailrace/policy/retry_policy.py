"""A whole policy of retries in one value, for code that tries again by itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import KW_ONLY, InitVar, dataclass, field, fields
from random import Random
from typing import Any, Self

from msgspec.structs import replace

from tailrace.errors import PolicyValidationError
from tailrace.model import Duration, EffectiveRetry, Policy, Retry
from tailrace.model.policy import FailureKind
from tailrace.policy.durations import LONGEST, parse_duration
from tailrace.policy.fields import FIELDS, one_of
from tailrace.policy.merge import resolve
from tailrace.policy.retry import RetryDecision, decide_retry
from tailrace.policy.tenacity import TenacitySchedule, TenacityWait
from tailrace.policy.validate import Problem, problems, shown, value_problem
from tailrace.policy.wording import retry_snapshot

logger = logging.getLogger(__name__)

Schedule = Callable[[int], float]
"""Number of the attempt that failed (from 1) to the seconds to wait, before cap and jitter."""

_DEFAULTS = Policy(
    retry=Retry(
        max_attempts=3,
        base=1.0,
        schedule="exponential",
        jitter="full",
        max_delay=300.0,
        on=("transient", "unknown"),
        unknown_retries=1,
    )
)
"""What holds where nothing is said; ``transient`` means timeouts, too."""
_ENDINGS = one_of(("dead_letter", "fail"))
_SELF = "RetryPolicy"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently something is tried again, and what is given up at once.

    Durations are seconds, or text such as ``"250ms"``. Permanent failures are not retried unless
    ``retry_on`` names them, and what was cancelled never is.

    Raises:
        PolicyValidationError: a field is out of its bounds; all problems at once.
    """

    max_attempts: int = 3
    """Tries after the first; 0 is off. ``max_retries`` is another word for it."""
    schedule: str | Schedule = "exponential"
    """``fixed``, ``exponential``, ``linear``, ``fibonacci``, or a function of the attempt."""
    base: Duration = 1.0
    """Delay before the second attempt."""
    factor: float = 2.0
    """Growth of ``exponential`` from one delay to the next."""
    max_delay: Duration = 300.0
    """No single delay is longer, before jitter; 0: no cap."""
    jitter: str | float = "full"
    """``full``, ``equal``, ``decorrelated``, ``none``, or a share from 0 to 1 up and down."""
    _: KW_ONLY
    max_elapsed: Duration | None = None
    """No attempt starts later than this after the first one."""
    attempt_timeout: Duration | None = None
    """Each attempt is ended after it; None: never."""
    retry_on: Collection[FailureKind] = ()
    """Categories, classes or exception types; empty: transient, timeout and unknown."""
    give_up_on: Collection[FailureKind] = ()
    """What is final at once, in the same words; stronger than ``retry_on``."""
    respect_retry_after: bool = True
    retry_after_cap: Duration | None = 3600.0
    """The longest wait that the other side may ask for; a longer wish is given up."""
    unknown_retries: int | None = 1
    """No attempt follows an unknown failure of a later attempt than this; None: as the others."""
    budget: str = ""
    """Name of what is called; all that name it share one budget of retries."""
    on_budget: str = "dead_letter"
    """What happens without budget: ``dead_letter`` or ``delay``."""
    nested: bool = False
    """True: try again, too, what has been retried inside until nothing was left."""
    on_exhausted: str = "dead_letter"
    """What a failure that is given up leaves: a ``dead_letter``, or none (``fail``)."""
    max_retries: InitVar[int | None] = None
    """Another word for ``max_attempts``, which is where to read it."""
    _retry: EffectiveRetry = field(init=False, repr=False, compare=False)

    def __post_init__(self, max_retries: int | None) -> None:
        """Check all fields and bring them into the form that decides."""
        words: dict[str, Any] = {} if max_retries is None else {"max_retries": max_retries}
        policy = Policy(retry=Retry(**_given(self), **words))
        found = [*_problems(self, policy)]
        if found:
            raise PolicyValidationError([one.message for one in found], code=found[0].code)
        retry = resolve([("default", _DEFAULTS), (_SELF, policy)]).retry
        object.__setattr__(self, "_retry", retry)
        object.__setattr__(self, "max_attempts", retry.max_attempts)

    @classmethod
    def resonant(cls) -> Self:
        """Return the policy of the older program: 2, 4, 8 s and so on, ±20 %, three retries."""
        return cls(max_attempts=3, base=2.0, factor=2.0, max_delay=300.0, jitter=0.2)

    @classmethod
    def from_tenacity(cls, wait: TenacityWait, **fields: Any) -> Self:
        """Return a policy that waits as one of tenacity's wait objects says.

        Args:
            wait: such as ``tenacity.wait_random_exponential(multiplier=1, max=60)``; its own
                jitter is kept and no other added, unless ``fields`` asks for it.
            fields: the policy's other fields.
        """
        return cls(schedule=TenacitySchedule(wait), **{"jitter": "none", **fields})

    @property
    def retry(self) -> EffectiveRetry:
        """The same as the engine's form, durations in seconds; without a function as schedule."""
        return self._retry

    @property
    def timeout(self) -> float:
        """Seconds of one attempt; 0: no end."""
        return parse_duration(self.attempt_timeout or 0)

    def snapshot(self) -> dict[str, Any]:
        """Return the policy as JSON-able data; durations in seconds, what is off left out."""
        plain = retry_snapshot(self._retry)
        if not isinstance(self.schedule, str):
            plain["mode"] = _name_of(self.schedule)
        if self.timeout:
            plain["attempt_timeout"] = self.timeout
        return plain | {"on_exhausted": self.on_exhausted}

    def delay(self, attempt: int) -> float | None:
        """Return what a function as schedule answers, in seconds; None when there is none.

        Never negative and never more than ``max_delay``. A function that raises, or that answers
        no number, is logged and makes for the longest delay: a failure must not be lost over it.
        """
        if isinstance(self.schedule, str):
            return None
        cap = self._retry.max_delay or LONGEST
        try:
            seconds = float(self.schedule(attempt))
        except Exception:  # a function of the user's may raise anything
            logger.warning("schedule failed", extra={"attempt": attempt}, exc_info=True)
            return cap
        return cap if math.isnan(seconds) else min(max(seconds, 0.0), cap)

    def decide(
        self,
        category: str,
        class_: str = "",
        *,
        attempt: int,
        elapsed: float,
        rng: Random,
        retry_after: float | None = None,
        **facts: Any,
    ) -> RetryDecision:
        """Return what to do after attempt number ``attempt`` (1-based) failed.

        The arguments are those of ``decide_retry``, ``facts`` its further ones: ``retryable``,
        ``type_names`` and ``exhausted``.
        """
        return decide_retry(
            self._retry,
            category=category,
            class_=class_,
            attempt=attempt,
            elapsed=elapsed,
            rng=rng,
            retry_after=retry_after,
            planned=self.delay(attempt),
            **facts,
        )


_NOT_OF_A_RETRY = frozenset({"attempt_timeout", "on_exhausted", "_retry"})


def _given(policy: RetryPolicy) -> dict[str, Any]:
    """Return the fields of a retry that were given, that is, that differ from their defaults."""
    given = {
        one.name: getattr(policy, one.name)
        for one in fields(policy)
        if one.name not in _NOT_OF_A_RETRY and getattr(policy, one.name) != one.default
    }
    if "base" in given:
        given["max_delay"] = policy.max_delay
    if callable(policy.schedule):
        del given["schedule"]
    for name in ("retry_on", "give_up_on"):
        if isinstance(given.get(name), Collection) and not isinstance(given[name], str):
            given[name] = tuple(given[name])
    return given


def _problems(policy: RetryPolicy, given: Policy) -> Iterator[Problem]:
    for problem in problems(given, _SELF):
        message = problem.message.replace(f"{_SELF}.retry.", f"{_SELF}.", 1)
        yield replace(problem, message=message)
    others = {"attempt_timeout": FIELDS["retry.max_elapsed"], "on_exhausted": _ENDINGS}
    for name, allowed in others.items():
        if not allowed.accepts(getattr(policy, name)):
            yield value_problem(allowed, f"{_SELF}.{name}", getattr(policy, name))
    if callable(policy.schedule) and policy.jitter == "decorrelated":
        message = (
            f"{_SELF}.jitter is 'decorrelated', which is a schedule of its own, but schedule is "
            f"{shown(policy.schedule)}"
        )
        yield Problem("TR172", f"{_SELF}.jitter", message, "Write jitter='full'.")


def _name_of(schedule: Schedule) -> str:
    return getattr(schedule, "__qualname__", type(schedule).__qualname__)
