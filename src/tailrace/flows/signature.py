"""What a callable asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from tailrace.model import Context


class Parameter(Struct, frozen=True):
    """One parameter that can be given a value; ``*args`` and ``**kwargs`` are none."""

    name: str
    has_default: bool
    default: Any = None
    positional: bool = False
    """Positional-only."""
    is_context: bool = False
    is_fixed: bool = False
    """Given a value by ``functools.partial`` already; only declared inputs change it."""


class Signature(Struct, frozen=True):
    """The parameters of a callable, the positional-only ones first."""

    parameters: tuple[Parameter, ...]
    takes_any: bool = False
    """It has ``**kwargs``."""

    @property
    def positional(self) -> tuple[Parameter, ...]:
        """The positional-only parameters."""
        if not (self.parameters and self.parameters[0].positional):
            return ()
        return tuple(parameter for parameter in self.parameters if parameter.positional)


def read_signature(function: Callable[..., Any]) -> Signature | None:
    """Return what a callable asks for; None when Python cannot tell, as for some builtins."""
    import inspect  # noqa: PLC0415 - checking needs it, building a flow does not

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    fixed = function.keywords if isinstance(function, partial) else {}
    names = getattr(inspect.unwrap(_plain(function)), "__globals__", {})
    parameters = []
    takes_any = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            has_default = parameter.default is not parameter.empty
            parameters.append(
                Parameter(
                    name=parameter.name,
                    has_default=has_default,
                    default=parameter.default if has_default else None,
                    positional=parameter.kind is parameter.POSITIONAL_ONLY,
                    is_context=parameter.name == "ctx"
                    or _means_context(parameter.annotation, names),
                    is_fixed=parameter.name in fixed,
                )
            )
    return Signature(tuple(parameters), takes_any)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function behind a partial or a bound method."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__func__", function)


def _means_context(annotation: Any, names: dict[str, Any]) -> bool:
    if isinstance(annotation, str):
        return _text_means_context(annotation, names)
    if annotation is Context:
        return True
    module = getattr(annotation, "__module__", "")
    name = getattr(annotation, "__name__", "")
    return name == "Context" and str(module).split(".")[0] == "pyoco"


def _text_means_context(annotation: str, names: dict[str, Any]) -> bool:
    """Read a postponed annotation as far as it is a dotted name, without evaluating it."""
    text = annotation.strip("\"' ").removesuffix("| None").strip()
    if text.startswith("Optional[") and text.endswith("]"):
        text = text.removeprefix("Optional[").removesuffix("]")
    head, *rest = text.split(".")
    if (rest or [head])[-1] != "Context":
        return False
    if head not in names:
        return True  # imported for type checkers only
    found = names[head]
    for part in rest:
        found = getattr(found, part, None)
    return _means_context(found, {})
