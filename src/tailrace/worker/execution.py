"""From a job to a run that is ready to be executed, on the thread that will execute it."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import ReferenceType

from tailrace.engine import Reuse, Run, RunRequest
from tailrace.engine.continuation import Continuation, JournalState
from tailrace.failures.judgement import Judgement
from tailrace.model import Flow, FlowPlan, Policy, RunId
from tailrace.model.journal import AnyRecord
from tailrace.model.remote import Job
from tailrace.policy import PolicyValidator
from tailrace.ports import FailureWatch, Journal, Tracer
from tailrace.runtime.fingerprint import steps_of
from tailrace.runtime.inputs import encode_inputs
from tailrace.runtime.plans import ReadyPlan, ready_plan
from tailrace.runtime.resuming import OnChange, ResumeFrom, Reusable, reusable
from tailrace.runtime.tracers import configured_tracers
from tailrace.runtime.watch import LateWatch, current_config, watch_of
from tailrace.settings import Settings
from tailrace.tracing.observe import ObservedJournal
from tailrace.tracing.propagation import TraceContext, parse_traceparent
from tailrace.worker.catalogue import Catalogue
from tailrace.worker.lineage import JournalReader

_lock = Lock()
_names: dict[int, tuple[FlowPlan, tuple[str, ...]]] = {}
_MOST_PLANS = 256


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all runs of a worker have in common."""

    catalogue: Catalogue
    settings: Settings
    worker_id: str
    artifacts: Path
    grace: float
    judgement: Judgement

    @cached_property
    def tracers(self) -> tuple[Tracer, ...]:
        """What settings and variables ask for besides the trace."""
        return configured_tracers(self.settings, ())


@dataclass(slots=True, kw_only=True)
class Assignment:
    """A run as a worker has got it."""

    job: Job
    """With its params and its workflow."""
    kept: Job | None = None
    """As its message holds it, without what is kept beside; None: nothing is."""
    delivery: int
    """How often it has been handed over, this time included."""
    stored_ns: int = 0
    """When the queue had its message, nanoseconds since the epoch; 0: that is not known."""
    claim: int = 1
    earlier: Sequence[AnyRecord] = ()
    """The journal so far; empty: the run begins."""
    reason: str = ""
    """Why somebody before did not end it."""
    before: str = ""
    """Who that was."""
    lineage: dict[str, list[AnyRecord]] = field(default_factory=dict)
    """Journals of the runs that this one goes on with, by run id."""

    @property
    def told(self) -> Job:
        """The job as states and letters hold it, which have to fit into a message, too."""
        return self.kept or self.job


def _silent(stream: str, text: str) -> None:
    """Keep what tasks print to the trace alone."""


def plan_of(assignment: Assignment, around: Surroundings) -> tuple[ReadyPlan, Policy | None]:
    """Return the plan of a job's flow.

    Raises:
        FlowNotFound: the worker has no such flow.
        DefinitionError: it cannot be used with these params and this policy.
    """
    job, catalogue = assignment.job, around.catalogue
    flow: Flow
    if job.workflow_yaml:
        flow = catalogue.sent(job.workflow_yaml, job.flow_name)
    else:
        flow = catalogue.find(job.flow_name)
    policy = None if not job.policy else PolicyValidator.from_dict(job.policy)
    with _lock:
        return ready_plan(flow, job.params, policy, around.settings.failures), policy


def task_names(plan: FlowPlan) -> tuple[str, ...]:
    """Return the static paths of all tasks of a plan."""
    known = _names.get(id(plan))
    if known is None:
        if len(_names) >= _MOST_PLANS:
            _names.clear()
        known = _names[id(plan)] = (plan, tuple(path for path, _ in steps_of(plan.scope)))
    return known[1]


