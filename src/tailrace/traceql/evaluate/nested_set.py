"""The place of each span in the tree of its trace."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cached_property
from operator import ge
from weakref import WeakKeyDictionary

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

    @cached_property
    def rights(self) -> Sequence[int]:
        """The number given on the way up."""
        lefts, widths = self._numbers
        return [left + width - 1 if left else 0 for left, width in zip(lefts, widths, strict=True)]

    @cached_property
    def parents(self) -> Sequence[int]:
        """The left number of the parent; -1 for a root."""
        lefts = self.lefts
        unplaced = self.unplaced
        numbers = [lefts[parent] if parent >= 0 else -1 for parent in self._block.parents]
        for span in unplaced:
            numbers[span] = 0
        return numbers

    @cached_property
    def _numbers(self) -> tuple[Sequence[int], Sequence[int]]:
        """For each span its left number, and how many numbers are its own and those below it."""
        known = _NUMBERS.get(self._block)
        if known is None:
            parents, size = self._block.parents, self._block.size
            is_sorted = not any(map(ge, parents, range(size)))
            ends = [*self._block.firsts, size][1:]
            lefts, widths = self._added_up(ends) if is_sorted else self._walked(ends)
            known = _NUMBERS[self._block] = array("I", lefts), array("I", widths)
        return known

    def _added_up(self, ends: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the numbers where each parent stands before its children: without a walk."""
        block = self._block
        parents, size = list(block.parents), block.size
        widths = [2] * size
        for span in range(size - 1, -1, -1):
            parent = parents[span]
            if parent >= 0:
                widths[parent] += widths[span]
        for span in block.orphans:
            parents[span] = _LOST
        lefts: list[int] = []
        free: list[int] = []  # of each span the number that its next child gets
        for first, end in zip(block.firsts, ends, strict=True):
            number = 1
            for parent, width in zip(parents[first:end], widths[first:end], strict=True):
                left = 0
                if parent >= 0:
                    left = free[parent]
                    if left:
                        free[parent] = left + width
                elif parent != _LOST:
                    left = number
                    number += width
                lefts.append(left)
                free.append(left and left + 1)
        return lefts, widths

    def _walked(self, ends: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the numbers for parents in any order."""
        block = self._block
        lefts, widths = [0] * block.size, [0] * block.size
        parents, children = block.parents, self._children
        lost = frozenset(block.orphans)
        for first, end in zip(block.firsts, ends, strict=True):
            number = 1
            for root in range(first, end):
                if parents[root] < 0 and root not in lost:
                    number = _number(root, number, children, lefts, widths)
        return lefts, widths


_LOST = -2
"""Instead of the parent of a span without a place."""
_NUMBERS: WeakKeyDictionary[Block, tuple[Sequence[int], Sequence[int]]] = WeakKeyDictionary()
"""Of blocks that live on, for the next query."""


def _number(
    root: int, number: int, children: list[Sequence[int]], lefts: list[int], widths: list[int]
) -> int:
    """Number the tree under a root, and return the next free number."""
    path = [(root, iter(children[root]))]
    lefts[root] = number
    number += 1
    while path:
        span, below = path[-1]
        child = next(below, None)
        if child is None:
            widths[span] = number - lefts[span] + 1
            path.pop()
        else:
            lefts[child] = number
            path.append((child, iter(children[child])))
        number += 1
    return number
