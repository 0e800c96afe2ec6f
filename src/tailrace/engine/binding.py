"""Turning bindings into arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, assert_never

from tailrace.engine.frame import Frame, StepScope
from tailrace.engine.scratch import Scratch
from tailrace.model import (
    Binding,
    Constant,
    Evaluated,
    FromContext,
    FromLoop,
    FromParam,
    FromPayload,
    FromResult,
    Source,
)


class Inputs:
    """What sources are read from: one step at the moment it starts."""

    context: Any = None
    joins: Mapping[str, Any] | None = None

    def __init__(
        self,
        frame: Frame,
        payload: Any,
        scratch: Scratch,
        joins: Mapping[str, Any] | None = None,
    ) -> None:
        self.frame = frame
        self.payload = payload
        self.scratch = scratch
        if joins is not None:
            self.joins = joins


Getter = Callable[[Inputs], Any]


def getter(source: Source) -> Getter:
    """Return the function that reads a source."""
    match source:
        case Constant(value):
            if isinstance(value, list | dict):
                return lambda _: deepcopy(value)  # a task may change what it is given
            return lambda _: value
        case Evaluated(expression):
            evaluate = expression.evaluate
            return lambda inputs: evaluate(
                StepScope(inputs.frame, inputs.payload, inputs.scratch, inputs.joins)
            )
        case FromContext():
            return lambda inputs: inputs.context
        case FromLoop(name):
            return lambda inputs: inputs.frame.variable(name)
        case FromParam(name):
            return lambda inputs: inputs.frame.flow.plain_params[name]
        case FromResult(name, default):
            if default is None:
                return lambda inputs: inputs.frame.result(name)
            return _optional_result(name, getter(default))
        case FromPayload():
            return lambda inputs: inputs.payload
        case _:
            assert_never(source)


def _optional_result(name: str, default: Getter) -> Getter:
    """Read the output of a node that may not have run."""

    def read(inputs: Inputs) -> Any:
        try:
            return inputs.frame.result(name)
        except KeyError:
            return default(inputs)

    return read


Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


class Call:
    """The bindings of one task, ready to be applied any number of times.

    ``arguments`` raises what the expressions among the inputs raise.
    """

    __slots__ = ("arguments", "context_parameters", "names")

    def __init__(self, bindings: tuple[Binding, ...]) -> None:
        self.names = tuple(binding.parameter for binding in bindings)
        self.context_parameters = frozenset(
            b.parameter for b in bindings if isinstance(b.source, FromContext)
        )
        self.arguments = _reader(
            tuple(getter(b.source) for b in bindings if b.positional),
            tuple((b.parameter, getter(b.source)) for b in bindings if not b.positional),
        )


def _reader(
    positional: tuple[Getter, ...], keywords: tuple[tuple[str, Getter], ...]
) -> Callable[[Inputs], Arguments]:
    if not positional and not keywords:
        return lambda _: ((), {})
    if not positional and len(keywords) == 1:
        ((name, get),) = keywords
        return lambda inputs: ((), {name: get(inputs)})

    def read(inputs: Inputs) -> Arguments:
        return (
            tuple([get(inputs) for get in positional]),
            {name: get(inputs) for name, get in keywords},
        )

    return read
