"""What the failure of one child means for the others of its scope."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import assert_never


class Strategy(StrEnum):
    """Which siblings share the fate of a child that failed."""

    ONE_FOR_ONE = "one_for_one"
    """None: all others go on."""
    REST_FOR_ONE = "rest_for_one"
    """Those that depend on it: in a graph what needs its output, in a list what started later."""
    ALL_FOR_ONE = "all_for_one"
    """All: fail fast, as a ``TaskGroup`` does."""


def strategy_of(*, fail_fast: bool, on_error: str = "stop") -> Strategy:
    """Return the strategy that a flow's policy and a node's ``on_error`` action amount to."""
    if on_error in {"continue", "fallback", "goto"}:
        return Strategy.ONE_FOR_ONE
    if on_error == "isolate" or not fail_fast:
        return Strategy.REST_FOR_ONE
    return Strategy.ALL_FOR_ONE


def affected(
    strategy: Strategy,
    failed: str,
    children: Sequence[str],
    needs: Mapping[str, Collection[str]] | None = None,
) -> list[str]:
    """Return who shares the fate of ``failed``, itself included, in the order of ``children``.

    Args:
        strategy: of the scope.
        failed: one of ``children``.
        children: all of the scope, in the order of their start.
        needs: what each child depends on directly; None: on all that started before it.
    """
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return [failed]
        case Strategy.ALL_FOR_ONE:
            return list(children)
        case Strategy.REST_FOR_ONE if needs is None:
            return list(children[children.index(failed) :])
        case Strategy.REST_FOR_ONE:
            return _dependants(failed, children, needs)
        case _:
            assert_never(strategy)


def _dependants(
    failed: str, children: Sequence[str], needs: Mapping[str, Collection[str]]
) -> list[str]:
    lost = {failed}
    grown = True
    while grown:
        before = len(lost)
        lost.update(name for name in children if not lost.isdisjoint(needs.get(name, ())))
        grown = len(lost) > before
    return [name for name in children if name in lost]
