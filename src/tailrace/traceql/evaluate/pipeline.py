"""The stages of a chain: sets of spans for as long as each trace has one spanset at most."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import isnan, nan
from typing import assert_never

from tailrace.errors import QueryError
from tailrace.model.search import Value
from tailrace.traceql.block import Block
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import (
    Bound,
    Chain,
    Either,
    Group,
    Keep,
    Merge,
    Operand,
    Related,
    Show,
    Side,
    Spans,
    Step,
    Together,
)
from tailrace.traceql.evaluate.aggregate import aggregate
from tailrace.traceql.evaluate.condition import Conditions
from tailrace.traceql.evaluate.fields import Fields, Held
from tailrace.traceql.evaluate.picked import Picked
from tailrace.traceql.evaluate.reckon import COMPARE
from tailrace.traceql.evaluate.related import Relations
from tailrace.traceql.evaluate.shown import shown_value
from tailrace.traceql.evaluate.spanset import Spanset
from tailrace.traceql.tree import AggregateName, Attribute, Intrinsic

State = Picked | list[Spanset]
"""All spansets: one per trace without values, or any number in the order of their traces."""
_NO_VALUES: Mapping[str, Value] = {}


class Pipeline:
    """Evaluates chains over one block."""

    def __init__(self, block: Block, budget: Budget) -> None:
        self._block = block
        self._budget = budget
        self._fields = Fields(block)
        self._conditions = Conditions(self._fields, budget)
        self._relations = Relations(self._fields)

    def run(self, chain: Chain, start: State) -> State:
        """Return what the stages of a chain make of some spansets."""
        state = start
        for step in chain.stages:
            if not len(state):
                break
            self._budget.spend(len(state))
            state = self._step(step, state)
        return state

    def _step(self, step: Step, state: State) -> State:
        match step:
            case Keep() | Together() | Either() | Related():
                if isinstance(state, Picked):
                    return self._spans(step, state)
                universe = self._union(state)
                masks: dict[int, Picked] = {}
                return [
                    made
                    for spanset in state
                    for made in self._of_spanset(step, spanset, universe, masks)
                ]
            case Chain():
                return self.run(step, state)
            case Bound():
                return self._bound(step, state)
            case Group():
                return self._group(step, self.spansets(state))
            case Merge():
                return state if isinstance(state, Picked) else self._union(state)
            case Show():
                return state
            case _:
                assert_never(step)

    def _spans(self, step: Spans, spans: Picked) -> State:
        """Return what an expression of spansets makes of one spanset per trace."""
        match step:
            case Keep(condition):
                return self._conditions.holds(condition, spans)
            case Chain():
                return self.run(step, spans)
            case Either(left, right):
                return self._union(self._spans(left, spans)) | self._union(
                    self._spans(right, spans)
                )
            case Together(left, right):
                return self._together(
                    self._union(self._spans(left, spans)), self._union(self._spans(right, spans))
                )
            case Related(relation, side, left, right):
                a, b = self._spans(left, spans), self._spans(right, spans)
                self._refuse_several(side, a, b)
                return self._relations.related(relation, side, self._union(a), self._union(b))
            case _:
                assert_never(step)

    def _together(self, left: Picked, right: Picked) -> Picked:
        if not len(left) or not len(right):
            return Picked.none(left.size)
        both = left | right
        if left.is_all or right.is_all:
            keep = self._traces(right if left.is_all else left)
        else:
            keep = self._traces(left) & self._traces(right)
        kept: list[int] = []
        for trace, rows in self._by_trace(both):
            if trace in keep:
                kept.extend(rows)
        return Picked(both.size, rows=kept)

    def _refuse_several(self, side: Side, left: State, right: State) -> None:
        """Refuse to relate the spans of a trace that has more than one spanset at a side."""
        if isinstance(left, Picked) and isinstance(right, Picked):
            return
        one, other = self._per_trace(left), self._per_trace(right)
        for trace, count in other.items():
            mine = one.get(trace, 0)
            if max(count, mine) > 1 and (mine or side is Side.UNRELATED):
                raise _several()

    def _per_trace(self, state: State) -> dict[int, int]:
        if isinstance(state, Picked):
            return dict.fromkeys(self._traces(state), 1)
        counts: dict[int, int] = {}
        for spanset in state:
            counts[spanset.trace] = counts.get(spanset.trace, 0) + 1
        return counts

    def _of_spanset(
        self, step: Spans, spanset: Spanset, universe: Picked, masks: dict[int, Picked]
    ) -> list[Spanset]:
        """Return what an expression of spansets makes of one spanset.

        Args:
            step: the expression.
            spanset: what it is applied to.
            universe: the spans of all spansets; conditions are evaluated for all at once.
            masks: what conditions have given for them, by identity.
        """
        self._budget.spend(len(spanset.spans))
        match step:
            case Keep(condition):
                found = masks.get(id(condition))
                if found is None:
                    found = masks[id(condition)] = self._conditions.holds(condition, universe)
                mask = found.mask
                return _with(spanset, [span for span in spanset.spans if mask[span]])
            case Chain():
                return self.spansets(self.run(step, [spanset]))
            case Either(left, right):
                a = self._of_spanset(left, spanset, universe, masks)
                b = self._of_spanset(right, spanset, universe, masks)
                return _with(spanset, _all_spans([*a, *b]))
            case Together(left, right):
                a = self._of_spanset(left, spanset, universe, masks)
                b = self._of_spanset(right, spanset, universe, masks)
                return _with(spanset, _all_spans([*a, *b])) if a and b else []
            case Related(relation, side, left, right):
                a = self._of_spanset(left, spanset, universe, masks)
                b = self._of_spanset(right, spanset, universe, masks)
                if max(len(a), len(b)) > 1 and b and (a or side is Side.UNRELATED):
                    raise _several()
                size = self._block.size
                related = self._relations.related(
                    relation,
                    side,
                    Picked(size, rows=_all_spans(a)),
                    Picked(size, rows=_all_spans(b)),
                )
                return _with(spanset, related.rows)
            case _:
                assert_never(step)

    def _bound(self, step: Bound, state: State) -> list[Spanset]:
        compare, limit, label = COMPARE[step.op], step.value.value, step.label
        kept: list[Spanset] = []
        if step.function is AggregateName.COUNT:
            if isinstance(state, Picked):
                for trace, rows in self._by_trace(state):
                    if compare(len(rows), limit):
                        kept.append(Spanset(trace, rows, {label: len(rows)}))
                return kept
            for spanset in state:
                count = len(spanset.spans)
                if compare(count, limit):
                    values = {**spanset.values, label: count}
                    kept.append(Spanset(spanset.trace, spanset.spans, values))
            return kept
        assert step.operand is not None  # noqa: S101 - only count() has none
        column = self._column(step.operand, state)
        only_integers = isinstance(
            step.operand, Attribute | Intrinsic
        ) and self._fields.has_only_integers(step.operand)
        combine = aggregate(step.function, step.operand, only_integers=only_integers)
        for spanset in self.spansets(state):
            value = combine([column[span] for span in spanset.spans])
            if value is not None and compare(value, limit):
                values = {**spanset.values, label: value}
                kept.append(Spanset(spanset.trace, spanset.spans, values))
        return kept

    def _group(self, step: Group, spansets: list[Spanset]) -> list[Spanset]:
        column = self._column(step.operand, spansets)
        keys = self._keys(step.operand, column)
        label = step.label
        made: list[Spanset] = []
        for spanset in spansets:
            groups: defaultdict[object, list[int]] = defaultdict(list)
            for span in spanset.spans:
                groups[keys[span]].append(span)
            trace, inherited = spanset.trace, spanset.values
            for rows in groups.values():
                value = shown_value(column[rows[0]])
                values = inherited if value is None else {**inherited, label: value}
                made.append(Spanset(trace, rows, values))
        return made

    def _keys(self, operand: Operand, column: Sequence[Held]) -> Sequence[object]:
        """Return what the values of one group have in common."""
        if isinstance(operand, Attribute | Intrinsic) and self._fields.is_uniform(operand):
            return column
        return [value if value.__class__ is str else _key(value) for value in column]

    def _column(self, operand: Operand, state: State) -> Sequence[Held]:
        """Return what an operand is at each span; only those of ``state`` count."""
        if isinstance(operand, Attribute | Intrinsic):
            self._budget.spend(self._block.size)
            return self._fields.values_at(operand, self._union(state).rows)
        rows = self._union(state).rows
        values = self._conditions.values(operand, rows)
        column: list[Held] = [None] * self._block.size
        for row, value in zip(rows, values, strict=True):
            column[row] = value
        return column

    def _union(self, state: State) -> Picked:
        """Return the spans of all spansets."""
        if isinstance(state, Picked):
            return state
        return Picked(self._block.size, rows=_all_spans(state))

    def _traces(self, spans: Picked) -> set[int]:
        return {trace for trace, _ in self._by_trace(spans)}

    def _by_trace(self, spans: Picked) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield each trace that has any of the spans, with them."""
        rows, firsts, size = spans.rows, self._block.firsts, spans.size
        count, traces = len(rows), len(firsts)
        at = 0
        if count * 4 < traces:
            while at < count:
                trace = bisect_right(firsts, rows[at]) - 1
                end = firsts[trace + 1] if trace + 1 < traces else size
                to = bisect_left(rows, end, at + 1, min(count, at + end - firsts[trace]))
                yield trace, rows[at:to]
                at = to
            return
        first = 0
        for trace in range(traces):
            if at >= count:
                return
            end = firsts[trace + 1] if trace + 1 < traces else size
            if rows[at] < end:
                to = bisect_left(rows, end, at + 1, min(count, at + end - first))
                yield trace, rows[at:to]
                at = to
            first = end

    def spansets(self, state: State) -> list[Spanset]:
        """Return the spansets, in the order of their traces."""
        if not isinstance(state, Picked):
            return state
        return [Spanset(trace, rows, _NO_VALUES) for trace, rows in self._by_trace(state)]


def _with(spanset: Spanset, spans: Sequence[int]) -> list[Spanset]:
    return [Spanset(spanset.trace, spans, spanset.values)] if len(spans) else []


def _all_spans(spansets: list[Spanset]) -> Sequence[int]:
    if len(spansets) == 1:
        return spansets[0].spans
    return sorted({span for spanset in spansets for span in spanset.spans})


def _key(value: Held) -> object:
    """Return what two values of one group have in common: 1, 1.0 and true are three."""
    if isinstance(value, tuple):
        return tuple(_key(element) for element in value)
    if isinstance(value, float) and isnan(value):
        return None, nan
    return value.__class__, value


def _several() -> QueryError:
    message = "a side of a structural operator has several spansets in one trace"
    hint = "Join them with coalesce() before the bracket closes: ({} | by(.a) | coalesce()) >> …."
    return QueryError(message, code="TR220", hint=hint)
