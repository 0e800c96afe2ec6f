"""Writing plain Python values as the source of an expression."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tailrace.errors import DefinitionError

_DEPTH = 32


def literal(value: Any) -> str:
    """Return the source of an expression that gives ``value``.

    Raises:
        DefinitionError: it is no plain value (text, number, boolean, None, list, mapping).
    """
    return _written(value, 0)


def _written(value: Any, depth: int) -> str:
    if depth > _DEPTH:
        raise DefinitionError(
            f"a literal is nested more than {_DEPTH} deep",
            code="TR136",
            hint="Pass it as a param and name that.",
        )
    if value is None or isinstance(value, bool | int | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, list | tuple | range):
        return f"[{', '.join(_written(member, depth + 1) for member in value)}]"
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        members = (
            f"{json.dumps(key, ensure_ascii=False)}: {_written(member, depth + 1)}"
            for key, member in value.items()
        )
        return f"{{{', '.join(members)}}}"
    raise DefinitionError(
        f"{value!r} cannot be written into a flow; allowed: text, finite numbers, booleans, None, "
        "and lists and mappings of these",
        code="TR136",
        hint="Let a task return it, and loop over the task's output.",
    )
