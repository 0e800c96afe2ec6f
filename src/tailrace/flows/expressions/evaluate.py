"""A tree to a function: every decision that needs no value is taken once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from tailrace.flows.expressions.access import Missing, fetch, unknown_name
from tailrace.flows.expressions.apply import apply_filter
from tailrace.flows.expressions.arithmetic import calculate, compare, signed
from tailrace.flows.expressions.evaluation import Evaluation
from tailrace.flows.expressions.tree import (
    And,
    Arithmetic,
    Comparison,
    Conditional,
    Field,
    Filtered,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Not,
    Or,
    Sign,
    Tree,
    static_path,
)
from tailrace.model import Scope

Evaluator = Callable[[Evaluation], Any]
Step = tuple[Any, Tree, int]
"""A key, the tree of what it is read from, and its column."""


def evaluator(tree: Tree) -> Evaluator:  # noqa: C901, PLR0911, PLR0912 - one case per kind of tree
    """Return the function that gives the value of a tree.

    It raises ExpressionError, or whatever foreign values raise when they are compared.
    """
    match tree:
        case Literal(value):
            return lambda _: value
        case Name(name, column):
            return lambda run: look_up(run.scope, name, column)
        case Field() | Index():
            return _access(tree)
        case ListOf(items):
            parts = [evaluator(item) for item in items]
            return lambda run: [part(run) for part in parts]
        case MapOf(pairs):
            members = [(key, evaluator(item)) for key, item in pairs]
            return lambda run: {key: part(run) for key, part in members}
        case Sign(op, operand, column):
            inner = evaluator(operand)
            return lambda run: signed(op, inner(run), column)
        case Arithmetic(op, left, right, column):
            first, second = evaluator(left), evaluator(right)
            return lambda run: calculate(op, first(run), second(run), run, column)
        case Comparison():
            return _comparison(tree)
        case Not(operand):
            inner = evaluator(operand)
            return lambda run: not inner(run)
        case And(left, right):
            first, second = evaluator(left), evaluator(right)
            return lambda run: first(run) and second(run)
        case Or(left, right):
            return _or(evaluator(left), evaluator(right))
        case Conditional(then, condition, otherwise):
            first, test, second = evaluator(then), evaluator(condition), evaluator(otherwise)
            return lambda run: first(run) if test(run) else second(run)
        case Filtered():
            return _filter(tree)
        case _:
            assert_never(tree)


def look_up(scope: Scope, name: str, column: int) -> Any:
    """Return the value of a root name.

    Raises:
        ExpressionError: the scope has none of that name.
    """
    try:
        return scope.lookup(name)
    except KeyError:
        raise unknown_name(name, scope, column) from None


def path_steps(tree: Tree) -> tuple[Name, tuple[Step, ...]] | None:
    """Return the root and the steps of a path whose keys are all written out, else None."""
    path = static_path(tree)
    if path is None:
        return None
    root, ends = path
    steps = []
    for key, end in ends:
        assert isinstance(end, Field | Index)  # noqa: S101 - what a step of a path is
        steps.append((key, end.operand, end.column))
    return root, tuple(steps)


def walk(value: Any, steps: tuple[Step, ...]) -> Any:
    """Return what stands at the end of the steps from ``value``.

    Raises:
        Missing: a key or an item on the way is not there.
        ExpressionError: a value on the way has no keys.
    """
    for key, operand, column in steps:
        if type(value) is dict and key in value:
            value = value[key]
        else:
            value = fetch(value, key, operand, column)
    return value


def _access(tree: Field | Index) -> Evaluator:
    path = path_steps(tree)
    if path is not None:
        root, steps = path
        return lambda run: walk(look_up(run.scope, root.name, root.column), steps)
    operand, column, inner = tree.operand, tree.column, evaluator(tree.operand)
    if isinstance(tree, Field):
        key = tree.key
        return lambda run: fetch(inner(run), key, operand, column)
    index = evaluator(tree.index)
    return lambda run: fetch(inner(run), index(run), operand, column)


def _comparison(tree: Comparison) -> Evaluator:
    column = tree.column
    first = evaluator(tree.first)
    rest = [(op, evaluator(operand)) for op, operand in tree.rest]
    if len(rest) == 1:
        op, second = rest[0]
        return lambda run: compare(op, first(run), second(run), run, column)

    def chained(run: Evaluation) -> bool:
        left = first(run)
        for op, operand in rest:
            right = operand(run)
            if not compare(op, left, right, run, column):
                return False
            left = right
        return True

    return chained


def _or(first: Evaluator, second: Evaluator) -> Evaluator:
    def value_of(run: Evaluation) -> Any:
        try:
            value = first(run)
        except Missing:
            return second(run)
        return value or second(run)

    return value_of


def _filter(tree: Filtered) -> Evaluator:
    inner = evaluator(tree.operand)
    arguments = [evaluator(argument) for argument in tree.arguments]
    if tree.name == "default":
        (fallback,) = arguments

        def with_default(run: Evaluation) -> Any:
            try:
                return inner(run)
            except Missing:
                return fallback(run)

        return with_default
    name, column = tree.name, tree.column
    return lambda run: apply_filter(
        name, inner(run), [argument(run) for argument in arguments], run, column
    )
