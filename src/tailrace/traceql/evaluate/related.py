"""Spans that stand in a relation to others, found along the parents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import gt

from tailrace.traceql.block import Block
from tailrace.traceql.checked import Relation, Side
from tailrace.traceql.evaluate.fields import Fields
from tailrace.traceql.evaluate.picked import Picked

_INVERSE = {
    Relation.CHILD: Relation.PARENT, Relation.DESCENDANT: Relation.ANCESTOR,
    Relation.PARENT: Relation.CHILD, Relation.ANCESTOR: Relation.DESCENDANT,
    Relation.SIBLING: Relation.SIBLING,
}  # fmt: skip
_SEVERAL = -1
_MANY = 8
"""From one span in so many on, all spans are gone through once rather than each walked up."""


class Relations:
    """Relations between the spans of a block.

    Orphans and what is under them have no place in a tree and stand in no relation.
    """

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._block: Block = fields.block

    def related(self, relation: Relation, side: Side, left: Picked, right: Picked) -> Picked:
        """Return what ``left relation right`` gives, for all traces at once."""
        placed_left, placed_right = self._placed(left), self._placed(right)
        found = self._found(relation, placed_left, placed_right)
        match side:
            case Side.RIGHT:
                return found
            case Side.UNRELATED:
                return right - found
            case Side.BOTH:
                return found | self._found(_INVERSE[relation], placed_right, placed_left)

    @cached_property
    def _unplaced(self) -> Picked:
        return Picked(self._fields.size, rows=sorted(self._fields.nested.unplaced))

    def _placed(self, spans: Picked) -> Picked:
        return spans - self._unplaced if self._block.orphans else spans

    def _found(self, relation: Relation, left: Picked, right: Picked) -> Picked:
        if not len(left) or not len(right):
            return Picked.none(self._fields.size)
        match relation:
            case Relation.CHILD:
                rows = self._children(left, right.rows)
            case Relation.DESCENDANT:
                rows = self._descendants(left, right.rows)
            case Relation.PARENT:
                rows = self._parents(left.rows, right.rows)
            case Relation.ANCESTOR:
                rows = self._ancestors(left.rows, right.rows)
            case Relation.SIBLING:
                rows = self._siblings(left.rows, right.rows)
        return Picked(self._fields.size, rows=rows)

    def _children(self, left: Picked, right: Sequence[int]) -> Sequence[int]:
        parents = self._block.parents
        inside = _test(left)
        return [span for span in right if (parent := parents[span]) >= 0 and inside(parent)]

    def _parents(self, left: Sequence[int], right: Sequence[int]) -> Sequence[int]:
        parents = self._block.parents
        above = {parents[span] for span in left}
        return [span for span in right if span in above]

    def _ancestors(self, left: Sequence[int], right: Sequence[int]) -> Sequence[int]:
        parents = self._block.parents
        above: set[int] = set()
        for span in left:
            at = parents[span]
            while at >= 0 and at not in above:
                above.add(at)
                at = parents[at]
        return [span for span in right if span in above]

    def _siblings(self, left: Sequence[int], right: Sequence[int]) -> Sequence[int]:
        parents = self._block.parents
        by_parent: dict[int, int] = {}
        for span in left:
            parent = parents[span]
            if parent >= 0:
                by_parent[parent] = _SEVERAL if parent in by_parent else span
        get = by_parent.get
        return [span for span in right if get(parents[span], span) != span]

    def _descendants(self, left: Picked, right: Sequence[int]) -> Sequence[int]:
        parents = self._block.parents
        if len(right) * _MANY > left.size and self._parents_first:
            mask = left.mask
            under = bytearray(left.size)
            for span, parent in enumerate(parents):
                if parent >= 0 and (mask[parent] or under[parent]):
                    under[span] = 1
            return [span for span in right if under[span]]
        inside = _test(left)
        known: dict[int, bool] = {}
        found: list[int] = []
        for span in right:
            walk: list[int] = []
            at = parents[span]
            verdict: int | None = False
            while at >= 0:
                verdict = known.get(at)
                if verdict is None and inside(at):
                    verdict = True
                if verdict is not None:
                    break
                walk.append(at)
                at = parents[at]
            is_under = bool(verdict)
            for one in walk:
                known[one] = is_under
            if is_under:
                found.append(span)
        return found

    @cached_property
    def _parents_first(self) -> bool:
        """Whether every parent has a lower number than its children."""
        parents = self._block.parents
        return not any(map(gt, parents, range(len(parents))))


def _test(spans: Picked) -> Callable[[int], object]:
    """Return the quickest function that says whether a span is among some."""
    if len(spans) * 64 > spans.size:
        return spans.mask.__getitem__
    return frozenset(spans.rows).__contains__
