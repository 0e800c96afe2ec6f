"""The keys of a switch: which of them are constants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tailrace.errors import ExpressionError
from tailrace.model import Case

Key = str | int | float | bool | None


def constant_case(case: Case) -> Case:
    """Return the case with a plain key, if its template always gives the same value."""
    if not case.template:
        return case
    from tailrace.flows.expressions import compile_expression  # noqa: PLC0415 - few cases need it

    expression = compile_expression(str(case.key))
    if expression.references:
        return case
    try:
        value = expression.evaluate(_Nothing())
    except ExpressionError:
        return case
    if value is None or isinstance(value, str | int | float | bool):
        return Case(key=value, body=case.body)
    return case


class _Nothing:
    """A scope without names."""

    def lookup(self, name: str) -> Any:
        raise KeyError(name)

    def names(self) -> Iterable[str]:
        return ()


def case_key(text: str) -> Key:
    """Return what a key written as a name or quoted means: digits are integers."""
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else text


_DIGITS = 4000
"""Python does not read integers that are longer."""
