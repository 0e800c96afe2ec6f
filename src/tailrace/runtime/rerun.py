"""Doing the work of a dead letter again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from msgspec import Struct, field

from tailrace.errors import DefinitionError
from tailrace.flows.load import load_definition
from tailrace.model import Flow, Policy, RunStatus
from tailrace.model.letter import DeadLetter, Redrive
from tailrace.runtime.execute import execute
from tailrace.runtime.inputs import RunInputs
from tailrace.runtime.options import RunOptions, RunResult
from tailrace.runtime.redrive.outcome import RedriveMode, RerunOutcome
from tailrace.runtime.redrive.patch import patch_inputs
from tailrace.runtime.resume import load_inputs
from tailrace.runtime.resuming import OnChange, ResumeFrom
from tailrace.store import SqliteTraceReader


class RunAgain(Struct, frozen=True, kw_only=True, eq=False):
    """Redrives letters of runs in one store (``Rerun``).

    The run that a redrive becomes carries the letter's id; the commit that ends it settles the
    letter.
    """

    db: Path
    source: str = "api"
    """Where the runs come from, as in ``RunOptions``."""
    force: bool = False
    """Reuse what finished nodes gave, also where their code has changed since."""
    _flows: dict[str, Flow] = field(default_factory=dict)
    """Flows by target: many letters are of one."""

    def __call__(
        self, letter: DeadLetter, redrive: Redrive, *, policy: Policy | None
    ) -> RerunOutcome:
        """Run the letter's work as ``redrive`` says and return how it ended.

        Raises:
            DefinitionError: its flow cannot be loaded, or does not take the inputs any more.
            NotFound, StoreError: the inputs of its run are gone or cannot be read.
        """
        with closing(SqliteTraceReader(self.db)) as reader:
            inputs = load_inputs(reader, letter.run_id)
        target = _target(letter, inputs)
        flow = self._flows.get(target)
        if flow is None:
            flow = self._flows[target] = load_definition(target)
        return _outcome(execute(flow, self._options(letter, redrive, inputs, policy)))

    def _options(
        self, letter: DeadLetter, redrive: Redrive, inputs: RunInputs, policy: Policy | None
    ) -> RunOptions:
        params, payload = patch_inputs(inputs.params, inputs.payload, redrive.patch)
        mode = RedriveMode(redrive.mode)
        return RunOptions(
            params=params,
            context={"payload": payload, "scratch": inputs.scratch},
            policy=policy if policy is not None else inputs.override,
            db=self.db,
            source=self.source,
            resume=None if mode is RedriveMode.NEW_RUN else self._all_of(letter.run_id),
            changes=inputs.changes,
            lineage=letter.task_key.partition(":")[0],
            only=letter.node_id if mode is RedriveMode.NODE else "",
            letter=letter.dl_id,
            generation=redrive.generation,
        )

    def _all_of(self, run_id: str) -> ResumeFrom:
        on_change = OnChange.KEEP if self.force else OnChange.REFUSE
        return ResumeFrom(run_id=run_id, on_change=on_change)


def _target(letter: DeadLetter, inputs: RunInputs) -> str:
    target = inputs.target or letter.flow_source
    if not target:
        raise DefinitionError(
            f"the flow {letter.flow!r} of {letter.dl_id} cannot be loaded: it stood in no file and "
            "under no name of a module",
            code="TR350",
            hint="give the flow a name at the top of a module, and run it from there",
        )
    return target


def _outcome(result: RunResult) -> RerunOutcome:
    message = result.reason if result.report is None else result.report.summary
    return RerunOutcome(
        ok=result.ok,
        run_id=result.run_id,
        message="" if result.ok else message,
        cancelled=result.status is RunStatus.CANCELLED,
    )
