"""A finished run looked at again, node by node, from what was recorded; no task runs."""

from tailrace.runtime.replay.difference import Difference
from tailrace.runtime.replay.missing import Missing
from tailrace.runtime.replay.node import ReplayedNode, ReplayedRun
from tailrace.runtime.replay.record import RecordedFailure
from tailrace.runtime.replay.replay import Replay
from tailrace.runtime.replay.trial import InputsMissing, Trial, Verdict, run_again

__all__ = [
    "Difference",
    "InputsMissing",
    "Missing",
    "RecordedFailure",
    "Replay",
    "ReplayedNode",
    "ReplayedRun",
    "Trial",
    "Verdict",
    "run_again",
]
