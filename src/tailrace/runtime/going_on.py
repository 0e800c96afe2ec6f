"""Going on with a run that ended early: find it, claim what it left, and run the rest."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from tailrace.errors import DefinitionError, NotFound
from tailrace.flows.load import load_definition
from tailrace.model import Flow, Policy, RunId, RunStatus, new_sortable
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, LetterState, Redrive
from tailrace.runtime.alter import Alterations, alter, applicable, merged
from tailrace.runtime.exclusive import NotResumable, exclusive
from tailrace.runtime.execute import execute
from tailrace.runtime.inputs import RunInputs
from tailrace.runtime.options import RunOptions, RunResult
from tailrace.runtime.plans import ready_plan
from tailrace.runtime.resume import load_inputs
from tailrace.runtime.resuming import OnChange, ResumeFrom, reusable
from tailrace.settings import database_for, load_settings
from tailrace.store import SqliteDeadLetters, SqliteTraceReader


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Which run to go on with, and what is to be different this time."""

    run_id: str
    """A run id, the beginning of one, ``@last`` or ``@last-failed``."""
    nodes: tuple[str, ...] = ()
    """Nodes to run again, with all that depends on them."""
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Params that differ from those of the run."""
    changes: Alterations = msgspec.field(default_factory=dict)
    """Inputs that are to have other values; their nodes, and what depends on them, run again."""
    policy: Policy | None = None
    on_change: OnChange = OnChange.REFUSE
    actor: str = ""
    """Who asks; empty: the user's login name."""


class _Past(msgspec.Struct, frozen=True, kw_only=True):
    """The run to go on with."""

    run_id: RunId
    status: RunStatus
    letter: str
    """Dead letter that it redrove; empty: none."""
    inputs: RunInputs


def resume(wanted: Resume, options: RunOptions, *, flow: Flow | None = None) -> RunResult | None:
    """Run what a run has not finished, as a new run. None: it has finished everything.

    When others have gone on with the run already, the newest of them is gone on with, so that
    nothing is done twice. An open dead letter of the run is redriven by this: it is resolved when
    the new run completes.

    Args:
        wanted: the run, and what is to be different.
        options: as for a new run; params and policy of the old run hold unless given here.
        flow: the flow; None: it is loaded from where the run's was.

    Raises:
        NotFound: there is no such run, or its inputs were not kept.
        NotResumable: it is running, or somebody else goes on with it (TR312).
        ResumeRefused: finished nodes have changed (TR310).
        DefinitionError: the flow cannot be loaded or built; a node or input is unknown.
        StoreError: as for a new run.
    """
    path = options.db or database_for(Path.cwd(), load_settings())
    params, scratch, payload = options.start_with()
    wanted = replace(wanted, params={**params, **wanted.params})
    is_new = bool(_differs(wanted) or scratch or payload is not None)
    run_id, lineage = _lineage(path, wanted.run_id)
    with exclusive(path, lineage):
        past = _past(path, run_id, forks=is_new)
        if past.status is RunStatus.COMPLETED and not is_new:
            return None
        definition = flow if flow is not None else _load(past)
        options = _options(past, wanted, replace(options, db=path, lineage=lineage))
        options = _checked(definition, options, past.inputs.changes, path)
        with closing(SqliteDeadLetters(path)) as letters:
            letter = _claimed(letters, past, wanted.actor)
        if letter is not None:
            options = replace(options, letter=letter.dl_id, generation=letter.generation)
        return execute(definition, options)


def _differs(wanted: Resume) -> bool:
    return bool(wanted.nodes or wanted.params or wanted.changes)


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


def _checked(flow: Flow, options: RunOptions, kept: Alterations, path: Path) -> RunOptions:
    """Return the options with what can be reused; raise what would keep the run from starting.

    Nothing has been claimed for the run then. ``kept`` are inputs that the earlier run was given;
    they hold for as long as the flow has them.
    """
    settings = load_settings()
    ready = ready_plan(flow, options.params, options.policy, settings.failures)
    alter(ready.plan, options.changes)
    changes = merged(applicable(ready.plan, kept), options.changes)
    resume_from = options.resume
    if resume_from is not None:
        with closing(SqliteTraceReader(path)) as reader:
            now = msgspec.json.decode(ready.fingerprints, type=dict[str, str])
            found = reusable(reader, ready.plan, resume_from, fingerprints=now)
        resume_from = replace(resume_from, found=found)
    return replace(options, changes=changes, resume=resume_from)


def _lineage(path: Path, name: str) -> tuple[RunId, str]:
    """Return the id of a run and that of the first one in its chain of resumes."""
    with closing(SqliteTraceReader(path)) as reader:
        run_id = reader.resolve(name)
        attributes = reader.turning_points(run_id).spans[0].attributes
    return run_id, str(attributes.get("tailrace.lineage", run_id))


def _past(path: Path, run_id: RunId, *, forks: bool) -> _Past:
    """Return the run to go on with: this one, or the newest that has gone on with it.

    A completed run that is to be done in another way is left at what it was (``forks``).
    """
    with closing(SqliteTraceReader(path)) as reader:
        trace = reader.turning_points(run_id)
        while not (forks and trace.run.status is RunStatus.COMPLETED):
            newer = reader.gone_on_by(trace.run.run_id)
            if newer is None:
                break
            trace = reader.turning_points(newer)
        run = trace.run
        if not run.status.is_terminal:
            raise NotResumable(
                f"run {run.run_id} is {run.status.value}",
                hint=f"wait for its end, or look at it with: tailrace trace show {run.run_id}",
            )
        return _Past(
            run_id=run.run_id,
            status=run.status,
            letter=str(trace.spans[0].attributes.get("tailrace.dead_letter", "")),
            inputs=load_inputs(reader, run.run_id),
        )


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
    found = _letter_of(letters, past)
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


def _letter_of(letters: SqliteDeadLetters, past: _Past) -> DeadLetter | None:
    """Return the letter that the run left, or the one that it redrove."""
    for state in LetterState:
        wanted = FailureFilter(run=past.run_id, state=state.value)
        found = letters.letters(wanted, limit=1)
        if found:
            return found[0]
    if past.letter:
        with suppress(NotFound):  # deleted meanwhile
            return letters.letter(past.letter)
    return None


def _options(past: _Past, wanted: Resume, options: RunOptions) -> RunOptions:
    inputs = past.inputs
    _, scratch, payload = options.start_with()
    policy = wanted.policy or options.policy
    return replace(
        options,
        params={**inputs.params, **wanted.params},
        context={
            "payload": inputs.payload if payload is None else payload,
            "scratch": {**inputs.scratch, **scratch},
        },
        policy=policy if policy is not None else inputs.override,
        changes=wanted.changes,
        resume=ResumeFrom(
            run_id=past.run_id,
            nodes=(*wanted.nodes, *wanted.changes),
            on_change=wanted.on_change,
        ),
    )
