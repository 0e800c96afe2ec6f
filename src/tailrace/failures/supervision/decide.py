"""What a scope does about a failure that reaches it, where nobody says otherwise."""

from __future__ import annotations

from typing import NamedTuple, assert_never

import msgspec

from tailrace.failures.supervision.siblings import Strategy
from tailrace.model.failure import Directive, FailureClass, FailureSnapshot, ScopeLevel
from tailrace.model.states import ErrorCategory

INTENSITY_EXCEEDED = "intensity_exceeded"
RETRIES_EXHAUSTED = "retries_exhausted"
"""Reasons of an escalation, as they stand in a trail."""


class ScopePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a scope is allowed to do."""

    retries_left: int = 0
    """Tries that its retry policy still has; 0: none, or no policy."""
    on: frozenset[str] | None = None
    """Categories that are retried; None: all but cancelled."""
    nested: bool = False
    """Retry also what a scope further in has tried as often as it was allowed to."""
    on_error: str = "stop"
    """The action of a node."""
    strategy: Strategy = Strategy.ALL_FOR_ONE
    """What the failure of one step means for the others of a flow."""
    restarts_left: int = 0
    """Restarts that a worker's intensity still admits."""


class Decision(NamedTuple):
    """A directive and why."""

    directive: Directive
    reason: str


PLAIN = ScopePolicy()


def decide(level: ScopeLevel, failure: FailureSnapshot, policy: ScopePolicy = PLAIN) -> Decision:
    """Return what a scope of that level does about a failure that stands inside it.

    A failure of class ``infrastructure`` is the only one that passes a run.
    """
    match level:
        case ScopeLevel.TASK:
            return _at_task(failure, policy)
        case ScopeLevel.NODE:
            if policy.on_error == "stop":
                return Decision(Directive.ESCALATE, failure.given_up or failure.category)
            return Decision(Directive.RESUME, f"on_error: {policy.on_error}")
        case ScopeLevel.FLOW:
            return Decision(Directive.ESCALATE, f"{policy.strategy}: {_EFFECTS[policy.strategy]}")
        case ScopeLevel.RUN:
            return beyond_run(failure, level)
        case ScopeLevel.WORKER:
            if policy.restarts_left > 0:
                return Decision(Directive.RESTART, f"restarts left: {policy.restarts_left}")
            return beyond_run(failure, level)
        case ScopeLevel.ROOT:
            return Decision(Directive.STOP, "nothing is around the root")
        case _:
            assert_never(level)


def beyond_run(failure: FailureSnapshot, level: ScopeLevel) -> Decision:
    """Return what a run, or a worker that must not restart, does about a failure."""
    if failure.class_ == FailureClass.INFRASTRUCTURE:
        return Decision(Directive.ESCALATE, "infrastructure: not this run's alone")
    if level is ScopeLevel.RUN:
        return Decision(Directive.STOP, "the run has failed")
    return Decision(Directive.ESCALATE, INTENSITY_EXCEEDED)


def _at_task(failure: FailureSnapshot, policy: ScopePolicy) -> Decision:
    escalate, category = Directive.ESCALATE, failure.category
    if category == ErrorCategory.CANCELLED:
        return Decision(escalate, "cancelled: never tried again")
    if failure.given_up and not policy.nested:
        return Decision(escalate, f"{RETRIES_EXHAUSTED}: {failure.given_up}")
    if not failure.retryable or not _is_wanted(policy.on, category):
        return Decision(escalate, f"{category}: not tried again")
    if policy.retries_left <= 0:
        return Decision(escalate, RETRIES_EXHAUSTED)
    return Decision(Directive.RETRY, f"tries left: {policy.retries_left}")


def _is_wanted(on: frozenset[str] | None, category: str) -> bool:
    if on is None or category in on:
        return True
    return category == ErrorCategory.TIMEOUT and ErrorCategory.TRANSIENT.value in on


_EFFECTS = {
    Strategy.ONE_FOR_ONE: "all others go on",
    Strategy.REST_FOR_ONE: "what needs it is skipped",
    Strategy.ALL_FOR_ONE: "the others are cancelled",
}
