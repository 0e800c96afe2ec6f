"""What a run is started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from tailrace.codecs import Encoded
from tailrace.engine.dependency import OF_PROCESS, Dependencies
from tailrace.engine.facts import PlanFacts
from tailrace.engine.reuse import Reuse
from tailrace.failures.judgement import Judgement
from tailrace.model import FlowPlan, RunId, new_run_id

if TYPE_CHECKING:
    from tailrace.engine.continuation import Continuation
    from tailrace.ports import FailureWatch, Recall

Echo = Callable[[str, str], None]
"""Takes a stream (``stdout``, ``stderr``, ``log``) and what a task wrote to it."""


def _always(_: str) -> bool:
    return True


class RunRequest(Struct, frozen=True, kw_only=True):
    """What a run is started with."""

    plan: FlowPlan
    facts: PlanFacts = field(default_factory=PlanFacts)
    """Kept by the caller over several runs of one plan, they need to be worked out only once."""
    params: Mapping[str, Any] = field(default_factory=dict)
    payload: Any = None
    scratch: Mapping[str, Any] = field(default_factory=dict)
    run_id: RunId = field(default_factory=new_run_id)
    source: str = "api"
    echo: Echo | None = None
    """Where output of tasks goes besides the trace; None: to the streams it was written to."""
    artifact_folder: Path = Path("artifacts")
    grace: float = 5.0
    """Seconds that running attempts have to stop after a cancel, before they are abandoned."""
    parent_span_id: str = ""
    trace_state: str = ""
    """W3C ``tracestate`` of the span ``parent_span_id``, to be passed on."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    """Seconds after which the whole run is cancelled."""
    seed: int | None = None
    """Seed of the jitter; None: unpredictable."""
    watch: FailureWatch | None = None
    """Told of every failure once it is durable."""
    judgement: Judgement | None = None
    """What child processes take over, so that they judge failures alike."""
    keep_errors: bool = False
    """Keep exceptions until the end of the run, for a handler that wants the one that ended it."""
    code_version: str = ""
    fingerprints: bytes = b""
    """Of the nodes, as in ``RunStarted``."""
    inputs: Encoded | None = None
    """What the run was started with, encoded; kept with the run."""
    lineage: str = ""
    """First run of a chain of resumes; empty: this one."""
    reuse: Reuse | None = None
    """What earlier runs of the lineage, or this one elsewhere, have finished already."""
    continued: Continuation | None = None
    """How far the run had come on another worker; None: it begins."""
    queued_at: int = 0
    """Nanoseconds since the epoch at which it was queued, for a span of that; 0: it was not."""
    accepted_at: int = 0
    """Likewise at which the queue had it for good, where that is known apart; for another span."""
    recall: Recall | None = None
    """Where outputs of cached tasks are looked up; None: nowhere."""
    may_recall: Callable[[str], bool] = _always
    """Tells of the path of a node whether it may be looked up; it is recorded all the same."""
    dependencies: Dependencies = OF_PROCESS
    """Retry budgets and circuit breakers."""
    only: str = ""
    """Path of the one node to run besides what is reused; empty: all."""
    letter: str = ""
    """Dead letter that this run redrives."""
    generation: int = 0
    deliver: Callable[[Any], None] | None = None
    """Is given the output of a run that has completed, before the journal hears of its end."""
