"""What each filter does with a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.access import Missing
from tailrace.flows.expressions.evaluation import Evaluation, kind_of
from tailrace.flows.expressions.limits import MAX_TEXT, too_much
from tailrace.flows.expressions.render import to_json, to_text


def apply_filter(
    name: str, value: Any, arguments: Sequence[Any], run: Evaluation, column: int
) -> Any:
    """Return ``value | name(arguments)``; ``default`` is the evaluator's own.

    Raises:
        ExpressionError: the filter does not fit the value.
        Missing: the first or last item of nothing.
    """
    match name:
        case "length":
            if isinstance(value, str | Mapping | Sequence | AbstractSet):
                return len(value)
            raise _unfit(name, "a text, a list or a mapping", value, column)
        case "upper" | "lower":
            if not isinstance(value, str):
                raise _unfit(name, "a text", value, column)
            run.charge_scan(len(value), column)
            return value.upper() if name == "upper" else value.lower()
        case "first" | "last":
            return _end_of(name, value, column)
        case "join":
            return _joined(value, arguments[0] if arguments else "", run, column)
        case "tojson":
            return to_json(value, run, column)
        case _:
            raise AssertionError(name)


def _unfit(name: str, needed: str, value: Any, column: int) -> ExpressionError:
    return ExpressionError(
        f"the filter {name!r} needs {needed}, not {kind_of(value)}", code="TR146", column=column
    )


def _end_of(name: str, value: Any, column: int) -> Any:
    if not isinstance(value, Sequence):
        raise _unfit(name, "a list or a text", value, column)
    if not value:
        kind = "text" if isinstance(value, str) else "list"
        hint = "Use '| default(…)' or 'or' for what may be missing."
        raise Missing(lambda: (f"the {name} item of an empty {kind} is missing", hint), column)
    return value[0 if name == "first" else -1]


def _joined(value: Any, separator: Any, run: Evaluation, column: int) -> str:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence | AbstractSet):
        raise _unfit("join", "a list", value, column)
    if not isinstance(separator, str):
        raise _unfit("join", "a text between the items", separator, column)
    run.charge(len(value), column)
    texts = [to_text(item, run, column) for item in value]
    length = sum(map(len, texts)) + len(separator) * len(texts)
    if length > MAX_TEXT:
        raise too_much("the length of the text", MAX_TEXT, column)
    return separator.join(texts)
