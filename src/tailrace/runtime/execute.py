"""The composition root: wires a store, tracers and the engine together for one run."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tailrace.diary import append_entry
from tailrace.engine import NullJournal, PlanFacts, Run, RunEnd, RunRequest
from tailrace.errors import RUN_EXISTS, NotFound, RunCancelled, RunFailed, StoreError
from tailrace.failures.judgement import Judgement
from tailrace.model import Flow, FlowPlan, RunId, RunStatus, new_run_id
from tailrace.runtime.alter import alter
from tailrace.runtime.catching import catching
from tailrace.runtime.fingerprint import static_path
from tailrace.runtime.inputs import encode_inputs
from tailrace.runtime.loop import run_to_end
from tailrace.runtime.options import RunOptions, RunResult
from tailrace.runtime.plans import ready_plan
from tailrace.runtime.retention import retain
from tailrace.runtime.signals import SignalWatch
from tailrace.runtime.stores import open_stores
from tailrace.runtime.tracers import configured_tracers
from tailrace.runtime.watch import LateWatch, check_config, current_config, watch_of
from tailrace.settings import load_settings
from tailrace.tracing.observe import ObservedJournal
from tailrace.tracing.summary import summarize_inputs

if TYPE_CHECKING:
    from tailrace.failures.hooks import CatchAlls
    from tailrace.model.report import RuntimeExecutionReport
    from tailrace.ports import Journal
    from tailrace.runtime.resuming import Reusable
    from tailrace.tracing.propagation import TraceContext


def execute(
    flow: Flow, options: RunOptions, *, report: RuntimeExecutionReport | None = None
) -> RunResult:
    """Run a flow to its end.

    Raises:
        DefinitionError: the flow cannot be built; nothing ran.
        RunFailed, RunCancelled: with ``options.raise_on_failure``.
        StoreError: the store cannot be opened, or could not keep its promise.
        KeyboardInterrupt: with ``options.raise_on_failure``, after the run was recorded.
    """
    prepared = _Prepared(flow, options, report)
    with prepared.signals(), prepared.catching():
        end = run_to_end(prepared.execute)
    return prepared.finish(end)


class RunHandle:
    """A run in the background: wait for it, or ask it to stop."""

    def __init__(self, prepared: _Prepared) -> None:
        self._prepared = prepared
        self._end: RunEnd | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="tailrace-run", daemon=True)
        self._thread.start()

    @property
    def run_id(self) -> str:
        """Trace id of the run."""
        return self._prepared.run_id

    @property
    def is_running(self) -> bool:
        """True until the run has ended."""
        return self._thread.is_alive()

    def cancel(self, reason: str = "cancelled by the program") -> None:
        """Ask the run to stop: what has not started never will, what runs is asked."""
        self._prepared.run.request_cancel(reason)

    def result(self, timeout: float | None = None) -> RunResult:
        """Wait for the end and return the result.

        Raises:
            TimeoutError: the run goes on after ``timeout`` seconds.
            RunFailed, RunCancelled, StoreError: as ``Flow.run``.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"run {self.run_id} goes on after {timeout} s")
        if self._failure is not None:
            raise self._failure
        assert self._end is not None  # noqa: S101 - the thread sets one of the two
        return self._prepared.finish(self._end)

    def _work(self) -> None:
        try:
            self._end = run_to_end(self._prepared.execute)
        except BaseException as error:  # noqa: BLE001 - raised again by ``result``
            self._failure = error


def start(flow: Flow, options: RunOptions) -> RunHandle:
    """Start a run in a thread of its own and return its handle.

    Raises:
        DefinitionError: the flow cannot be built; nothing ran.
        StoreError: the store cannot be opened.
    """
    return RunHandle(_Prepared(flow, options, None))


async def execute_async(
    flow: Flow, options: RunOptions, *, report: RuntimeExecutionReport | None = None
) -> RunResult:
    """Run a flow inside the present event loop; signals stay the caller's business."""
    prepared = _Prepared(flow, options, report)
    run = asyncio.ensure_future(prepared.execute())
    try:
        end = await asyncio.shield(run)
    except asyncio.CancelledError:
        prepared.run.request_cancel("the awaiting task was cancelled")
        await run
        raise
    return prepared.finish(end)


