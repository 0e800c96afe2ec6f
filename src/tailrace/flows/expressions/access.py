"""Reading a key of a value: mappings, sequences, and the declared fields of plain objects.

Nothing else is reachable: no methods, no properties that are no fields, no underscore names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.evaluation import kind_of
from tailrace.flows.expressions.tree import Tree
from tailrace.flows.expressions.unparse import quoted, unparse
from tailrace.flows.findings import listed, meant
from tailrace.model import Scope

_HINT = "Use '| default(…)' or 'or' for what may be missing."


class Missing(Exception):  # noqa: N818 - reads as the state it reports
    """A key or an item that is not there; ``default`` and ``or`` go on from it.

    The message is made only where nothing does.
    """

    def __init__(self, message: Callable[[], tuple[str, str]], column: int) -> None:
        self._message = message
        self._column = column

    def error(self) -> ExpressionError:
        """Return the error for the user."""
        message, hint = self._message()
        return ExpressionError(message, code="TR145", column=self._column, hint=hint)


def fetch(value: Any, key: Any, operand: Tree, column: int) -> Any:
    """Return ``value[key]``; ``operand`` is the tree that gave ``value``, for messages.

    Raises:
        Missing: there is no such key or item.
        ExpressionError: a value of that kind has no keys.
    """
    if isinstance(value, Mapping):
        return _from_mapping(value, key, operand, column)
    if isinstance(key, str):
        declared = declared_fields(value)
        if key in declared:
            return getattr(value, key)
        if declared:
            raise Missing(lambda: _no_key(key, declared, operand), column)
    if isinstance(value, Sequence):
        return _from_sequence(value, key, operand, column)
    if value is None:
        raise Missing(lambda: (f"{unparse(operand)} is null, so it has no {key!r}", _HINT), column)
    raise ExpressionError(
        f"{unparse(operand)} is {kind_of(value)}, so {key!r} of it cannot be read",
        code="TR149",
        column=column,
        hint="Return a mapping, a list, or a dataclass from the task.",
    )


def _from_mapping(value: Mapping[Any, Any], key: Any, operand: Tree, column: int) -> Any:
    try:
        if key in value:
            return value[key]
    except TypeError as error:
        raise ExpressionError(
            f"{kind_of(key)} cannot be a key", code="TR146", column=column
        ) from error
    if isinstance(key, str) and key.isdecimal() and len(key) < 19 and int(key) in value:
        return value[int(key)]
    raise Missing(lambda: _no_key(key, value, operand), column)


def _from_sequence(value: Sequence[Any], key: Any, operand: Tree, column: int) -> Any:
    if isinstance(key, str) and key.isdecimal() and len(key) < 19:
        key = int(key)
    if not isinstance(key, int) or isinstance(key, bool):
        raise ExpressionError(
            f"{unparse(operand)} is {kind_of(value)}, so it has no key {key!r}",
            code="TR149",
            column=column,
            hint="Take an item by its position, such as [0] or [-1].",
        )
    try:
        return value[key]
    except IndexError:
        message = f"{unparse(operand)} has {len(value)} items, so there is none at [{key}]"
        raise Missing(lambda: (message, _HINT), column) from None


def _no_key(key: Any, known: Iterable[Any], operand: Tree) -> tuple[str, str]:
    """Return message and hint for a key that is none of the known ones."""
    names = [name for name in known if isinstance(name, str)]
    name = unparse(operand)
    if name == "env":
        problem = f"the environment variable {key!r} is not exposed to the flow, or not set"
        hint = f"Set it, and list it under runtime.expose_env: [{key}]."
    else:
        problem = f"{name} has no {key!r} (it has: {listed(names)})"
        hint = _HINT
    near = meant(str(key), names)
    dashed = [name for name in names if name.startswith(f"{key}-")]
    if dashed:
        hint = f"Inside braces '-' subtracts; write {name}[{quoted(dashed[0])}]."
    return problem + near, hint


def unknown_name(name: str, scope: Scope, column: int) -> ExpressionError:
    """Return the error for a root name that the scope does not have."""
    known = list(scope.names())
    return ExpressionError(
        f"nothing is named {name!r} (known: {listed(known, limit=20)}){meant(name, known)}",
        code="TR144",
        column=column,
        hint=f"Write params.{name} for a param, or results.{name} for the output of a node.",
    )


def declared_fields(value: Any) -> tuple[str, ...]:
    """Return the public fields that the class of a value declares.

    Dataclasses, named tuples, and the classes of msgspec, pydantic and attrs are known.
    """
    kind: Any = type(value)
    return _declared(kind)


@lru_cache(maxsize=256)
def _declared(kind: Any) -> tuple[str, ...]:
    names: Iterable[Any] = ()
    if hasattr(kind, "__dataclass_fields__"):
        import dataclasses  # noqa: PLC0415 - only for values of such classes

        names = (field.name for field in dataclasses.fields(kind))
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        names = kind._fields
    else:
        for attribute in ("__struct_fields__", "model_fields", "__attrs_attrs__"):
            declared = getattr(kind, attribute, None)
            if isinstance(declared, Mapping | tuple):
                names = (getattr(name, "name", name) for name in declared)
                break
    return tuple(str(name) for name in names if not str(name).startswith("_"))
