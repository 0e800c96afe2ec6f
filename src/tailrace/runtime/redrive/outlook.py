"""The flow of a dead letter as it is today, and what of its run can be reused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.engine.code import code_of
from tailrace.errors import DefinitionError, StoreError
from tailrace.events.redrive import why_not
from tailrace.flows.load import load_definition
from tailrace.model import FlowPlan
from tailrace.model.letter import DeadLetter
from tailrace.runtime.fingerprint import steps_of
from tailrace.runtime.plans import ready_plan
from tailrace.runtime.resume import LineageReader, load_inputs, load_reuse
from tailrace.runtime.resuming import ResumeFrom, ResumeRefused, reusable
from tailrace.settings import FailureSettings

_KEY = "idempotency_key"
_RUN = "run"


class FlowToday(Struct, frozen=True, kw_only=True):
    """What a letter's flow is now, compared with what it was; of an action, whether it is there."""

    problem: str = ""
    """Why it cannot be run; empty when it can."""
    code_version: str = ""
    nodes: tuple[str, ...] = ()
    """Names of the outermost nodes that a run without failures may reach, in order."""
    keyed: Mapping[str, bool] = field(default_factory=dict)
    """By task reference: whether its code asks for its idempotency key."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Finished nodes that would do something else now: ``changed`` or ``gone``, by path."""


class Outlook(Protocol):
    """What is known about a letter beyond itself."""

    def flow(self, letter: DeadLetter) -> FlowToday:
        """Return the letter's flow as it is today."""
        ...

    def finished(self, letter: DeadLetter) -> frozenset[str]:
        """Return the paths of nodes whose outputs the letter's runs left."""
        ...


class _Loaded(Struct, frozen=True):
    """A flow, loaded once for all letters that have it."""

    today: FlowToday
    plan: FlowPlan | None = None


class StoredOutlook:
    """Asks the store of the runs, and loads each flow once."""

    def __init__(self, reader: LineageReader, settings: FailureSettings) -> None:
        self._reader = reader
        self._settings = settings
        self._flows: dict[tuple[str, frozenset[str]], _Loaded] = {}

    def flow(self, letter: DeadLetter) -> FlowToday:
        """Return the letter's flow as it is today."""
        if letter.kind != _RUN:
            return FlowToday(problem=why_not(letter))
        try:
            inputs = load_inputs(self._reader, letter.run_id)
        except StoreError as error:
            return FlowToday(problem=error.message)
        target = inputs.target or letter.flow_source
        if not target:
            return FlowToday(
                problem=f"flow {letter.flow!r} has no file or module it could be loaded from"
            )
        key = (target, frozenset(inputs.params))
        if key not in self._flows:
            self._flows[key] = _load(*key, self._settings)
        return self._compared(self._flows[key], letter)

    def finished(self, letter: DeadLetter) -> frozenset[str]:
        """Return the paths of nodes whose outputs the letter's runs left."""
        if letter.kind != _RUN:
            return frozenset()
        return frozenset(load_reuse(self._reader, letter.run_id).stored)

    def _compared(self, loaded: _Loaded, letter: DeadLetter) -> FlowToday:
        """Return the flow with what has changed; versions that we made are equal for equal code."""
        is_ours = not self._settings.code_version
        if loaded.plan is None or (is_ours and loaded.today.code_version == letter.code_version):
            return loaded.today
        try:
            reusable(self._reader, loaded.plan, ResumeFrom(run_id=letter.run_id))
        except ResumeRefused as refused:
            return replace(loaded.today, changed=refused.details["changed"])
        return loaded.today


def _load(target: str, params: frozenset[str], settings: FailureSettings) -> _Loaded:
    try:
        ready = ready_plan(load_definition(target), params, None, settings)
    except DefinitionError as error:
        return _Loaded(FlowToday(problem=f"its flow cannot be run: {error.message}"))
    today = FlowToday(
        code_version=ready.code_version,
        nodes=tuple(step.name for step in ready.plan.scope.steps if not step.dormant),
        keyed=dict(_keyed(ready.plan)),
    )
    return _Loaded(today, ready.plan)


def _keyed(plan: FlowPlan) -> Iterator[tuple[str, bool]]:
    for _, step in steps_of(plan.scope):
        yield step.task.reference, _asks_for_key(step.task.function)


def _asks_for_key(function: Callable[..., Any]) -> bool:
    code = code_of(function)
    return code is None or any(_KEY in part.co_names for part in _codes(code))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
