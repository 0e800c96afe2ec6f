"""Parsed expressions, ready to be evaluated any number of times (``model.Expression``)."""

from __future__ import annotations

from typing import Any, Never

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.access import Missing
from tailrace.flows.expressions.evaluate import (
    Evaluator,
    Step,
    evaluator,
    look_up,
    path_steps,
    walk,
)
from tailrace.flows.expressions.evaluation import Evaluation
from tailrace.flows.expressions.parse import parse, parse_braces
from tailrace.flows.expressions.references import references
from tailrace.flows.expressions.roots import ROOTS
from tailrace.flows.expressions.tokens import is_name
from tailrace.flows.expressions.tree import Field, Name, Tree
from tailrace.flows.expressions.unparse import unparse
from tailrace.model import Expression, Scope

_SHOWN = 200
"""Characters of an expression that a message repeats."""


class ComputedExpression:
    """An expression with operators, or a path with a computed key."""

    __slots__ = ("_evaluate", "references", "source")

    def __init__(
        self, source: str, references: tuple[tuple[str, ...], ...], evaluate: Evaluator
    ) -> None:
        self.source = source
        self.references = references
        self._evaluate = evaluate

    def evaluate(self, scope: Scope) -> Any:
        """Return the value; ExpressionError when there is none."""
        try:
            return self._evaluate(Evaluation(scope))
        except Exception as error:  # noqa: BLE001 - values of users run code when compared
            fail(error, self.source)


class PathExpression:
    """A path whose keys are all written out: the most frequent expression, so the fastest."""

    __slots__ = ("_column", "_keys", "_root", "_steps", "references", "source")

    def __init__(
        self,
        source: str,
        references: tuple[tuple[str, ...], ...],
        root: Name,
        steps: tuple[Step, ...],
    ) -> None:
        self.source = source
        self.references = references
        self._root = root.name
        self._column = root.column
        self._steps = steps
        self._keys = tuple(key for key, _, _ in steps)

    def evaluate(self, scope: Scope) -> Any:
        """Return the value; ExpressionError when there is none."""
        try:
            value = scope.lookup(self._root)
            for key in self._keys:
                kind = type(value)
                if kind is not dict and (kind is not list or type(key) is not int):
                    break
                value = value[key]
            else:
                return value
        except (KeyError, IndexError):
            pass  # the slow way below knows what is wrong
        try:
            return walk(look_up(scope, self._root, self._column), self._steps)
        except Exception as error:  # noqa: BLE001 - values of users run code when read
            fail(error, self.source)


def compile_expression(source: str) -> Expression:
    """Return an expression ready to run; one pair of braces around it is taken off.

    Raises:
        ExpressionError: it cannot be parsed; ``column`` is the offset in ``source``.
    """
    return compiled(_parsed(source))


def compiled(tree: Tree) -> Expression:
    """Return the expression of a tree."""
    source, reads = unparse(tree), references(tree)
    path = path_steps(tree)
    if path is not None:
        return PathExpression(source, reads, *path)
    return ComputedExpression(source, reads, evaluator(tree))


def canonical(text: str, *, bare_root: str | None = None) -> str:
    """Return the one spelling of an expression, without braces.

    Args:
        text: the expression, with or without one pair of braces around it.
        bare_root: root that a name standing alone is a key of: with ``params``, ``mode`` means
            ``params.mode``. Without braces such a name may hold ``-``.

    Raises:
        ExpressionError: it cannot be parsed; ``column`` is the offset in ``text``.
    """
    stripped = text.strip()
    if bare_root is not None and _is_dashed_name(stripped):
        return unparse(Field(Name(bare_root), stripped))
    tree = _parsed(text)
    bare = stripped.removeprefix("{{").removesuffix("}}").strip()
    if bare_root is not None and is_name(bare) and bare not in ROOTS:
        tree = Field(Name(bare_root), bare)
    return unparse(tree)


def _is_dashed_name(text: str) -> bool:
    parts = text.split("-")
    return len(parts) > 1 and is_name(parts[0]) and all(is_name(f"_{part}") for part in parts)


def _parsed(text: str) -> Tree:
    start = len(text) - len(text.lstrip())
    if text.startswith("{{", start):
        tree, end = parse_braces(text, start + 2)
        if not text[end:].strip():
            return tree
        raise ExpressionError(
            f"{text[end:].strip()[:20]!r} stands after the closing braces",
            code="TR148",
            column=end,
            hint="Put the whole expression into one pair of braces.",
        )
    return parse(text)


def fail(error: Exception, source: str) -> Never:
    """Raise what went wrong in an evaluation as an ExpressionError that names the expression.

    Raises:
        ExpressionError: always, with the code and the hint of the cause.
    """
    found, cause = _explained(error)
    shown = source if len(source) <= _SHOWN else f"{source[:_SHOWN]}…"
    named = ExpressionError(
        f"{found.message}, in {shown!r}", code=found.code, hint=found.hint, column=found.column
    )
    named.details["expression"] = source
    raise named from cause


def _explained(error: Exception) -> tuple[ExpressionError, BaseException | None]:
    """Return the error for the user, and the foreign exception behind it, if any."""
    if isinstance(error, Missing):
        return error.error(), None
    if isinstance(error, ExpressionError):
        return error, error.__cause__
    if isinstance(error, RecursionError):
        return ExpressionError("a value is nested too deep", code="TR147"), error
    return ExpressionError(f"{type(error).__name__}: {error}", code="TR146"), error
