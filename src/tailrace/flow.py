"""The flow object users hold: a definition that can be run, checked and shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tailrace.errors import DefinitionError
from tailrace.flows.build import build_flow
from tailrace.flows.given_policy import PolicyGiven, given_policy
from tailrace.flows.python import as_node
from tailrace.model import Durability, Finding, ScratchMerge, TaskNode
from tailrace.model import Flow as Definition
from tailrace.model.rule import Rule

if TYPE_CHECKING:
    from tailrace.runtime import RunHandle, RunOptions, RunResult


class Flow(Definition):
    """A graph of nodes with defaults and a policy; the same object runs anywhere.

    Example::

        flow = Flow("weather", extract >> (clean & enrich) >> load, defaults={"source": "data.csv"})
        result = flow.run(source="other.csv")
    """

    __slots__ = ("home",)

    home: str
    """Name of the module that was being loaded when the flow was made."""

    def __init__(  # noqa: PLR0913 - one keyword per field of a flow
        self,
        name: str,
        body: Any = None,
        *,
        defaults: Mapping[str, Any] | None = None,
        policy: PolicyGiven | None = None,
        max_parallel: int = 8,
        expose_env: Sequence[str] = (),
        scratch_merge: str | ScratchMerge = ScratchMerge.ERROR_ON_CONFLICT,
        handlers: Sequence[Any] = (),
        rules: Sequence[Rule] = (),
    ) -> None:
        """Build a flow.

        Args:
            name: name of the flow, shown in traces.
            body: a task, a composition of tasks with ``>>``, ``&`` and ``|``, or None.
            defaults: values of params that a run need not give.
            policy: the flow-wide policy, or a mapping that spells it as ``flow.yaml`` does; nodes
                may override parts of it.
            max_parallel: attempts that run at the same time, at most.
            expose_env: environment variables that tasks and expressions may see.
            scratch_merge: what joins do with scratch keys written by two branches.
            handlers: tasks outside the graph that ``on_error`` may send to.
            rules: what failures mean, asked after a task's own rules and before the project's.

        Raises:
            DefinitionError: the graph cannot be built.
            PolicyValidationError: the mapping spells no policy.
        """
        nodes = [as_node(handler) for handler in handlers]
        outside = {node.name: node for node in nodes if isinstance(node, TaskNode)}
        if len(outside) != len(nodes):
            raise DefinitionError("handlers are tasks with names of their own", code="TR158")
        built = build_flow(
            name=name,
            root=None if body is None else as_node(body),
            defaults=dict(defaults or {}),
            policy=given_policy(policy),
            max_parallel=max_parallel,
            expose_env=(expose_env,) if isinstance(expose_env, str) else tuple(expose_env),
            scratch_merge=ScratchMerge(scratch_merge),
            handlers=outside,
            rules=rules,
        )
        self._take(built)
        object.__setattr__(self, "home", _module_being_loaded())

    def _take(self, built: Definition) -> None:
        Definition.__init__(
            self,
            name=built.name,
            root=built.root,
            defaults=built.defaults,
            policy=built.policy,
            max_parallel=built.max_parallel,
            expose_env=built.expose_env,
            scratch_merge=built.scratch_merge,
            handlers=built.handlers,
            source=built.source,
            rules=built.rules,
        )

    @classmethod
    def of(cls, definition: Definition) -> Self:
        """Return a runnable flow for a definition, such as one loaded from a file."""
        flow = cls.__new__(cls)
        flow._take(definition)  # noqa: SLF001 - the same class
        return flow

    @classmethod
    def load(cls, target: str | Path) -> Self:
        """Load ``flow.yaml``, ``module.py[:name]`` or ``package.module:name``.

        Raises:
            DefinitionError: it cannot be loaded; ``findings`` says all that is wrong. Params that
                only a run provides are asked for when it is run.
        """
        from tailrace.flows.load import load_definition  # noqa: PLC0415 - YAML, when it is needed

        return cls.of(load_definition(str(target)))

    def run(self, **inputs: Any) -> RunResult:
        """Run the flow and return its result.

        Keyword arguments are params of the flow, but for these:

        Args:
            **inputs: ``params`` (a mapping, for names that are taken below), ``policy``, ``db``,
                ``durability``, ``store`` (a store, or False for none), ``tracers``,
                ``raise_on_failure`` (True), ``output_dir``, ``timeout`` (seconds), ``run_id``,
                ``config`` (a ``RuntimeConfig``: who is told of failures), ``cache`` (False: look no
                outputs up).

        Raises:
            DefinitionError: the flow cannot be built; nothing ran.
            RunFailed: it failed, unless ``raise_on_failure=False``; carries the report.
            StoreError: the store could not keep the promise of durability.
            KeyboardInterrupt: it was cancelled by Ctrl-C; the run is recorded as CANCELLED.
        """
        from tailrace.runtime import execute  # noqa: PLC0415 - building flows needs no engine

        return execute(self, options_from(inputs))

    def resume(
        self,
        run_id: str = "@last-failed",
        *,
        nodes: Sequence[str] = (),
        on_change: str = "refuse",
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        **inputs: Any,
    ) -> RunResult | None:
        """Go on with a run: a new one that reuses what the old one has finished.

        Args:
            run_id: a run id, the beginning of one, ``@last`` or ``@last-failed``.
            nodes: nodes to run again, with all that depends on them.
            on_change: ``refuse``, ``rerun`` or ``keep`` what finished nodes gave whose code or
                definition has changed since.
            changes: inputs of nodes that are to be others, by node and input; such nodes run
                again, with all that depends on them.
            **inputs: as for ``run``; params that are given differ from those of the old run.

        Returns:
            The result, or None when the run has finished everything.

        Raises:
            NotFound: there is no such run.
            RunError: it runs, somebody else goes on with it (TR312), or finished nodes have
                changed (TR310); and all that ``run`` raises.
        """
        from tailrace.runtime.going_on import Resume, resume  # noqa: PLC0415 - as for ``run``
        from tailrace.runtime.resuming import OnChange  # noqa: PLC0415 - likewise

        options = options_from(inputs)
        wanted = Resume(
            run_id=run_id,
            nodes=tuple(nodes),
            params=options.params,
            changes=changes or {},
            on_change=OnChange(on_change),
        )
        return resume(wanted, options, flow=self)

    async def run_async(self, **inputs: Any) -> RunResult:
        """Run the flow inside the present event loop; as ``run`` otherwise."""
        from tailrace.runtime import execute_async  # noqa: PLC0415 - building needs no engine

        return await execute_async(self, options_from(inputs))

    def start(self, **inputs: Any) -> RunHandle:
        """Run the flow in the background; as ``run`` otherwise.

        The handle it returns waits for the end (``result``) and can stop the run (``cancel``).
        """
        from tailrace.runtime import start  # noqa: PLC0415 - building flows needs no engine

        return start(self, options_from(inputs))

    def check(self, params: Sequence[str] | None = None) -> list[Finding]:
        """Return every finding without running anything."""
        from tailrace.flows.check import check_flow  # noqa: PLC0415 - only when asked

        return check_flow(self, params=params)

    @property
    def definition_hash(self) -> str:
        """SHA-256 in hex of the canonical definition; equal for equal spellings."""
        from tailrace.flows.hash import definition_hash  # noqa: PLC0415 - only when asked

        return definition_hash(self)

    def _repr_html_(self) -> str:
        from tailrace.flows.views import html  # noqa: PLC0415 - only in notebooks

        return html(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from tailrace.flows.views import html, tree  # noqa: PLC0415 - only in notebooks

        return {"text/html": html(self), "text/plain": tree(self)}


def _module_being_loaded() -> str:
    """Return the name of the innermost module whose own lines are being run."""
    frame = sys._getframe(2)  # noqa: SLF001 - as ``logging`` and ``collections.namedtuple`` do
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "policy": lambda value: value,
    "db": lambda value: None if value is None else Path(value),
    "durability": lambda value: None if value is None else Durability(value),
    "store": lambda value: value,
    "tracers": tuple,
    "raise_on_failure": bool,
    "output_dir": lambda value: None if value is None else Path(value),
    "timeout": lambda value: value,
    "run_id": lambda value: value,
    "config": lambda value: value,
    "cache": bool,
}


def options_from(inputs: Mapping[str, Any]) -> RunOptions:
    """Tell params from options."""
    from tailrace.runtime import RunOptions  # noqa: PLC0415 - building flows needs no engine

    given = dict(inputs)
    params = dict(given.pop("params", None) or {})
    options = {name: read(given.pop(name)) for name, read in _OPTIONS.items() if name in given}
    options.setdefault("raise_on_failure", True)
    return RunOptions(params=params | given, **options)
