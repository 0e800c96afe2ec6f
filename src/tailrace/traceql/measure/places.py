"""In which step, and on which side of a comparison, each span of a block stands."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import compress
from operator import add

from tailrace.traceql.block import Block, Values
from tailrace.traceql.codes import present
from tailrace.traceql.measure.chosen import Chosen, marked
from tailrace.traceql.measure.columns import expanded
from tailrace.traceql.measure.roots import roots_of
from tailrace.traceql.measure.steps import OUTSIDE as NO_STEP
from tailrace.traceql.measure.steps import Runs
from tailrace.traceql.tree import IntrinsicName

Where = int
"""Twice the number of a step, plus one for the selection."""
OUTSIDE: Where = -1
"""Of a span that does not count."""
Counts = dict[Where, int]
"""How many spans stand at each place."""
_SPANS_PER_RUN = 4


class Places:
    """The place of each span of a block.

    Args:
        block: the spans.
        runs: the steps of all spans.
        base: those that count, ascending; some perhaps several times.
        selection: spans of the selection, those among them that do not count included.
    """

    def __init__(
        self, block: Block, runs: Runs, base: Sequence[int], selection: Sequence[int]
    ) -> None:
        self._block = block
        self._runs = [(OUTSIDE if step == NO_STEP else 2 * step, end) for step, end in runs.ends()]
        self._base: bytearray | None = None
        """For each span whether it counts, wherever it stands; None: all do."""
        self.where: list[Where] = []
        """Of each span."""
        last = 0
        for where, end in self._runs:
            self.where += [where] * (end - last)
            last = end
        if not (isinstance(base, range) and len(base) == block.size):
            self._base = bytearray(block.size)
            for span in base:
                self._base[span] = 1
            self.where = [
                where if counts else OUTSIDE
                for where, counts in zip(self.where, self._base, strict=True)
            ]
        self._chosen = [span for span in dict.fromkeys(selection) if self.where[span] != OUTSIDE]
        self._found = Chosen(self._chosen, block.size)
        for span in self._chosen:
            self.where[span] |= 1

    @property
    def is_empty(self) -> bool:
        """Whether no span counts."""
        return not self.everywhere

    @cached_property
    def everywhere(self) -> Counts:
        """How many spans stand at each place."""
        if self._base is None:
            counts = self._in_runs(end for _, end in self._runs)
        else:
            counts = self._in_runs(_counted(self._base, self._runs))
        for where, spans in Counter(self._chosen_places).items():
            _move(counts, where, spans)
        return counts

    def _in_runs(self, before: Iterable[int]) -> Counts:
        """Return how many of some spans stand at each place, as if none were of the selection.

        Args:
            before: how many of them there are up to the end of each run.
        """
        counts: Counts = {}
        last = 0
        for (where, _), spans in zip(self._runs, before, strict=True):
            if spans > last and where != OUTSIDE:
                counts[where] = counts.get(where, 0) + spans - last
            last = spans
        return counts

    @cached_property
    def _chosen_places(self) -> list[Where]:
        return list(map(self.where.__getitem__, self._chosen))

    @cached_property
    def _scaled(self) -> list[int]:
        """The places, so far from each other that the number of any value can be added."""
        return list(map((self._block.size + 1).__mul__, self.where))

    def of_all(self, values: Values) -> Counts:
        """Return how many spans that have any value stand at each place."""
        if len(values.rows) == self._block.size:
            return self.everywhere
        marks: bytes | bytearray = present(self._block, values)
        having = filter(marks.__getitem__, self._chosen)
        if self._base is not None:
            both = int.from_bytes(marks, "little") & int.from_bytes(self._base, "little")
            marks = both.to_bytes(len(marks), "little")
        counts = self._in_runs(_counted(marks, self._runs))
        for where, spans in Counter(map(self.where.__getitem__, having)).items():
            _move(counts, where, spans)
        return counts

    def of_chosen(self, values: Values) -> Iterator[tuple[int, Counts]]:
        """Yield the values that spans of the selection have, by their numbers, ascending."""
        found: defaultdict[int, Counts] = defaultdict(dict)
        for (number, where), spans in self._chosen_by_number(values).items():
            found[number][where] = spans
        yield from sorted(found.items())

    def _chosen_by_number(self, values: Values) -> Mapping[tuple[int, Where], int]:
        rows, offsets = values.rows, values.offsets
        places = self._found.among(rows)
        numbers = [bisect_right(offsets, place) - 1 for place in places]
        found = map(self.where.__getitem__, map(rows.__getitem__, places))
        return Counter(zip(numbers, found, strict=True))

    def of_traces(self, name: IntrinsicName) -> Iterator[tuple[str, Counts]]:
        """Yield where the spans of traces with each text stand; ``name`` is that of the texts."""
        texts, roots = roots_of(self._block, name, self._lengths)
        counted = {
            text: self._in_runs(root.before(*end) for end in self._run_ends)
            for text, root in roots.items()
        }
        chosen = map(texts.__getitem__, self._chosen_traces)
        for (text, where), spans in Counter(zip(chosen, self._chosen_places, strict=True)).items():
            _move(counted[text], where, spans)
        yield from counted.items()

    @cached_property
    def _lengths(self) -> Sequence[int] | None:
        """How many spans of each trace count; None: all of them."""
        firsts, base = self._block.firsts, self._base
        if base is None:
            return None
        ends = [*firsts[1:], self._block.size]
        return [base.count(1, first, end) for first, end in zip(firsts, ends, strict=True)]

    @cached_property
    def _run_ends(self) -> list[tuple[int, int]]:
        """The trace in which each run ends, and how many of its spans until there count."""
        firsts, found = self._block.firsts, []
        for _, end in self._runs:
            trace = bisect_right(firsts, end - 1) - 1
            first = firsts[trace]
            inside = end - first if self._base is None else self._base.count(1, first, end)
            found.append((trace, inside))
        return found

    @cached_property
    def _chosen_traces(self) -> list[int]:
        firsts = self._block.firsts
        return [bisect_right(firsts, span) - 1 for span in self._chosen]

    def of_each(self, values: Values) -> Iterator[tuple[int, Counts]]:
        """Yield where the spans of each value stand, by the number of the value, ascending."""
        rows, offsets = values.rows, values.offsets
        flags = None if self._base is None else marked(rows, self._base)
        if len(rows) < _SPANS_PER_RUN * len(self._runs) * len(values.values):
            yield from self._one_by_one(values, flags)
            return
        if len(values.values) == 1 and len(rows) == self._block.size:
            yield 0, self.everywhere.copy()
            return
        counted = {
            number: self._stepwise(rows, flags, offsets[number], offsets[number + 1])
            for number in range(len(values.values))
        }
        for (number, where), spans in self._chosen_by_number(values).items():
            _move(counted[number], where, spans)
        yield from counted.items()

    def _stepwise(self, rows: Sequence[int], flags: bytes | None, low: int, high: int) -> Counts:
        """Count ascending rows as if none were of the selection."""
        counts: Counts = {}
        for where, end in self._runs:
            at = bisect_left(rows, end, low, high)
            if at > low:
                if where != OUTSIDE:
                    spans = at - low if flags is None else flags.count(1, low, at)
                    if spans:
                        counts[where] = counts.get(where, 0) + spans
                low = at
                if low == high:
                    break
        return counts

    def _one_by_one(self, values: Values, flags: bytes | None) -> Iterator[tuple[int, Counts]]:
        most = self._block.size + 1
        rows: Iterable[int] = values.rows
        numbers = expanded(range(len(values.values)), values.offsets)
        if flags is not None:
            rows, numbers = compress(rows, flags), compress(numbers, flags)
        found: defaultdict[int, Counts] = defaultdict(dict)
        counted = Counter(map(add, map(self._scaled.__getitem__, rows), numbers))
        for told, spans in counted.items():
            where, number = divmod(told, most)
            if where >= 0:
                found[number][where] = spans
        yield from sorted(found.items())


def _counted(marks: bytes | bytearray, runs: Iterable[tuple[Where, int]]) -> Iterator[int]:
    """Yield how many marks there are up to the end of each run."""
    last = total = 0
    for _, end in runs:
        total += marks.count(1, last, end)
        last = end
        yield total


def _move(counts: Counts, where: Where, spans: int) -> None:
    """Count some spans in the selection, which counted in the baseline."""
    counts[where] = counts.get(where, 0) + spans
    counts[where - 1] -= spans
    if not counts[where - 1]:
        del counts[where - 1]
