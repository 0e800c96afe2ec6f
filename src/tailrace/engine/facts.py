"""What the engine works out once per step of a plan and uses at every start."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from tailrace.engine.binding import Arguments, Call
from tailrace.engine.collected import collected
from tailrace.model import CallKind, EffectivePolicy, Isolation, TaskSpec, TaskStep
from tailrace.policy import snapshot
from tailrace.tracing.summary import summarize, summarize_inputs


class ShapeKey:
    """Attributes that the spans of several steps share; equal by identity."""

    __slots__ = ("attributes", "task")

    def __init__(self, step: TaskStep) -> None:
        task = step.task
        self.task = task.reference
        self.attributes: dict[str, Any] = {
            "kind": task.kind.value,
            "isolation": task.isolation.value,
            "policy": snapshot(step.policy),
        }

    @property
    def policy(self) -> dict[str, Any]:
        """Snapshot of the policy."""
        policy: dict[str, Any] = self.attributes["policy"]
        return policy

    @property
    def policy_ref(self) -> str:
        """A name for the policy: equal for equal ones."""
        digest = sha256(repr(sorted(self.policy.items())).encode("utf-8", "backslashreplace"))
        return f"sha256:{digest.hexdigest()[:16]}"


class StepFacts:
    """The facts of one task step."""

    __slots__ = (
        "arguments",
        "attempts",
        "cached",
        "context_parameters",
        "deadline",
        "forks_scratch",
        "function",
        "guarded",
        "inline",
        "needs_context",
        "retries",
        "shape",
        "streams",
        "summaries",
    )

    def __init__(self, step: TaskStep, shape: ShapeKey) -> None:
        task, policy = step.task, step.policy
        call = Call(step.bindings)
        self.arguments = call.arguments
        self.context_parameters = call.context_parameters
        self.needs_context = bool(call.context_parameters)
        self.forks_scratch = self.needs_context or bool(step.outputs)
        self.function = collected(task.function, task.kind)
        self.cached = task.cache == "inputs"
        generates = task.kind in {CallKind.GENERATOR, CallKind.ASYNC_GENERATOR}
        self.streams = generates and not self.cached  # a stream leaves no output to be recorded
        self.attempts = policy.attempts
        self.retries = policy.retry.max_attempts > 0
        self.summaries = _summarizer(call)
        self.deadline = policy.timeout > 0 or policy.total_timeout > 0
        self.guarded = policy.retry.budget is not None or policy.retry.breaker is not None
        self.inline = (
            not self.guarded
            and task.kind in {CallKind.SYNC, CallKind.GENERATOR}
            and task.isolation in {Isolation.AUTO, Isolation.INLINE}
            and not (self.deadline and task.isolation is Isolation.AUTO)
        )
        self.shape = shape


class PlanFacts:
    """The facts of all steps of a plan, each worked out at its first use."""

    __slots__ = ("_facts", "_policy", "_same", "_shapes")

    def __init__(self) -> None:
        self._facts: dict[TaskStep, StepFacts] = {}
        self._shapes: dict[tuple[Any, ...], ShapeKey] = {}
        self._same: dict[tuple[int, int], tuple[TaskSpec, EffectivePolicy, ShapeKey]] = {}
        """By identity, which costs less than the hash of a policy; holds what it knows by it."""
        self._policy: tuple[EffectivePolicy | None, dict[str, Any]] = (None, {})

    def of(self, step: TaskStep) -> StepFacts:
        """Return the facts of a step."""
        known = self._facts.get(step)
        if known is None:
            known = self._facts[step] = StepFacts(step, self.shape(step))
        return known

    def policy(self, policy: EffectivePolicy) -> dict[str, Any]:
        """Return the snapshot of the plan's policy."""
        known, shown = self._policy
        if known is not policy:
            shown = snapshot(policy)
            self._policy = (policy, shown)
        return shown

    def shape(self, step: TaskStep) -> ShapeKey:
        """Return what the spans of a step share with those of others; one object for equal ones."""
        task, policy = step.task, step.policy
        same = self._same.get((id(task), id(policy)))
        if same is not None:
            return same[2]
        found = self._shape_of(step)
        self._same[id(task), id(policy)] = (task, policy, found)
        return found

    def _shape_of(self, step: TaskStep) -> ShapeKey:
        task = step.task
        key = (task.reference, task.isolation, task.kind, step.policy)
        try:
            known = self._shapes.get(key)
        except TypeError:  # a policy holding a value without a hash has a shape of its own
            return ShapeKey(step)
        if known is None:
            known = self._shapes[key] = ShapeKey(step)
        return known


def _summarizer(call: Call) -> Callable[[Arguments], dict[str, Any]]:
    """Return the function that turns arguments into summaries by parameter name."""
    names, hidden = call.names, call.context_parameters
    if not names or set(names) <= hidden:
        return lambda _: {}
    if len(names) == 1:
        return _single(names[0])

    def summaries(arguments: Arguments) -> dict[str, Any]:
        args, kwargs = arguments
        shown = dict(zip(names, args, strict=False)) | kwargs if args else kwargs
        if hidden:
            shown = {name: value for name, value in shown.items() if name not in hidden}
        return summarize_inputs(shown)

    return summaries


_NUMBERS = frozenset({int, bool, type(None)})


def _single(name: str) -> Callable[[Arguments], dict[str, Any]]:
    def summaries(arguments: Arguments) -> dict[str, Any]:
        args, kwargs = arguments
        value = args[0] if args else kwargs[name]
        return summarize_inputs({name: value})

    return summaries


def summary_of(value: Any) -> Any:
    """Return the summary of an output; plain numbers are their own."""
    return value if type(value) in _NUMBERS else summarize(value)
