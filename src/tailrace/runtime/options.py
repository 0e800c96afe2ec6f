"""What a run is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from tailrace import model, runtime
from tailrace.engine import Echo
from tailrace.flows.given_policy import given_policy
from tailrace.model import Durability, Policy, RunStatus
from tailrace.ports import RunStore, Tracer
from tailrace.tracing.propagation import TraceContext


class RunOptions(Struct, frozen=True, kw_only=True):
    """How to run a flow. None means: as the settings say."""

    params: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    """``params``, ``scratch`` and ``payload`` to start with; any other keys are all params."""
    policy: Policy | None = None
    """Overrides the flow's policy; a node's own policy overrides this. A mapping spells one as
    ``flow.yaml`` does, and becomes one."""
    db: Path | None = None
    durability: Durability | None = None
    store: RunStore | bool | None = None
    """A store to write to; False: none at all; None: the database."""
    tracers: Sequence[Tracer] = ()
    configured_tracers: bool = True
    """Also those that the settings and the ``OTEL_EXPORTER_OTLP_*`` variables ask for."""
    source: str = "api"
    """Where the run comes from: ``cli``, ``api``, ``http`` or ``test``."""
    handle_signals: bool = True
    """Turn SIGINT (and SIGTERM, when ``source`` is ``cli``) into a cancel, in the main thread."""
    output_dir: Path | None = None
    """Folder of the diary and of artifacts; None: ``logs`` and the folder of the database."""
    diary: bool | None = None
    """Write ``runtime_execution.log``; None: for runs from the command line."""
    timeout: float | None = None
    """Seconds after which the whole run is cancelled."""
    raise_on_failure: bool = False
    echo: Echo | None = None
    """Where output of tasks goes besides the trace; None: where they wrote it."""
    run_id: str | None = None
    """Trace id for the run, 32 hex digits; None: a fresh one."""
    caller: TraceContext | None = None
    """Span of another program that the run belongs to; its trace id becomes the run's, unless a
    run of the store has it already. Then the run is linked to it."""
    resume: runtime.ResumeFrom | None = None
    """Run of the same store whose finished nodes are reused; None: none."""
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Values for inputs of nodes, by static path (``each.load``) and then by the input's name."""
    cache: bool = True
    """Look outputs of cached tasks up; False: run them, and record them anew."""
    lineage: str = ""
    """First run of the chain of resumes; idempotency keys begin with it. Empty: this run."""
    only: str = ""
    """Path of the one node to run besides what is reused; empty: all."""
    letter: str = ""
    """Dead letter that this run redrives; its end settles the letter."""
    generation: int = 0
    """Redrives of that letter, this one included."""
    config: runtime.RuntimeConfig | None = None
    """Where failures are reported to; None: as the process was configured."""

    def __post_init__(self) -> None:
        """Read the policy.

        Raises:
            PolicyValidationError: the mapping spells none.
        """
        force_setattr(self, "policy", given_policy(self.policy))

    def start_with(self) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """Return (params, scratch, payload) of the first moment."""
        context = dict(self.context)
        if set(context) <= {"params", "scratch", "payload"}:
            params = dict(context.get("params") or {})
            scratch = dict(context.get("scratch") or {})
            return params | dict(self.params), scratch, context.get("payload")
        return context | dict(self.params), {}, None


class RunResult(Struct, kw_only=True):
    """How a run ended."""

    status: RunStatus
    run_id: str
    output: Any
    """The flow's output: that of its last node, or a mapping by name of several."""
    outputs: Mapping[str, Any]
    """Outputs of all finished nodes by name."""
    report: model.RuntimeExecutionReport | None = None
    """Why it failed; None when it did not."""
    handled_failures: int = 0
    reason: str = ""
    """Why it was cancelled."""
    timed_out: bool = False
    """True when ``timeout`` of the whole run ended it."""
    scratch: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when the run completed."""
        return self.status is RunStatus.COMPLETED
