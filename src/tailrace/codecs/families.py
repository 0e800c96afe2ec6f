"""Families of classes that need no codec of their own.

Enums, dataclasses, named tuples, msgspec structs and pydantic models are known by what they are;
arrays and tables of numpy and pandas by where they come from. Nothing here imports a library that
the value has not imported already.

Values come back by their fields, and no validator runs again, so that what a constructor would
change stays as it was.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from tailrace.codecs.classes import find_class, name_of
from tailrace.codecs.types import NotThisValue

_PYDANTIC_STATE = frozenset(
    {"__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__"}
)


class Family(msgspec.Struct, frozen=True):
    """How values of many classes become data and come back."""

    tag: str
    to_data: Callable[[Any], tuple[str, Any]]
    """Returns the name of the class, or of a layout, and data that can be encoded itself."""
    from_data: Callable[[str, Any], Any]


def family_of(kind: type) -> Family | None:
    """Return the family of a class that has no codec of its own; None when it has none either."""
    root = kind.__module__.partition(".")[0]
    if root == "numpy":
        from tailrace.codecs.arrays import array_family  # noqa: PLC0415 - few flows use numpy

        return array_family(kind)
    if root == "pandas":
        from tailrace.codecs.tables import table_family  # noqa: PLC0415 - few flows use pandas

        return table_family(kind)
    if issubclass(kind, enum.Enum):
        return _ENUM
    if issubclass(kind, msgspec.Struct):
        return _STRUCT
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _NAMED_TUPLE
    if "__pydantic_fields__" in vars(kind) and hasattr(kind, "model_fields_set"):
        return _PYDANTIC
    return _DATACLASS if is_dataclass(kind) else None


def family_by_tag(tag: str) -> Family | None:
    """Return the family that a checkpoint names."""
    if tag == "numpy":
        from tailrace.codecs.arrays import ARRAYS  # noqa: PLC0415 - few flows use numpy

        return ARRAYS
    if tag == "pandas":
        from tailrace.codecs.tables import TABLES  # noqa: PLC0415 - few flows use pandas

        return TABLES
    return _BY_TAG.get(tag)


def _enum_data(value: enum.Enum) -> tuple[str, Any]:
    named = type(value).__members__.get(value.name or "")
    return name_of(type(value)), [value.name] if named is value else [None, value.value]


def _enum_value(name: str, data: list[Any]) -> Any:
    kind = _of(name, issubclass(find_class(name), enum.Enum), "enum")
    return kind[data[0]] if len(data) == 1 else kind(data[1])


def _struct_data(value: msgspec.Struct) -> tuple[str, Any]:
    return name_of(type(value)), _slots(value, value.__struct_fields__)


def _struct_value(name: str, data: dict[str, Any]) -> Any:
    kind = _of(name, issubclass(find_class(name), msgspec.Struct), "struct")
    made = kind(**data)  # msgspec has no other way; what __post_init__ changed is put right
    for field, value in data.items():
        msgspec.structs.force_setattr(made, field, value)
    return made


def _tuple_data(value: Any) -> tuple[str, Any]:
    return name_of(type(value)), list(value)


def _tuple_value(name: str, data: list[Any]) -> Any:
    return tuple.__new__(_of(name, issubclass(find_class(name), tuple), "tuple"), data)


def _dataclass_data(value: Any) -> tuple[str, Any]:
    kind = type(value)
    if issubclass(kind, dict | list | set | tuple | str | bytes | int | float | BaseException):
        raise NotThisValue("that is more than its fields, and no codec knows the rest")
    state = _slots(value, [field.name for field in fields(value)])
    return name_of(kind), state | getattr(value, "__dict__", {})


def _dataclass_value(name: str, data: dict[str, Any]) -> Any:
    if issubclass(find_class(name), msgspec.Struct):
        return _struct_value(name, data)  # it was a dataclass when the value was stored
    made: Any = object.__new__(_of(name, is_dataclass(find_class(name)), "dataclass"))
    for field, value in data.items():
        object.__setattr__(made, field, value)
    return made


def _pydantic_data(value: Any) -> tuple[str, Any]:
    state = value.__getstate__()
    if state.keys() != _PYDANTIC_STATE:
        raise NotThisValue("of a version of pydantic whose models no codec knows")
    return name_of(type(value)), state


def _pydantic_value(name: str, data: dict[str, Any]) -> Any:
    kind = _of(name, hasattr(find_class(name), "__pydantic_fields__"), "pydantic model")
    made: Any = kind.__new__(kind)
    made.__setstate__(data)
    return made


def _slots(value: Any, names: Any) -> dict[str, Any]:
    """Return the fields that are set."""
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _of(name: str, is_right: bool, what: str) -> Any:  # noqa: FBT001 - read at once
    if not is_right:
        raise ValueError(f"{name} is no {what} any more")
    return find_class(name)


_ENUM = Family("enum", _enum_data, _enum_value)
_STRUCT = Family("struct", _struct_data, _struct_value)
_NAMED_TUPLE = Family("named-tuple", _tuple_data, _tuple_value)
_DATACLASS = Family("dataclass", _dataclass_data, _dataclass_value)
_PYDANTIC = Family("pydantic", _pydantic_data, _pydantic_value)
_BY_TAG = {family.tag: family for family in (_ENUM, _STRUCT, _NAMED_TUPLE, _DATACLASS, _PYDANTIC)}
