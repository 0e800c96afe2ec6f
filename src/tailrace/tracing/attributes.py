"""Attributes of spans: their keys, and values reduced to what OpenTelemetry allows."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tailrace.model.journal import FailureRecord
from tailrace.model.states import ErrorCategory

_OWN_SCOPES = (
    "tailrace.", "code.", "error.", "exception.", "host.", "messaging.", "otel.", "process.",
    "service.", "thread.",
)  # fmt: skip
_BOTH_FORMS = frozenset({"executed_branch_key", "iteration_number"})
RENAMED_SPAN = "otel.span.name"
"""The attribute by which a later name of a user's span travels; readers do not see it."""
_RENAMED = {"kind": "tailrace.node.kind"}
FIXED = frozenset({str, int, float, bool, type(None)})
"""Classes of values that nobody can change, which are most."""
_MAX_INT = 2**63 - 1
_MAX_CAUSES = 8
_SMALL = frozenset({bool, float, type(None)})


def text(value: str) -> str:
    """Return the text with lone surrogates escaped, so that it can be written as UTF-8."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _opaque(value: Any) -> str:
    return f"<{type(value).__qualname__}>"


def plain(value: Any) -> Any:
    """Return the value made of None, bool, int, float, str, bytes, list and dict only."""
    kind = value.__class__
    if kind in _SMALL or (kind is int and -_MAX_INT <= value <= _MAX_INT):
        return value
    if kind is dict and all(map(_is_plain, value.items())):
        return dict(value)
    try:
        return _clean(msgspec.to_builtins(value, enc_hook=_opaque, str_keys=True))
    except Exception:  # noqa: BLE001 - a foreign object may raise anything while it is read
        return _opaque(value)


def _is_plain(item: tuple[Any, Any]) -> bool:
    key, value = item
    if key.__class__ is not str or not key.isascii():
        return False
    kind = value.__class__
    if kind is int:
        return bool(-_MAX_INT <= value <= _MAX_INT)
    return kind in _SMALL or (kind is str and bool(value.isascii()))


def _clean(value: Any) -> Any:
    match value:
        case str():
            return text(value)
        case bool() | float() | None:
            return value
        case int():
            return value if -_MAX_INT <= value <= _MAX_INT else str(value)
        case list() | tuple() | set() | frozenset():
            return [_clean(item) for item in value]
        case dict():
            return {text(str(key)): _clean(item) for key, item in value.items()}
        case _:
            return text(str(value))


def attribute(value: Any) -> Any:
    """Return the value as an attribute: a scalar, None, or a list of scalars of one type.

    Numbers that JSON lacks become their names (``NaN``), integers beyond 64 bits their digits,
    anything nested its JSON text.
    """
    kind = value.__class__
    if kind is str:
        return value if value.isascii() else text(value)
    if kind is int:
        return value if -_MAX_INT <= value <= _MAX_INT else str(value)
    if kind is bool or value is None:
        return value
    return _rare(value)


def fixed(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes, those that somebody could still change as they are now.

    For what is written later. The dictionary itself must be nobody else's.
    """
    for key, value in attributes.items():
        if value.__class__ not in FIXED:
            attributes[key] = attribute(value)
    return attributes


def _rare(value: Any) -> Any:
    if value.__class__ is float:
        return value if math.isfinite(value) else _named(value)
    reduced = plain(value)
    if isinstance(reduced, list):
        return _list(reduced)
    if isinstance(reduced, dict):
        return msgspec.json.encode(_finite(reduced)).decode()
    return attribute(reduced)


def _named(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _finite(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return _named(value)
        case list():
            return [_finite(item) for item in value]
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case _:
            return value


def _list(items: list[Any]) -> list[Any] | str:
    items = _finite(items)
    kinds = {type(item) for item in items}
    if len(kinds) <= 1 and kinds <= {str, int, float, bool}:
        return items
    return msgspec.json.encode(items).decode()


def own(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that a user has set, under the keys the user gave them."""
    return {text(str(key)): attribute(value) for key, value in attributes.items()}


def engine(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that the engine has set, under our prefix.

    ``executed_branch_key`` and ``iteration_number`` keep their plain form beside the prefixed one;
    keys that OpenTelemetry defines are left alone.
    """
    named: dict[str, Any] = {}
    for key, raw in attributes.items():
        value = attribute(raw)
        if key in _BOTH_FORMS:
            named[key] = value
        if key.startswith(_OWN_SCOPES):
            named[key] = value
        else:
            named[_RENAMED.get(key) or "tailrace." + text(key)] = value
    return named


def failed(failure: FailureRecord, *, stack: bool) -> dict[str, Any]:
    """Return the attributes that say what failed; with ``stack`` also where."""
    attributes: dict[str, Any] = {
        "error.type": text(failure.type),
        "exception.type": text(failure.type),
        "exception.message": text(full_message(failure)),
        "tailrace.category": failure.category,
    }
    if failure.fingerprint:
        attributes["tailrace.fingerprint"] = failure.fingerprint
    if failure.failure_id:
        attributes["tailrace.failure_id"] = failure.failure_id
        attributes["tailrace.class"] = failure.class_
        attributes["tailrace.rule"] = text(failure.rule)
    if failure.category == ErrorCategory.TIMEOUT:
        attributes["timeout"] = True
    if stack:
        _add_stack(attributes, failure)
    return attributes


def _add_stack(attributes: dict[str, Any], failure: FailureRecord) -> None:
    if failure.location:
        attributes["tailrace.location"] = text(failure.location)
    if failure.source_line:
        attributes["tailrace.source_line"] = text(failure.source_line)
    if failure.function:
        attributes["code.function.name"] = text(failure.function)
    behind = (*failure.causes, *failure.children)[:_MAX_CAUSES]
    if behind:
        attributes["tailrace.causes"] = [text(f"{kind}: {why}") for kind, why in behind]
    if failure.frames:
        frames = (
            f'  File "{frame.file}", line {frame.line}, in {frame.function}'
            for frame in failure.frames
        )
        last = f"{failure.type}: {full_message(failure)}"
        attributes["exception.stacktrace"] = text(
            "\n".join(("Traceback (most recent call last):", *frames, last))
        )


def full_message(failure: FailureRecord) -> str:
    """Return the message of a failure with the notes that were added to it."""
    return "\n".join((failure.message, *failure.notes))
