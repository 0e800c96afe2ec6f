"""How a query is answered: what skips segments, what columns answer, what is looked at singly."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from msgspec import Struct

from tailrace.store.segments.catalogue import segments
from tailrace.store.segments.pruning import Bounds, Pruning, wanted_traces
from tailrace.store.segments.units import unsealed_units
from tailrace.traceql.checked import (
    And,
    Bound,
    Chain,
    CheckedQuery,
    Comparison,
    Either,
    Exists,
    Group,
    Keep,
    Matches,
    Merge,
    Not,
    Operand,
    Or,
    Plan,
    Related,
    Series,
    SeriesMath,
    SeriesResult,
    SeriesTree,
    Show,
    Spans,
    Step,
    Together,
)
from tailrace.traceql.plan import All, Condition, Leaf, Some, needs
from tailrace.traceql.tree import Attribute, Intrinsic, Literal, Scope

_SINGLY = frozenset({Scope.EVENT, Scope.LINK})


class Explanation(Struct, frozen=True, kw_only=True):
    """How a query is answered over a store as it is now."""

    traces: tuple[str, ...] | None
    """The only traces that are looked at, by their ids; None: any."""
    skipping: tuple[str, ...]
    """What is asked of the bounds of a segment's columns before anything of it is read."""
    segments: int
    segments_read: int
    """How many of them those bounds do not rule out; a search stops early when it has enough."""
    unsealed_traces: int
    """Traces that are read from their rows."""
    columns: tuple[str, ...]
    """Conditions that the columns' posting lists answer."""
    singly: tuple[str, ...]
    """What is calculated for one span after the other."""
    relations: tuple[str, ...]
    """Relations between spans, found along the parents."""


def explain(db: sqlite3.Connection, query: CheckedQuery) -> Explanation:
    """Return how a query is answered; the caller holds a read transaction."""
    chains = list(chains_of(query.plan))
    conditions = [needs(chain) for chain in chains]
    found = list(segments(db))
    ids, bounds = [segment.id for segment in found], Bounds()
    prunings = [Pruning(condition, db, ids, bounds) for condition in conditions]
    read = {segment.id for segment in found for pruning in prunings if pruning.may_hold(segment)}
    wanted = [wanted_traces(condition) for condition in conditions]
    traces = (
        None if None in wanted else tuple(sorted({one for some in wanted for one in some or ()}))
    )
    columns: dict[str, None] = {}
    singly: dict[str, None] = {}
    relations: dict[str, None] = {}
    for chain in chains:
        _steps(chain, columns, singly, relations)
    leaves = (leaf for condition in conditions for leaf in leaves_of(condition))
    return Explanation(
        traces=traces,
        skipping=tuple(dict.fromkeys(_leaf_text(leaf) for leaf in leaves)),
        segments=len(found),
        segments_read=len(read),
        unsealed_traces=len(unsealed_units(db)),
        columns=tuple(columns),
        singly=tuple(singly),
        relations=tuple(relations),
    )


def chains_of(plan: Plan | SeriesTree) -> Iterator[Chain]:
    """Yield the parts of a query that find spans."""
    match plan:
        case Chain():
            yield plan
        case Series():
            yield plan.chain
        case SeriesResult():
            yield from chains_of(plan.math)
        case SeriesMath():
            yield from chains_of(plan.left)
            yield from chains_of(plan.right)
        case _:
            return


def _steps(
    step: Step | Spans,
    columns: dict[str, None],
    singly: dict[str, None],
    relations: dict[str, None],
) -> None:
    match step:
        case Chain(stages):
            for stage in stages:
                _steps(stage, columns, singly, relations)
        case Keep(condition):
            _condition(condition, columns, singly)
        case Together() | Either():
            _steps(step.left, columns, singly, relations)
            _steps(step.right, columns, singly, relations)
        case Related():
            relations[f"{step.relation.value}, {step.side.value}"] = None
            _steps(step.left, columns, singly, relations)
            _steps(step.right, columns, singly, relations)
        case Bound() | Group():
            singly[step.label] = None
        case Merge() | Show():
            pass


def _condition(operand: Operand, columns: dict[str, None], singly: dict[str, None]) -> None:
    match operand:
        case And() | Or():
            _condition(operand.left, columns, singly)
            _condition(operand.right, columns, singly)
        case Not():
            _condition(operand.operand, columns, singly)
        case Comparison() | Matches() | Exists():
            (columns if _is_leaf(operand) else singly)[_text(operand)] = None
        case Literal():
            pass
        case _:
            (columns if _is_stored(operand) else singly)[_text(operand)] = None


def _is_leaf(operand: Comparison | Matches | Exists) -> bool:
    if isinstance(operand, Comparison):
        sides = (operand.left, operand.right)
        return any(_is_stored(a) and isinstance(b, Literal) for a, b in (sides, sides[::-1]))
    return _is_stored(operand.operand)


def _is_stored(operand: Operand) -> bool:
    if isinstance(operand, Attribute):
        return operand.scope not in _SINGLY
    return isinstance(operand, Intrinsic) and not operand.name.value.startswith(("event:", "link:"))


def _text(operand: Operand) -> str:
    match operand:
        case Attribute():
            return f"{operand.scope.value}{operand.name}"
        case Intrinsic():
            return operand.name.value
        case Literal():
            return f'"{operand.value}"' if isinstance(operand.value, str) else f"{operand.value}"
        case Comparison() | Matches() | Exists():
            return _comparison(operand)
        case And() | Or():
            sign = "&&" if isinstance(operand, And) else "||"
            return f"({_text(operand.left)} {sign} {_text(operand.right)})"
        case Not():
            return f"!({_text(operand.operand)})"
        case _:
            return _arithmetic(operand)


def _comparison(operand: Comparison | Matches | Exists) -> str:
    match operand:
        case Comparison():
            return f"{_text(operand.left)} {operand.op.value} {_text(operand.right)}"
        case Matches():
            sign = "!~" if operand.negated else "=~"
            return f'{_text(operand.operand)} {sign} "{operand.regex.pattern}"'
        case Exists():
            return f"{_text(operand.operand)} {'=' if operand.negated else '!='} nil"


def _arithmetic(operand: Operand) -> str:
    left, right = getattr(operand, "left", None), getattr(operand, "right", None)
    if left is None or right is None:
        return f"-{_text(operand.operand)}"  # type: ignore[union-attr]
    return f"({_text(left)} {operand.op.value} {_text(right)})"  # type: ignore[union-attr]


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Yield the comparisons of a condition."""
    match condition:
        case Leaf():
            yield condition
        case All(parts) | Some(parts):
            for part in parts:
                yield from leaves_of(part)


def _leaf_text(leaf: Leaf) -> str:
    what = f"{leaf.owner.value} {leaf.name}"
    return what if leaf.op is None else f"{what} {leaf.op.value} {leaf.value!r}"
