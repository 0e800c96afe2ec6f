"""Looking at finished runs of one store, node by node."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path

from msgspec import Struct

from tailrace.errors import DefinitionError, NotFound
from tailrace.flows.load import load_definition
from tailrace.model import Flow, FlowPlan
from tailrace.runtime.alter import alter, applicable
from tailrace.runtime.fingerprint import node_fingerprints, static_path, steps_of
from tailrace.runtime.inputs import RunInputs
from tailrace.runtime.plans import ready_plan
from tailrace.runtime.replay.node import ReplayedNode, ReplayedRun
from tailrace.runtime.replay.record import RunRecord, read_record
from tailrace.runtime.replay.walk import walk
from tailrace.runtime.resume import load_inputs
from tailrace.settings import database_for, load_settings
from tailrace.store import SqliteTraceReader

_SHOWN = 5
"""Paths named in an error."""


class _Past(Struct, frozen=True, kw_only=True):
    """A run, and the flow to walk."""

    record: RunRecord
    inputs: RunInputs
    plan: FlowPlan
    fingerprints: dict[str, str]
    """What each node of the flow does now, by path without indices."""

    def walk(self, until: str = "") -> ReplayedRun:
        """Return what the walk meets."""
        return walk(self.plan, self.record, self.inputs, self.fingerprints, until=until)


class Replay:
    """Replays of the runs in one store: recorded outputs only, no task runs, nothing is written.

    Args:
        db: the database; None: that of the working directory.
        flow: the flow of the runs; None: each is loaded from where its run had it.

    Raises (all methods):
        NotFound: there is no such run, or nothing was kept of its inputs.
        StoreError: the store cannot be read.
        DefinitionError: the flow cannot be loaded or built for the run's params.
    """

    def __init__(self, db: Path | str | None = None, *, flow: Flow | None = None) -> None:
        self._db = Path(db) if db is not None else database_for(Path.cwd(), load_settings())
        self._flow = flow

    def run(self, run_id: str = "@last") -> ReplayedRun:
        """Return a run, all its nodes in the order of the flow.

        ``run_id`` is a run id, the beginning of one, ``@last`` or ``@last-failed``.
        """
        return self._past(run_id).walk()

    def until(self, run_id: str, path: str) -> ReplayedRun:
        """Return the beginning of a run: its nodes up to the one at ``path``, which is the last.

        ``path`` is a node's, with the indices of the loops around it (``each[3].load``); where it
        ran only once they may be left out.

        Raises:
            NotFound: the run did not come to such a node (TR319), besides what is said above.
        """
        past = self._past(run_id)
        exact = _found(past, path)
        replayed = past.walk(exact)
        if not replayed.nodes or replayed.nodes[-1].path != exact:
            raise _not_reached(past.record, exact)
        return replayed

    def node(self, run_id: str, path: str) -> ReplayedNode:
        """Return one node of a run; as ``until``."""
        return self.until(run_id, path).nodes[-1]

    def _past(self, run_id: str) -> _Past:
        with closing(SqliteTraceReader(self._db)) as reader:
            found = reader.resolve(run_id)
            inputs = load_inputs(reader, found)
            record = read_record(reader, found)
        flow = self._flow if self._flow is not None else _load(found, inputs)
        settings = load_settings().failures
        plan = ready_plan(flow, inputs.params, inputs.override, settings).plan
        return _Past(
            record=record,
            inputs=inputs,
            plan=alter(plan, applicable(plan, inputs.changes)),
            fingerprints=node_fingerprints(plan),
        )


def _load(run_id: str, inputs: RunInputs) -> Flow:
    if not inputs.target:
        raise DefinitionError(
            f"the flow of run {run_id} stood in no file and under no name of a module",
            code="TR350",
            hint="replay it with Replay(db, flow=...) in the program that has the flow",
        )
    with _no_bytecode():
        return load_definition(inputs.target)


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Keep imports from writing beside the user's files."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _found(past: _Past, path: str) -> str:
    """Return the full path that is meant.

    Raises:
        NotFound: no node, or more than one, has that path.
    """
    recorded = past.record.nodes
    if path in recorded:
        return path
    same = [one for one in recorded if static_path(one) == path]
    if len(same) == 1:
        return same[0]
    if same:
        raise _several(past.record, path, same)
    known = {name for name, _ in steps_of(past.plan.scope)}
    if static_path(path) in known:
        return path
    near = get_close_matches(path, [*known, *recorded], 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(sorted(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    raise NotFound(
        f"run {past.record.run.run_id} has no node {path!r} (known: {shown}){meant}",
        code="TR319",
        details={"path": path, "nodes": sorted(known)},
    )


def _several(record: RunRecord, path: str, same: list[str]) -> NotFound:
    failed = [one for one in same if record.nodes[one].failure is not None]
    shown = ", ".join(same[:_SHOWN]) + (", …" if len(same) > _SHOWN else "")
    return NotFound(
        f"{path!r} ran {len(same)} times: {shown}",
        code="TR319",
        hint=f"name one with the indices of its loops: {(failed or same)[0]}",
        details={"path": path, "count": len(same)},
    )


def _not_reached(record: RunRecord, path: str) -> NotFound:
    known = record.nodes.get(path)
    if known is None:
        loops = [one for one in record.nodes if static_path(one) == static_path(path)]
        why = f"ran in {len(loops)} iterations, not in this one" if loops else "did not run"
    else:
        why = f"was skipped: {known.skip_reason}" if known.skip_reason else "is reached no more"
    return NotFound(
        f"{path} of run {record.run.run_id} {why}",
        code="TR319",
        hint=f"see what ran with: tailrace replay {record.run.run_id}",
        details={"path": path},
    )
