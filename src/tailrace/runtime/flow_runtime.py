"""``FlowRuntime``: the older interface, with defaults that many runs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.flows.given_policy import PolicyGiven, given_policy
from tailrace.model import Durability, Flow
from tailrace.model.report import RuntimeExecutionReport
from tailrace.ports import RunStore, Tracer
from tailrace.runtime.execute import execute
from tailrace.runtime.options import RunOptions
from tailrace.runtime.watch import use_config

if TYPE_CHECKING:
    from tailrace.runtime.config import RuntimeConfig


class FinishedContext(Struct, kw_only=True):
    """What a run leaves behind, by the names tasks know."""

    run_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    scratch: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None


class FlowRuntime:
    """Runs flows with shared options. ``configure`` makes one the process-wide default."""

    _current: ClassVar[FlowRuntime | None] = None

    def __init__(self, options: RunOptions | None = None) -> None:
        self.options = options or RunOptions()

    @classmethod
    def configure(
        cls,
        *,
        tracer: Tracer | Sequence[Tracer] | None = None,
        policy: PolicyGiven | None = None,
        db: Path | str | None = None,
        durability: Durability | str | None = None,
        store: RunStore | bool | None = None,
        config: RuntimeConfig | None = None,
    ) -> Self:
        """Make a runtime with these options the current one and return it.

        ``config`` says who is told of failures; it holds for all runs of the process.
        """
        use_config(config)
        tracers: Sequence[Tracer] = ()
        if tracer is not None:
            tracers = tuple(tracer) if isinstance(tracer, Sequence) else (tracer,)
        runtime = cls(
            RunOptions(
                tracers=tracers,
                policy=given_policy(policy),
                db=None if db is None else Path(db),
                durability=None if durability is None else Durability(durability),
                store=store,
                config=config,
            )
        )
        FlowRuntime._current = runtime
        return runtime

    @classmethod
    def current(cls) -> FlowRuntime:
        """Return the runtime that was configured last, or one with the defaults."""
        if FlowRuntime._current is None:
            FlowRuntime._current = FlowRuntime()
        return FlowRuntime._current

    def run(
        self,
        flow: Flow,
        context: Mapping[str, Any] | None = None,
        *,
        report: RuntimeExecutionReport | None = None,
    ) -> FinishedContext:
        """Run a flow and return its context.

        ``context`` holds ``params``, ``scratch`` and ``payload``, or simply params. A ``report``
        passed in is filled when the run fails.

        Raises:
            DefinitionError, RunFailed, RunCancelled, StoreError: as ``Flow.run``.
        """
        options = replace(self.options, context=dict(context or {}), raise_on_failure=True)
        result = execute(flow, options, report=report)
        return FinishedContext(
            run_id=result.run_id,
            params=result.params,
            results=result.outputs,
            scratch=result.scratch,
            artifacts=result.artifacts,
            output=result.output,
        )
