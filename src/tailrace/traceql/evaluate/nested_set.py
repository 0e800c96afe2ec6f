"""The place of each span in the tree of its trace."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import ge

from tailrace.traceql.block import Block


class NestedSet:
    """Numbers such that what is under a span lies between its left and its right one.

    Of spans without a place, which are orphans and what is under them, all three are 0.
    """

    def __init__(self, block: Block) -> None:
        self._block = block

    @cached_property
    def unplaced(self) -> frozenset[int]:
        """Spans without a place."""
        orphans = self._block.orphans
        if not orphans:
            return frozenset()
        found = set(orphans)
        open_spans = list(orphans)
        under = self._children
        while open_spans:
            below = under[open_spans.pop()]
            found.update(below)
            open_spans.extend(below)
        return frozenset(found)

    @cached_property
    def child_counts(self) -> Sequence[int]:
        """How many children each span has."""
        counts = [0] * self._block.size
        for parent in self._block.parents:
            if parent >= 0:
                counts[parent] += 1
        return counts

    @cached_property
    def _children(self) -> list[Sequence[int]]:
        children: list[Sequence[int]] = [()] * self._block.size
        for span, parent in enumerate(self._block.parents):
            if parent >= 0:
                known = children[parent]
                if isinstance(known, list):
                    known.append(span)
                else:
                    children[parent] = [span]
        return children

    @property
    def lefts(self) -> Sequence[int]:
        """The number given on the way down, from 1 in each trace."""
        return self._numbers[0]

    @property
    def rights(self) -> Sequence[int]:
        """The number given on the way up."""
        return self._numbers[1]

    @cached_property
    def parents(self) -> Sequence[int]:
        """The left number of the parent; -1 for a root."""
        lefts = self.lefts
        unplaced = self.unplaced
        numbers = [lefts[parent] if parent >= 0 else -1 for parent in self._block.parents]
        for span in unplaced:
            numbers[span] = 0
        return numbers

    def is_root(self, span: int) -> bool:
        """Return whether a span is a root that has a place."""
        return self._block.parents[span] < 0 and span not in self.unplaced

    @cached_property
    def _numbers(self) -> tuple[list[int], list[int]]:
        parents = self._block.parents
        if any(map(ge, parents, range(len(parents)))):
            return self._walked()
        return self._added_up()

    def _added_up(self) -> tuple[list[int], list[int]]:
        """Return the numbers where each parent stands before its children: without a walk."""
        block = self._block
        parents, lost = block.parents, frozenset(block.orphans)
        size = block.size
        widths = [2] * size
        for span in range(size - 1, -1, -1):
            parent = parents[span]
            if parent >= 0:
                widths[parent] += widths[span]
        lefts, rights, free = [0] * size, [0] * size, [0] * size
        for first, end in zip(block.firsts, [*list(block.firsts)[1:], size], strict=True):
            number = 1
            for span in range(first, end):
                parent = parents[span]
                if parent >= 0:
                    left = free[parent]
                    if not left:
                        continue
                    free[parent] = left + widths[span]
                elif span in lost:
                    continue
                else:
                    left = number
                    number += widths[span]
                lefts[span] = left
                free[span] = left + 1
                rights[span] = left + widths[span] - 1
        return lefts, rights

    def _walked(self) -> tuple[list[int], list[int]]:
        """Return the numbers for parents in any order."""
        block = self._block
        lefts, rights = [0] * block.size, [0] * block.size
        parents, children = block.parents, self._children
        lost = frozenset(block.orphans)
        ends = [*list(block.firsts)[1:], block.size]
        for first, end in zip(block.firsts, ends, strict=True):
            number = 1
            for root in range(first, end):
                if parents[root] < 0 and root not in lost:
                    number = _number(root, number, children, lefts, rights)
        return lefts, rights


def _number(
    root: int, number: int, children: list[Sequence[int]], lefts: list[int], rights: list[int]
) -> int:
    """Number the tree under a root, and return the next free number."""
    path = [(root, iter(children[root]))]
    lefts[root] = number
    number += 1
    while path:
        span, below = path[-1]
        child = next(below, None)
        if child is None:
            rights[span] = number
            path.pop()
        else:
            lefts[child] = number
            path.append((child, iter(children[child])))
        number += 1
    return number
