"""Which spans of a large trace are read: the first of each kind of siblings, and failed ones."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

from tailrace.model.span import Folded
from tailrace.model.states import SpanType

FAILED_KEPT = 5
"""Failed siblings beyond the first that are read all the same."""
_TYPES = tuple(SpanType)
_CODE = {kind: code for code, kind in enumerate(_TYPES)}
_ABSENT = len(_TYPES)


class Outline:
    """The shape of a trace without its contents: parents, types and failures by span number.

    Takes 5 bytes per span. ``add`` all spans in any order, then ``choose``.
    """

    def __init__(self, spans: int) -> None:
        self._parents = array("I", bytes(4 * (spans + 1)))
        self._types = bytearray([_ABSENT]) * (spans + 1)
        self._failed: list[int] = []

    def add(self, number: int, parent: int, kind: SpanType, *, failed: bool) -> None:
        """Take one span."""
        try:
            self._types[number] = _CODE[kind]
        except IndexError:  # opened since the number of spans was read
            missing = number - len(self._types)
            self._parents.extend([0] * (missing + 1))
            self._types += bytes([_ABSENT]) * missing + bytes([_CODE[kind]])
        self._parents[number] = parent
        if failed:
            self._failed.append(number)

    def choose(self, siblings: int) -> tuple[list[int], dict[int, list[Folded]]]:
        """Return the numbers of the spans to read, and by parent what is left out.

        Args:
            siblings: how many children of one type are read of each parent.
        """
        faulty = self._with_ancestors(self._failed)
        chosen: set[int] = set()
        seen: Counter[tuple[int, int]] = Counter()
        spared: Counter[tuple[int, int]] = Counter()
        left_out: Counter[tuple[int, int]] = Counter()
        failed: Counter[tuple[int, int]] = Counter()
        for number, code in enumerate(self._types):
            parent = self._parents[number]
            if code == _ABSENT or (parent and parent not in chosen):
                continue
            kind = (parent, code)
            if seen[kind] < siblings:
                seen[kind] += 1
                chosen.add(number)
            elif number in faulty and spared[kind] < FAILED_KEPT:
                spared[kind] += 1
                chosen.add(number)
            else:
                left_out[kind] += 1
                failed[kind] += number in faulty
        folded: dict[int, list[Folded]] = {}
        for (parent, code), count in left_out.items():
            one = Folded(type=_TYPES[code], count=count, failed=failed[parent, code])
            folded.setdefault(parent, []).append(one)
        return sorted(chosen), folded

    def _with_ancestors(self, numbers: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for start in numbers:
            number = start
            while number and number not in found:
                found.add(number)
                number = self._parents[number]
        return found
