"""Making tasks of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.caching import read_caching
from tailrace.flows.choice import choice
from tailrace.flows.discovery import make_spec
from tailrace.flows.given_policy import PolicyGiven, given_policy
from tailrace.flows.operand import Operand
from tailrace.model import Duration, Isolation, TaskNode, TaskSpec
from tailrace.model.rule import Rule

P = ParamSpec("P")
R = TypeVar("R")


class Task(Operand, Generic[P, R]):
    """A function with operators. Called, it just runs the function.

    Copies made by ``named``, ``with_inputs``, ``with_outputs`` and ``with_policy`` leave the
    original as it is.
    """

    __name__: str
    __qualname__: str
    _function: Callable[P, R]
    _node: TaskNode

    def __init__(self, function: Callable[P, R], node: TaskNode) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._node = node

    @property
    def node(self) -> TaskNode:
        """The definition it stands for."""
        return self._node

    @property
    def spec(self) -> TaskSpec:
        """The callable under its public name."""
        return self._node.task

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function."""
        return self._function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Task[..., R]:
        """Bind a task that is defined in a class to an instance, as a method is bound."""
        if instance is None:
            return self
        bound = MethodType(self._function, instance)
        return Task(bound, replace(self._node, task=replace(self.spec, function=bound)))

    def __reduce__(self) -> str:
        """Pickle by name, as functions are: child processes import the task."""
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<Task {self._node.name} {self.spec.reference}>"

    def named(self, name: str) -> Task[P, R]:
        """Return the task under another node name, so that it can appear twice in a flow."""
        return self._with(replace(self._node, name=name))

    def with_inputs(self, **inputs: Any) -> Task[P, R]:
        """Return the task with parameters set to values, ``$…`` paths or ``{{ … }}`` templates."""
        return self._with(replace(self._node, inputs={**self._node.inputs, **inputs}))

    def with_outputs(self, *outputs: str) -> Task[P, R]:
        """Return the task with context paths that also get its result, such as ``scratch.raw``."""
        return self._with(replace(self._node, outputs=outputs))

    def with_policy(self, policy: PolicyGiven) -> Task[P, R]:
        """Return the task with a policy; fields it leaves out keep the task's own values.

        Raises:
            PolicyValidationError: the mapping spells no policy.
        """
        return self._with(replace(self._node, policy=given_policy(policy)))

    def _with(self, node: TaskNode) -> Task[P, R]:
        copied: Task[P, R] = Task.__new__(Task)
        copied.__dict__.update(self.__dict__)
        copied._node = node
        return copied


@overload
def task(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    policy: PolicyGiven | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: str | Sequence[str] = (),
    isolation: Isolation | str = Isolation.AUTO,
    checkpoint: str = "auto",
    cache: str = "none",
    expires: Duration | None = None,
    rules: Sequence[Rule] = (),
) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    policy: PolicyGiven | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: str | Sequence[str] = (),
    isolation: Isolation | str = Isolation.AUTO,
    checkpoint: str = "auto",
    cache: str = "none",
    expires: Duration | None = None,
    rules: Sequence[Rule] = (),
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(  # noqa: PLR0913 - one keyword for each part of a task's definition
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    policy: PolicyGiven | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: str | Sequence[str] = (),
    isolation: Isolation | str = Isolation.AUTO,
    checkpoint: str = "auto",
    cache: str = "none",
    expires: Duration | None = None,
    rules: Sequence[Rule] = (),
) -> Any:
    """Make a task of a function; bare or with arguments.

    Args:
        function: the function, or any other callable.
        name: public name; the function's own when left out.
        policy: how its failure is met, or a mapping that spells it as ``flow.yaml`` does; a flow
            file or ``with_policy`` may override parts of it.
        inputs: parameters set to literals, ``$…`` paths or ``{{ … }}`` templates.
        outputs: context paths that also get the result, such as ``scratch.raw``.
        isolation: ``auto``, ``inline``, ``thread`` or ``process``.
        checkpoint: how the result is stored: ``auto``, ``pickle`` or ``none``.
        cache: ``inputs``: a result that any earlier run of the store recorded for the same code
            and the same inputs is reused instead of running the task; or ``none``.
        expires: how long such a result is reused, as seconds or such as ``24h``; for as long as
            its run is kept when left out.
        rules: what the task's failures mean, asked in order before the project's rules.

    Raises:
        DefinitionError: isolation, checkpoint, cache or expires is none of these.
        PolicyValidationError: the mapping spells no policy.
    """
    chosen = choice(Isolation, isolation, "isolation")
    if checkpoint not in {"auto", "pickle", "none"}:
        raise DefinitionError(
            f"checkpoint is {checkpoint!r}; allowed: auto, pickle, none", code="TR136"
        )
    caching = read_caching(cache, expires, checkpoint)
    its_policy = given_policy(policy)

    def decorate(function: Callable[..., Any]) -> Task[..., Any]:
        if not callable(function):
            raise DefinitionError(
                f"{function!r} cannot be made a task; allowed: a function or another callable",
                code="TR128",
                hint="Write @task above a function, or @task(name=…) to name it.",
            )
        spec = replace(
            make_spec(function, name=name),
            policy=its_policy,
            inputs=dict(inputs or {}),
            outputs=(outputs,) if isinstance(outputs, str) else tuple(outputs),
            isolation=chosen,
            checkpoint=checkpoint,
            cache=caching.mode,
            expires=caching.expires,
            rules=tuple(rules),
        )
        return Task(function, TaskNode(name=spec.name, task=spec))

    return decorate if function is None else decorate(function)


def route(function: Callable[..., Any], /, *, name: str | None = None) -> Task[..., Any]:
    """Make a task that chooses where the flow goes on.

    The function returns the name of a node that follows it, several names, or ``Routing``. The
    chosen nodes get the payload that came into the route.
    """
    made = function if isinstance(function, Task) else task(function)
    spec = replace(made.spec, routes=True, name=name or made.spec.name)
    return Task(
        made._function,  # noqa: SLF001 - its own class
        replace(made.node, task=spec, name=name or made.node.name),
    )
