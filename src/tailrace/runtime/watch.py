"""The failures of a run told to telemetry, and what a run without failures is spared."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tailrace.model import AnyRecord
from tailrace.policy import snapshot
from tailrace.settings import Settings

if TYPE_CHECKING:
    from tailrace.engine import Run
    from tailrace.failures.telemetry import FailureHub
    from tailrace.ports import FailureLog, FailureWatch
    from tailrace.runtime.config import RuntimeConfig

_current: RuntimeConfig | None = None


def use_config(config: RuntimeConfig | None) -> None:
    """Make a configuration that of all runs in this process that name none; None: the default."""
    global _current  # noqa: PLW0603 - one per process, as its name says
    _current = config


def current_config() -> RuntimeConfig | None:
    """Return the configuration of runs that name none; None: the default."""
    return _current


def check_config(config: RuntimeConfig | None, settings: Settings) -> None:
    """Build what a program or the settings ask for, so that it fails now and not with a failure.

    Raises:
        SettingsError: telemetry cannot be built.
    """
    if config is not None or settings.failures.telemetry:
        hub_of(config, settings)


def hub_of(
    config: RuntimeConfig | None, settings: Settings, *, store: FailureLog | None = None
) -> FailureHub:
    """Return the process's hub of a configuration.

    With a store the hub is one of its own, which records failures there first.

    Raises:
        SettingsError: telemetry cannot be built.
    """
    from tailrace.runtime.config import DEFAULT, build_hub, shared_hub  # noqa: PLC0415 - runs may not fail

    present = DEFAULT if config is None else config
    if store is not None:
        return build_hub(present, settings, store=store)
    return shared_hub(present, settings)


class LateWatch:
    """Makes the watch of a run when the first failure comes; most runs have none."""

    def __init__(self, make: Callable[[], FailureWatch]) -> None:
        self._make = make
        self._watch: FailureWatch | None = None

    def take(self, records: Sequence[AnyRecord], errors: Mapping[str, BaseException]) -> None:
        """Hand the records on."""
        if self._watch is None:
            self._watch = self._make()
        self._watch.take(records, errors)


def watch_of(
    run: Run, worker_id: str, config: RuntimeConfig | None, settings: Settings
) -> FailureWatch:
    """Return what tells the hub of a run's failures.

    ``worker_id`` is what the run's store calls this process; empty: the run is kept nowhere.
    """
    from tailrace.failures.supervision.context import RunContext, digest_of  # noqa: PLC0415 - late
    from tailrace.failures.supervision.escalation import Escalation  # noqa: PLC0415 - likewise
    from tailrace.failures.telemetry.watch import RunWatch  # noqa: PLC0415 - likewise

    request = run.request
    worker = worker_id or settings.failures.worker_id or f"{os.uname().nodename}-{os.getpid()}"
    context = RunContext(
        run_id=run.run_id,
        flow=run.plan.name,
        flow_source=run.plan.source,
        code_version=request.code_version,
        lineage=request.lineage,
        letter=request.letter,
        generation=request.generation,
        policies=snapshot(run.plan.policy),
        payload_digest="" if request.inputs is None else digest_of(request.inputs.body),
        worker_id=worker,
        host=os.uname().nodename,
        span_base=run.span_base,
        parent=("root", f"worker:{worker}"),
    )
    return RunWatch(hub_of(config, settings), Escalation(context), stored=bool(worker_id))
