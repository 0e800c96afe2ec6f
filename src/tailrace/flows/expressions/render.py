"""Values as text: text stays as it is, everything else is written as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.access import declared_fields
from tailrace.flows.expressions.evaluation import Evaluation, kind_of
from tailrace.flows.expressions.limits import MAX_HEIGHT, MAX_TEXT, too_much


def to_text(value: Any, run: Evaluation, column: int) -> str:
    """Return a value as it stands inside a longer text.

    Text is written as it is; dates, paths, UUIDs and decimals as their usual text; all else as
    JSON, so null is ``null`` and true is ``true``.

    Raises:
        ExpressionError: the value has no such form, or the text is too long.
    """
    if type(value) is str:
        return value
    plain = _plain(value, run, column, 0)
    return plain if isinstance(plain, str) else _json(plain, column)


def to_json(value: Any, run: Evaluation, column: int) -> str:
    """Return a value as JSON; what JSON has no number for (NaN, infinity) is null.

    Raises:
        ExpressionError: the value has no such form, or the text is too long.
    """
    return _json(_plain(value, run, column, 0), column)


def _json(plain: Any, column: int) -> str:
    text = json.dumps(plain, ensure_ascii=False)
    if len(text) > MAX_TEXT:
        raise too_much("the length of the text", MAX_TEXT, column)
    return text


def _plain(value: Any, run: Evaluation, column: int, depth: int) -> Any:
    """Return a value as plain dicts, lists, texts, numbers, booleans and None."""
    if depth > MAX_HEIGHT:
        raise too_much("the nesting of the value", MAX_HEIGHT, column)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        run.charge_scan(len(value), column)
        return str.__str__(value)  # the text of a member of an enumeration too
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    fields = declared_fields(value)
    if fields:
        value = {name: getattr(value, name) for name in fields}
    if isinstance(value, Mapping):
        run.charge(len(value), column)
        return {
            _key(key, column): _plain(item, run, column, depth + 1) for key, item in value.items()
        }
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, bytes | bytearray):
        run.charge(len(value), column)
        items = value if isinstance(value, Sequence) else _ordered(value)
        return [_plain(item, run, column, depth + 1) for item in items]
    return _plain_foreign(value, column)


def _ordered(values: AbstractSet[Any]) -> list[Any]:
    """Return the members of a set in an order that is the same in every run, where there is one."""
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _key(key: Any, column: int) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    raise ExpressionError(
        f"{kind_of(key)} as a key has no form in JSON", code="TR146", column=column
    )


def _plain_foreign(value: Any, column: int) -> Any:
    """Return the usual text of a value of the standard library's own classes."""
    import datetime as dt  # noqa: PLC0415 - only for values that are no plain data
    from decimal import Decimal  # noqa: PLC0415 - likewise
    from pathlib import PurePath  # noqa: PLC0415 - likewise
    from uuid import UUID  # noqa: PLC0415 - likewise

    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | PurePath | UUID):
        return str(value)
    raise ExpressionError(
        f"{kind_of(value)} has no form as text",
        code="TR146",
        column=column,
        hint="Return text, numbers, lists or mappings from the task.",
    )
