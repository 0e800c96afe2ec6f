"""In which step, and on which side of a comparison, each span of a block stands."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import compress, groupby
from operator import add

from tailrace.traceql.block import Block, Values
from tailrace.traceql.codes import Codes, codes_if_again, codes_of
from tailrace.traceql.measure.columns import expanded
from tailrace.traceql.measure.steps import OUTSIDE as NO_STEP
from tailrace.traceql.measure.steps import Runs

Where = int
"""Twice the number of a step, plus one for the selection."""
OUTSIDE: Where = -1
"""Of a span that does not count."""
Counts = dict[Where, int]
"""How many spans stand at each place."""
_SPANS_PER_RUN = 8


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
        self._is_whole = isinstance(base, range) and len(base) == block.size
        self.where: list[Where] = []
        """Of each span."""
        if self._is_whole:
            for step, count in runs.lengths():
                self.where += [OUTSIDE if step == NO_STEP else 2 * step] * count
            self._runs = [
                (OUTSIDE if step == NO_STEP else 2 * step, end) for step, end in runs.ends()
            ]
        else:
            steps = runs.of_span
            self.where = [OUTSIDE] * block.size
            for span in base:
                if steps[span] != NO_STEP:
                    self.where[span] = 2 * steps[span]
            self._runs = _run_lengths(self.where)
        self._chosen = [span for span in dict.fromkeys(selection) if self.where[span] != OUTSIDE]
        for span in self._chosen:
            self.where[span] |= 1

    @property
    def is_empty(self) -> bool:
        """Whether no span counts."""
        return all(where == OUTSIDE for where, _ in self._runs)

    @cached_property
    def everywhere(self) -> Counts:
        """How many spans stand at each place."""
        counts: Counts = {}
        last = 0
        for where, end in self._runs:
            if where != OUTSIDE:
                counts[where] = counts.get(where, 0) + end - last
            last = end
        for where, spans in Counter(self._chosen_places).items():
            _move(counts, where, spans)
        return counts

    @cached_property
    def _chosen_places(self) -> list[Where]:
        return list(map(self.where.__getitem__, self._chosen))

    @cached_property
    def _scaled(self) -> list[int]:
        """The places, so far from each other that the number of any value can be added."""
        most, last = self._block.size + 1, 0
        scaled: list[int] = []
        for where, end in self._runs:
            scaled += [where * most] * (end - last)
            last = end
        for span, where in zip(self._chosen, self._chosen_places, strict=True):
            scaled[span] = where * most
        return scaled

    def of_all(self, values: Values) -> Counts:
        """Return how many spans that have any value stand at each place."""
        if len(values.rows) == self._block.size:
            return self.everywhere
        if len(values.rows) * 3 < self._block.size:
            counts = Counter(map(self.where.__getitem__, values.rows))
        else:
            counts = Counter(compress(self.where, codes_of(self._block, values)))
        counts.pop(OUTSIDE, None)
        return counts

    def of_chosen(self, values: Values) -> Iterator[tuple[int, Counts]]:
        """Yield the values that spans of the selection have, by their numbers, ascending."""
        found: defaultdict[int, Counts] = defaultdict(dict)
        for (code, where), spans in self._chosen_by_code(codes_of(self._block, values)).items():
            found[code - 1][where] = spans
        found.pop(-1, None)
        yield from sorted(found.items())

    def _chosen_by_code(self, codes: Codes) -> Mapping[tuple[int, Where], int]:
        found = map(codes.__getitem__, self._chosen)
        return Counter(zip(found, self._chosen_places, strict=True))

    def of_each(self, values: Values) -> Iterator[tuple[int, Counts]]:
        """Yield where the spans of each value stand, by the number of the value, ascending."""
        rows, offsets = values.rows, values.offsets
        if len(rows) < _SPANS_PER_RUN * len(self._runs) * len(values.values):
            yield from self._one_by_one(values)
            return
        if len(values.values) == 1 and len(rows) == self._block.size:
            yield 0, self.everywhere.copy()
            return
        counted = {
            number: self._stepwise(rows, offsets[number], offsets[number + 1])
            for number in range(len(values.values))
        }
        if self._chosen:
            self._move_chosen(values, counted)
        yield from counted.items()

    def _move_chosen(self, values: Values, counted: Mapping[int, Counts]) -> None:
        codes = codes_if_again(self._block, values)
        if codes is not None:
            for (code, where), spans in self._chosen_by_code(codes).items():
                if code:
                    _move(counted[code - 1], where, spans)
            return
        chosen, offsets = frozenset(self._chosen), values.offsets
        for number, counts in counted.items():
            found = chosen.intersection(values.rows[offsets[number] : offsets[number + 1]])
            for where, spans in Counter(map(self.where.__getitem__, found)).items():
                _move(counts, where, spans)

    def _stepwise(self, rows: Sequence[int], low: int, high: int) -> Counts:
        """Count ascending rows as if none were of the selection."""
        counts: Counts = {}
        for where, end in self._runs:
            at = bisect_left(rows, end, low, high)
            if at > low:
                if where != OUTSIDE:
                    counts[where] = counts.get(where, 0) + at - low
                low = at
                if low == high:
                    break
        return counts

    def _one_by_one(self, values: Values) -> Iterator[tuple[int, Counts]]:
        rows, most = values.rows, self._block.size + 1
        found: defaultdict[int, Counts] = defaultdict(dict)
        if len(rows) * 3 < self._block.size:
            numbers = expanded(range(1, len(values.values) + 1), values.offsets)
            counted = Counter(map(add, map(self._scaled.__getitem__, rows), numbers))
        else:
            counted = Counter(map(add, self._scaled, codes_of(self._block, values)))
        for told, spans in counted.items():
            where, code = divmod(told, most)
            if where >= 0 and code:
                found[code - 1][where] = spans
        yield from sorted(found.items())


def _move(counts: Counts, where: Where, spans: int) -> None:
    """Count some spans in the selection, which counted in the baseline."""
    counts[where] = spans
    counts[where - 1] -= spans
    if not counts[where - 1]:
        del counts[where - 1]


def _run_lengths(places: Sequence[Where]) -> list[tuple[Where, int]]:
    """Return where ranges of spans at one place end."""
    runs: list[tuple[Where, int]] = []
    end = 0
    for where, some in groupby(places):
        end += len(list(some))
        runs.append((where, end))
    return runs
