"""The steps of time that metrics are told for."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, repeat
from operator import le, sub

from tailrace.errors import QueryError
from tailrace.traceql.block import Block
from tailrace.traceql.numerals import write_duration

MAX_STEPS = 11_000
"""Points of one series."""
_MS = 1_000_000
_SECOND = 1000 * _MS
_GRIDS = (3600 * _SECOND, 300 * _SECOND, 60 * _SECOND, 15 * _SECOND, 5 * _SECOND, _SECOND)
_WANTED = 240
_SHORT = 60 * _SECOND
_SHORT_GRID = 50 * _MS
OUTSIDE = -1
"""Instead of a step: of a span that begins outside of all."""
_SPANS_PER_TRACE = 4
_SPANS_PER_RUN = 8


def default_step(start_ns: int, end_ns: int) -> int:
    """Return the step in ns that tells a range in about 240 points, on a round number."""
    span = end_ns - start_ns
    wanted = span // _WANTED
    if span < _SHORT:
        return max(wanted // _SHORT_GRID, 1) * _SHORT_GRID
    grid = next((grid for grid in _GRIDS if wanted >= grid), _SECOND)
    return max(wanted // grid, 1) * grid


class Runs:
    """The steps of a block's spans, as ranges of spans that begin in the same step."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._steps: list[int] = []
        self._dense: list[int] | None = None

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, step: int, end: int) -> None:
        """Add the spans from the last end up to this one."""
        if self._steps and self._steps[-1] == step:
            self._ends[-1] = end
        else:
            self._steps.append(step)
            self._ends.append(end)

    def ends(self) -> Iterator[tuple[int, int]]:
        """Yield the step of each range, or OUTSIDE, and the span after its last one."""
        return zip(self._steps, self._ends, strict=True)

    def lengths(self) -> Iterator[tuple[int, int]]:
        """Yield the step of each range, or OUTSIDE, and how many spans it has."""
        return zip(self._steps, map(sub, self._ends, chain((0,), self._ends)), strict=True)

    @property
    def of_span(self) -> list[int]:
        """The step of each span, or OUTSIDE."""
        if self._dense is None:
            self._dense = list(chain.from_iterable(repeat(*one) for one in self.lengths()))
        return self._dense

    def split(self, spans: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield ascending spans by step; a step may come several times, those outside never."""
        ends, steps = self._ends, self._steps
        if len(spans) < _SPANS_PER_RUN * len(ends):
            yield from self._collect(spans)
            return
        place = 0
        while place < len(spans):
            run = bisect_right(ends, spans[place])
            stop = bisect_left(spans, ends[run], place)
            if steps[run] != OUTSIDE:
                yield steps[run], spans[place:stop]
            place = stop

    def _collect(self, spans: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
        of_span = self.of_span
        if len(spans) == 1:
            (span,) = spans
            if of_span[span] != OUTSIDE:
                yield of_span[span], spans
            return
        found: defaultdict[int, list[int]] = defaultdict(list)
        for span in spans:
            found[of_span[span]].append(span)
        found.pop(OUTSIDE, None)
        yield from found.items()


class Steps:
    """Steps of equal length, each open at its start, closed at its end and stamped with its end.

    Args:
        start_ns: the range asked for, ns since the epoch. It is widened to whole steps, and one
            step more before its start.
        end_ns: its end.
        step_ns: length of a step; None: as ``default_step`` finds it.
        instant: one step over the range just as it is, whatever ``step_ns`` says.

    Raises:
        QueryError: the range is empty, the step is not positive, or there are too many steps.
    """

    def __init__(self, start_ns: int, end_ns: int, step_ns: int | None, *, instant: bool) -> None:
        if end_ns <= start_ns:
            hint = "Begin the range before its end."
            raise QueryError("the range of the metrics is empty", code="TR219", hint=hint)
        if instant:
            self.base, self.step, self.count = start_ns, end_ns - start_ns, 1
            return
        step = default_step(start_ns, end_ns) if step_ns is None else step_ns
        if step <= 0:
            hint = "Write a duration such as 5m, or leave the step out."
            raise QueryError("a step must be longer than nothing", code="TR219", hint=hint)
        first, last = start_ns // step, -(-end_ns // step)
        self.base = (first - 1) * step
        self.step = step
        self.count = last - first + 1
        if self.count > MAX_STEPS:
            message = (
                f"a step of {write_duration(step)} gives {self.count:,} points; "
                f"at most {MAX_STEPS:,} are told"
            )
            least = write_duration(_least(end_ns - start_ns))
            hint = f"Take a step of {least} or more, or a shorter range."
            raise QueryError(message, code="TR219", hint=hint)

    @property
    def seconds(self) -> float:
        """How long a step is."""
        return self.step / _SECOND

    @property
    def end(self) -> int:
        """End of the last step, ns since the epoch."""
        return self.base + self.step * self.count

    @property
    def times(self) -> list[int]:
        """End of each step, ns since the epoch."""
        return [self.base + self.step * number for number in range(1, self.count + 1)]

    def runs(self, block: Block) -> Runs:
        """Return in which step each span of a block begins."""
        if block.size < _SPANS_PER_TRACE * len(block.firsts):
            return self._runs_of_spans(block)
        starts, firsts = block.starts, block.firsts
        ends = [*firsts[1:], block.size]
        first_starts = list(map(starts.__getitem__, firsts))
        last_starts = list(map(starts.__getitem__, map(sub, ends, repeat(1))))
        runs = Runs()
        trace, count = 0, len(firsts)
        is_ordered = all(map(le, first_starts, first_starts[1:]))
        while trace < count:
            number, limit = self._step_of(first_starts[trace])
            # Most traces begin and end in one step, and those of a step follow each other.
            stop = bisect_right(first_starts, limit, trace) if is_ordered else trace + 1
            for cut in [n for n in range(trace, stop) if last_starts[n] > limit]:
                if cut > trace:
                    runs.add(number, firsts[cut])
                self._cut(runs, starts, firsts[cut], ends[cut])
                trace = cut + 1
            if stop > trace:
                runs.add(number, ends[stop - 1])
            trace = stop
        return runs

    def _step_of(self, start: int) -> tuple[int, int]:
        """Return the step of a span, or OUTSIDE, and the last start that has the same."""
        number = (start - self.base - 1) // self.step
        if number >= self.count:
            return OUTSIDE, sys.maxsize
        number = max(number, OUTSIDE)
        return number, self.base + (number + 1) * self.step

    def _cut(self, runs: Runs, starts: Sequence[int], first: int, end: int) -> None:
        """Add the spans of a trace that begins in one step and ends in another."""
        while first < end:
            number, limit = self._step_of(starts[first])
            stop = bisect_right(starts, limit, first, end)
            runs.add(number, stop)
            first = stop

    def _runs_of_spans(self, block: Block) -> Runs:
        offset, step, count = self.base + 1, self.step, self.count
        found = [(start - offset) // step for start in block.starts]
        runs = Runs()
        end = 0
        for number, spans in groupby(found):
            end += len(list(spans))
            runs.add(number if 0 <= number < count else OUTSIDE, end)
        return runs


def _least(span: int) -> int:
    """Return the shortest step on a whole number of seconds, ms or ns that is allowed."""
    # Rounding the range to steps may add three.
    least = -(-span // (MAX_STEPS - 3))
    for unit in (_SECOND, _MS):
        if least >= unit:
            return -(-least // unit) * unit
    return least