class _Prepared:
    """A run that is ready to start: everything that can be refused has been."""

    def __init__(
        self, flow: Flow, options: RunOptions, report: RuntimeExecutionReport | None
    ) -> None:
        self.options = options
        self.settings = load_settings()
        judgement = Judgement.of(self.settings)
        judgement.install()
        self.config = options.config or current_config()
        check_config(self.config, self.settings)
        params = options.start_with()[0]
        ready = ready_plan(flow, params, options.policy, self.settings.failures)
        self.plan: FlowPlan = alter(ready.plan, options.changes)
        self.params = {**self.plan.defaults, **params}
        self.report = report
        self.stores = open_stores(options, self.settings)
        self._ready = ready
        self._judgement = judgement
        self._reuses = self._reused(ready.plan)
        self._watch: SignalWatch | None = None
        self._catch_alls: CatchAlls | None = None
        caller = options.caller
        self._adopts = caller is not None and not options.run_id and self._is_new(caller.trace_id)
        self._open(caller.trace_id if caller is not None and self._adopts else options.run_id)

    def _open(self, run_id: str | None = None) -> None:
        """Make the run and its journal; without an id it gets one of its own."""
        options, ready, reused = self.options, self._ready, self._reuses
        params, scratch, payload = options.start_with()
        caller, adopts = options.caller, self._adopts
        self.run_id = RunId(run_id) if run_id else new_run_id()
        journal: Journal = NullJournal()
        if self.stores.writer is not None:
            journal = self.stores.writer.open_journal(self.run_id)
        self._kept = journal
        tracers = tuple(options.tracers)
        if options.configured_tracers:
            tracers = configured_tracers(self.settings, tracers)
        if tracers:
            journal = ObservedJournal(journal, tracers)
        self.journal = journal
        artifacts = options.output_dir or self.stores.folder
        self.run = Run(
            RunRequest(
                plan=self.plan,
                facts=PlanFacts() if options.changes else ready.facts,
                params=params,
                payload=payload,
                scratch=scratch,
                run_id=self.run_id,
                parent_span_id=caller.span_id if caller is not None and adopts else "",
                trace_state=caller.state if caller is not None and adopts else "",
                attributes={} if caller is None or adopts else _called_by(caller),
                source=options.source,
                echo=options.echo,
                artifact_folder=artifacts / "artifacts",
                grace=self.settings.grace,
                timeout=options.timeout,
                code_version=ready.code_version,
                fingerprints=ready.fingerprints,
                inputs=encode_inputs(
                    params,
                    payload,
                    scratch,
                    policy=options.policy,
                    target=ready.target,
                    changes=options.changes,
                    taken_back=() if reused is None else reused.taken_back,
                ),
                reuse=None if reused is None else reused.reuse,
                recall=self.stores.recall,
                may_recall=self._may_recall,
                only=options.only,
                lineage=options.lineage,
                letter=options.letter,
                generation=options.generation,
                judgement=self._judgement,
                watch=LateWatch(
                    lambda: watch_of(self.run, self.stores.worker_id, self.config, self.settings)
                ),
                keep_errors=self.config is not None and self.config.event_handler is not None,
            ),
            journal,
        )

    def _is_new(self, run_id: RunId) -> bool:
        """Tell whether the store has no run of this id."""
        if self.stores.reader is None:
            return True
        with closing(self.stores.reader()) as reader:
            try:
                reader.inputs(run_id)
            except NotFound:
                return True
            return False

    def _may_recall(self, path: str) -> bool:
        """Tell whether a cached task may settle without running: not where it is asked to run."""
        wanted = self.options.resume
        if not self.options.cache:
            return False
        return wanted is None or not wanted.nodes or static_path(path) not in wanted.nodes

    def _reused(self, plan: FlowPlan) -> Reusable | None:
        """Return what the run to go on with has finished; None when there is none."""
        wanted = self.options.resume
        if wanted is None:
            return None
        if wanted.found is not None:
            return wanted.found
        if self.stores.reader is None:
            raise StoreError("a run without a store cannot go on with another one", code="TR518")
        from tailrace.runtime.resuming import reusable  # noqa: PLC0415 - most runs are new ones

        with closing(self.stores.reader()) as reader:
            return reusable(reader, plan, wanted)

    def signals(self) -> SignalWatch:
        """Return the watch that turns signals into a cancel."""
        numbers: tuple[signal.Signals, ...] = ()
        if self.options.handle_signals:
            numbers = (signal.SIGINT,)
            if self.options.source == "cli":
                numbers += (signal.SIGTERM,)
        self._watch = SignalWatch(self.run, numbers)
        return self._watch

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Record what nobody catches, when the process is ours."""
        if self.options.source != "cli":
            yield
            return
        with catching(self.config, self.settings, self.stores) as self._catch_alls:
            yield

    async def execute(self) -> RunEnd:
        """Run to the end and release the journal."""
        if self._catch_alls is not None:
            self._catch_alls.watch(asyncio.get_running_loop())
        try:
            return await self._executed()
        finally:
            self.journal.close()

    async def _executed(self) -> RunEnd:
        try:
            return await self.run.execute()
        except StoreError as error:
            if error.code != RUN_EXISTS or not self._adopts:
                raise
        # Another process has taken the caller's trace meanwhile; nothing has run here yet.
        self._kept.close()
        self._adopts = False
        self._open()
        if self._watch is not None:
            self._watch.follow(self.run)
        return await self.run.execute()

    def finish(self, end: RunEnd) -> RunResult:
        """Report, write the diary, and return or raise."""
        report = None if end.status is RunStatus.COMPLETED else self._report(end)
        result = RunResult(
            status=end.status,
            run_id=end.run_id,
            output=end.output,
            outputs=end.results,
            report=report,
            handled_failures=end.handled_failures,
            reason=end.reason,
            timed_out=self.run.timed_out,
            scratch=end.scratch,
            artifacts=end.artifacts,
            params=self.params,
        )
        self._write_diary(result)
        retain(self.stores.writer, self.settings.retention)
        if self.options.raise_on_failure:
            self._raise(end, report)
        return result

    def _report(self, end: RunEnd) -> RuntimeExecutionReport:
        from tailrace.model.report import RuntimeExecutionReport  # noqa: PLC0415 - as below
        from tailrace.runtime.report import fill_report  # noqa: PLC0415 - only of what failed

        report = self.report if self.report is not None else RuntimeExecutionReport()
        with self.stores.read_back() as known:
            return fill_report(
                report,
                end,
                self.plan,
                self.params,
                reader=known.reader,
                failures=known.failures,
                letters=known.letters,
            )

    def _write_diary(self, result: RunResult) -> None:
        wanted = self.options.diary
        if wanted is None:
            wanted = self.options.source == "cli" and self.settings.diary
        if wanted:
            folder = self.options.output_dir or Path("logs")
            append_entry(
                folder,
                flow=self.plan.name,
                trace_id=result.run_id,
                status=result.status.value,
                report=result.report,
                inputs=summarize_inputs(self.params),
            )

    def _raise(self, end: RunEnd, report: RuntimeExecutionReport | None) -> None:
        if end.interrupt is not None and end.status is not RunStatus.COMPLETED:
            raise end.interrupt
        if self._watch is not None and self._watch.received is not None:
            raise KeyboardInterrupt(f"run {end.run_id} was cancelled")
        if end.status is RunStatus.CANCELLED:
            raise RunCancelled(
                f"run {end.run_id} of flow {self.plan.name!r} was cancelled: {end.reason}",
                report=report,
            )
        if report is not None:
            node = f" at {report.node_path}" if report.node_path else ""
            raise RunFailed(
                f"flow {self.plan.name!r} failed{node}: {report.summary} (run {end.run_id})",
                report=report,
            )


def _called_by(caller: TraceContext) -> dict[str, str]:
    """Return the attributes that link a run to a span of another trace."""
    state = {"caller.tracestate": caller.state} if caller.state else {}
    return {"caller.trace_id": caller.trace_id, "caller.span_id": caller.span_id, **state}