def prepare(
    assignment: Assignment,
    around: Surroundings,
    journal: Journal,
    ready: ReadyPlan,
    policy: Policy | None,
    deliver: Callable[[Any], None],
) -> Run:
    """Return the run; ``deliver`` is given its output.

    Raises:
        ResumeRefused: what an earlier run has finished was made by other code.
        DefinitionError: a node to start from is unknown.
        NotFound: nothing is known of the run to go on with.
    """
    job = assignment.job
    continued, reuse, taken_back = _earlier(assignment, around, ready)
    if around.tracers:
        journal = ObservedJournal(journal, around.tracers)
    caller = parse_traceparent(job.traceparent, job.tracestate) if job.traceparent else None
    is_ours = caller is not None and caller.trace_id == job.run_id
    queued_at = int(job.submitted_at * 1e9)
    ref: list[ReferenceType[Run]] = []  # a run that holds itself stays until somebody looks for it
    watch = LateWatch(partial(_watch_of, ref, around))
    run = Run(
        RunRequest(
            plan=ready.plan,
            facts=ready.facts,
            params=job.params,
            run_id=RunId(job.run_id),
            source=job.source,
            echo=_silent,
            artifact_folder=around.artifacts,
            grace=around.grace,
            parent_span_id=caller.span_id if caller is not None and is_ours else "",
            trace_state=caller.state if caller is not None and is_ours else "",
            attributes=_attributes(assignment, around, None if is_ours else caller, queued_at),
            watch=watch,
            judgement=around.judgement,
            code_version=ready.code_version,
            fingerprints=ready.fingerprints,
            inputs=encode_inputs(
                job.params, None, {}, policy=policy, target=ready.target, taken_back=taken_back
            ),
            lineage=job.lineage,
            reuse=reuse,
            continued=continued,
            queued_at=queued_at,
            accepted_at=0 if job.run_at else assignment.stored_ns,
            letter=job.letter,
            generation=job.generation,
            deliver=deliver,
        ),
        journal,
    )
    ref.append(weakref.ref(run))
    return run


def _watch_of(ref: list[ReferenceType[Run]], around: Surroundings) -> FailureWatch:
    run = ref[0]()
    assert run is not None  # noqa: S101 - it is what asks
    return watch_of(run, around.worker_id, current_config(), around.settings)


def _attributes(
    assignment: Assignment, around: Surroundings, caller: TraceContext | None, queued_at: int
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "delivery": assignment.claim,
        "worker.id": around.worker_id,
        "queue.tag": assignment.job.tag,
    }
    if queued_at:
        found["queue.wait_ns"] = max(0, time.time_ns() - queued_at)
    if caller is not None:
        found |= {"caller.trace_id": caller.trace_id, "caller.span_id": caller.span_id}
        if caller.state:
            found["caller.tracestate"] = caller.state
    return found


def _earlier(
    assignment: Assignment, around: Surroundings, ready: ReadyPlan
) -> tuple[Continuation | None, Reuse | None, frozenset[str]]:
    """Return how far the run had come, and what may be reused of it and of runs before it."""
    job = assignment.job
    found: Reusable | None = None
    if job.resumed_from:
        reader = JournalReader(assignment.lineage)
        wanted = ResumeFrom(
            run_id=job.resumed_from,
            nodes=job.start_from,
            on_change=OnChange(job.on_change or ("rerun" if job.letter else "refuse")),
        )
        found = reusable(reader, ready.plan, wanted)
    if not assignment.earlier:
        if found is None:
            return None, None, frozenset()
        return None, found.reuse, found.taken_back
    state = JournalState()
    state.apply(assignment.earlier)
    if found is not None:
        state.take_over(found.reuse)
    continued = state.go_on(
        worker_id=around.worker_id,
        claim=assignment.claim,
        reason=assignment.reason,
        before=assignment.before,
    )
    taken_back = frozenset() if found is None else found.taken_back
    return continued, state.reuse(), taken_back


def execute(run: Run, loop: asyncio.AbstractEventLoop, begun: Callable[[Run], None]) -> None:
    """Run to the end on this thread's loop.

    Raises:
        StoreError: the journal takes nothing any more: the run is not ours.
    """
    begun(run)
    loop.run_until_complete(run.execute())
