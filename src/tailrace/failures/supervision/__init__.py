"""Supervision: the way of a failure through the scopes around it, and what each decides.

``supervisor`` is imported by its module: whoever reads a store does not need it.
"""

from tailrace.failures.supervision.context import RunContext
from tailrace.failures.supervision.decide import Decision, ScopePolicy, decide
from tailrace.failures.supervision.escalation import Escalation, FailureChanges, LetterChange
from tailrace.failures.supervision.letters import letter_of, settle
from tailrace.failures.supervision.levels import advance, is_around
from tailrace.failures.supervision.lost import OpenAttempt, lost_failures
from tailrace.failures.supervision.siblings import Strategy, affected, strategy_of

__all__ = [
    "Decision",
    "Escalation",
    "FailureChanges",
    "LetterChange",
    "OpenAttempt",
    "RunContext",
    "ScopePolicy",
    "Strategy",
    "advance",
    "affected",
    "decide",
    "is_around",
    "letter_of",
    "lost_failures",
    "settle",
    "strategy_of",
]
