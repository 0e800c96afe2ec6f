"""Going on with a run that ended early: find it, claim what it left, and run the rest."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tailrace.errors import DefinitionError, RunError
from tailrace.flows.load import load_definition
from tailrace.model import Flow, Policy, RunId, RunStatus, new_sortable
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, LetterState, Redrive
from tailrace.runtime.execute import execute
from tailrace.runtime.inputs import RunInputs
from tailrace.runtime.options import RunOptions, RunResult
from tailrace.runtime.plans import ready_plan
from tailrace.runtime.resume import load_inputs
from tailrace.runtime.resuming import OnChange, ResumeFrom, reusable
from tailrace.settings import database_for, load_settings
from tailrace.store import SqliteDeadLetters, SqliteTraceReader


class NotResumable(RunError):  # noqa: N818 - reads as the state it reports
    """The run goes on already, or somebody else goes on with it."""

    default_code = "TR312"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Which run to go on with, and what is to be different this time."""

    run_id: str
    """A run id, the beginning of one, ``@last`` or ``@last-failed``."""
    nodes: tuple[str, ...] = ()
    """Nodes to run again, with all that depends on them."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Params that differ from those of the run."""
    policy: Policy | None = None
    on_change: OnChange = OnChange.REFUSE
    actor: str = ""
    """Who asks; empty: the user's login name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """The run to go on with."""

    run_id: RunId
    status: RunStatus
    lineage: str
    inputs: RunInputs


def resume(wanted: Resume, options: RunOptions, *, flow: Flow | None = None) -> RunResult | None:
    """Run what a run has not finished, as a new run. None: it has finished everything.

    An open dead letter of the run is redriven by this: it is resolved when the new run completes.

    Args:
        wanted: the run, and what is to be different.
        options: as for a new run; params and policy of the old run hold unless given here.
        flow: the flow; None: it is loaded from where the run's was.

    Raises:
        NotFound: there is no such run, or its inputs were not kept.
        NotResumable: it is running, or being redriven by somebody else (TR312).
        ResumeRefused: finished nodes have changed (TR310).
        DefinitionError: the flow cannot be loaded or built; a node is unknown.
        StoreError: as for a new run.
    """
    path = options.db or database_for(Path.cwd(), load_settings())
    past = _past(path, wanted)
    differs = wanted.nodes or wanted.params or options.params
    if past.status is RunStatus.COMPLETED and not differs:
        return None
    definition = flow if flow is not None else _load(past)
    options = _options(past, wanted, replace(options, db=path))
    _check(definition, options, path)
    with closing(SqliteDeadLetters(path)) as letters:
        letter = _claimed(letters, past, wanted.actor)
    if letter is not None:
        options = replace(options, letter=letter.dl_id, generation=letter.generation)
    return execute(definition, options)


def find_inputs(db: Path | None, run_id: str) -> tuple[RunId, RunInputs]:
    """Return the id of a run and what it was started with.

    Args:
        db: the database; None: that of the working directory.
        run_id: a run id, the beginning of one, ``@last`` or ``@last-failed``.

    Raises:
        NotFound: there is no such run, or its inputs were not kept.
        StoreError: the store cannot be read.
    """
    path = db or database_for(Path.cwd(), load_settings())
    with closing(SqliteTraceReader(path)) as reader:
        found = reader.resolve(run_id)
        return found, load_inputs(reader, found)


def _check(flow: Flow, options: RunOptions, path: Path) -> None:
    """Raise what would keep the run from starting, before anything is claimed for it."""
    settings = load_settings()
    ready = ready_plan(flow, options.params, options.policy, settings.failures)
    if options.resume is not None:
        with closing(SqliteTraceReader(path)) as reader:
            reusable(reader, ready.plan, options.resume)


def _past(path: Path, wanted: Resume) -> _Past:
    with closing(SqliteTraceReader(path)) as reader:
        run_id = reader.resolve(wanted.run_id)
        trace = reader.trace(run_id, events=False, siblings=1)
        if not trace.run.status.is_terminal:
            raise NotResumable(
                f"run {run_id} is {trace.run.status.value}",
                hint=f"wait for its end, or look at it with: tailrace trace show {run_id}",
            )
        lineage = str(trace.spans[0].attributes.get("tailrace.lineage", run_id))
        inputs = load_inputs(reader, run_id)
    return _Past(run_id=run_id, status=trace.run.status, lineage=lineage, inputs=inputs)


def _load(past: _Past) -> Flow:
    if not past.inputs.target:
        raise DefinitionError(
            f"the flow of run {past.run_id} stood in no file and under no name of a module",
            code="TR350",
            hint="go on with Flow.resume in the program that has the flow",
        )
    return load_definition(past.inputs.target)


def _claimed(letters: SqliteDeadLetters, past: _Past, actor: str) -> DeadLetter | None:
    """Take the run's dead letter, so that nobody else goes on with it; None when it has none."""
    who = actor or getpass.getuser()
    found = _letter_of(letters, past.run_id)
    if found is None or found.state == LetterState.RESOLVED:
        return None
    if found.state in {LetterState.PARKED, LetterState.DISCARDED}:
        letters.change(_only(found), "reopen", actor=who, reason="resumed")
    batch = f"B-{new_sortable()}"
    redrive = Redrive(dl_id=found.dl_id, generation=0, batch_id=batch, actor=who, reason="resumed")
    claimed = letters.claim(_only(found), redrive, limit=1)
    if not claimed:
        raise NotResumable(
            f"run {past.run_id} is being redriven: its dead letter {found.dl_id} is taken",
            hint=f"look at it with: tailrace dlq show {found.dl_id}",
        )
    return claimed[0]


def _only(letter: DeadLetter) -> FailureFilter:
    return FailureFilter(ids=(letter.dl_id,))


def _letter_of(letters: SqliteDeadLetters, run_id: str) -> DeadLetter | None:
    for state in LetterState:
        found = letters.letters(FailureFilter(run=run_id, state=state.value), limit=1)
        if found:
            return found[0]
    return None


def _options(past: _Past, wanted: Resume, options: RunOptions) -> RunOptions:
    inputs = past.inputs
    policy = wanted.policy or options.policy
    return replace(
        options,
        params={**inputs.params, **options.params, **wanted.params},
        context={"payload": inputs.payload, "scratch": inputs.scratch},
        policy=policy if policy is not None else inputs.override,
        resume=ResumeFrom(run_id=past.run_id, nodes=wanted.nodes, on_change=wanted.on_change),
        lineage=past.lineage,
    )
