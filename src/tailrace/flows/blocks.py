"""Control blocks written in Python: switch, loops, sub-flows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from tailrace.errors import DefinitionError
from tailrace.flows.case_key import constant_case
from tailrace.flows.choice import choice
from tailrace.flows.literal import literal
from tailrace.flows.operand import Fragment, as_node
from tailrace.model import Case, Collect, Flow, ForEach, Repeat, SubFlow, Switch, Until


def switch(on: Any, cases: Mapping[Any, Any], *, default: Any = None, name: str = "") -> Fragment:
    """Run the branch whose key equals the value of ``on``.

    Args:
        on: an expression (``"{{ params.mode }}"``, or ``"mode"`` for the param of that name).
        cases: fragment by key: text, number, boolean, None, or a ``{{ … }}`` template.
        default: the branch for every other value; without one such a value fails the run.
        name: container name; ``switch``, ``switch_2`` and so on when left out.
    """
    return Fragment(
        Switch(
            name=name,
            on=_source(on),
            cases=tuple(_case(key, body) for key, body in cases.items()),
            default=None if default is None else as_node(default),
        )
    )


def _case(key: Any, body: Any) -> Case:
    if isinstance(key, str) and "{{" in key:
        return constant_case(Case(key=_source(key), body=as_node(body), template=True))
    if key is None or isinstance(key, str | int | float):
        return Case(key=key, body=as_node(body))
    raise DefinitionError(
        f"a case of switch is {key!r}; allowed: text, number, true, false, null or a template",
        code="TR136",
        hint="Compare with a value of one of these kinds.",
    )


Body = Callable[[Any], Fragment]
"""Takes the body of a loop and returns the loop."""


def foreach(
    over: Any,
    *,
    item: str | None = None,
    index: str | None = None,
    concurrency: int | str = 1,
    collect: Collect | str = Collect.LIST,
    name: str = "",
) -> Body:
    """Run a body once per item: ``foreach("{{ params.items }}", item="it")(body)``.

    Args:
        over: an expression, or a list or mapping of plain values.
        item: name under which the body's tasks and expressions see the item.
        index: name of the position, from 0.
        concurrency: iterations at the same time, at most; a number or an expression.
        collect: the loop's own output: ``list``, ``last``, ``first`` or ``flatten``.
        name: container name; ``foreach``, ``foreach_2`` and so on when left out.
    """
    loop = functools.partial(
        ForEach,
        name=name,
        over=_source(over),
        item=item,
        index=index,
        concurrency=_number(concurrency),
        collect=choice(Collect, collect, "collect"),
    )
    return lambda body: Fragment(loop(body=as_node(body)))


def repeat(count: int | str, *, collect: Collect | str = Collect.LIST, name: str = "") -> Body:
    """Run a body a number of times: ``repeat(3)(body)``; ``count`` may be an expression."""
    loop = functools.partial(
        Repeat,
        name=name,
        count=_number(count),
        collect=choice(Collect, collect, "collect"),
    )
    return lambda body: Fragment(loop(body=as_node(body)))


def until(
    condition: str,
    *,
    max_iter: int = 1000,
    collect: Collect | str = Collect.LAST,
    name: str = "",
) -> Body:
    """Run a body, then again until the condition holds: ``until("{{ results.poll.done }}")(poll)``.

    The run fails when it does not hold after ``max_iter`` iterations.
    """
    loop = functools.partial(
        Until,
        name=name,
        condition=_source(condition, bare_root=None),
        max_iterations=max_iter,
        collect=choice(Collect, collect, "collect"),
    )
    return lambda body: Fragment(loop(body=as_node(body)))


def subflow(flow: Flow, *, inputs: Mapping[str, Any] | None = None, name: str = "") -> Fragment:
    """Run another flow as one node; ``inputs`` become its params, its output is the node's."""
    return Fragment(SubFlow(name=name, flow=flow, inputs=dict(inputs or {})))


def _source(value: Any, *, bare_root: str | None = "params") -> str:
    """Return the canonical source of an expression, or of a plain value."""
    from tailrace.flows.expressions import canonical  # noqa: PLC0415 - many flows have none

    if isinstance(value, str):
        return canonical(value, bare_root=bare_root)
    return canonical(literal(value))


def _number(value: int | str) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return int(value) if value.strip().isdecimal() else _source(value)
    raise DefinitionError(
        f"{value!r} is no number of iterations; allowed: a whole number or an expression",
        code="TR136",
        hint='Write a number, or an expression such as "{{ params.n }}".',
    )
