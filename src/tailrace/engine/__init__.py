"""Walks a plan, runs attempts, applies decisions, writes the journal."""

from tailrace.engine.facts import PlanFacts
from tailrace.engine.request import Echo, RunRequest
from tailrace.engine.reuse import Reuse
from tailrace.engine.run import NullJournal, Run, RunEnd
from tailrace.engine.trial import InlineAbandoned

__all__ = [
    "Echo",
    "InlineAbandoned",
    "NullJournal",
    "PlanFacts",
    "Reuse",
    "Run",
    "RunEnd",
    "RunRequest",
]
