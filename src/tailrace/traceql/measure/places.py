"""In which steps the spans of a block stand: all that count, and those of a selection."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain, compress, repeat
from operator import add, sub

from tailrace.traceql.block import Block, Values
from tailrace.traceql.codes import codes_if_asked_often, present
from tailrace.traceql.measure.chosen import Chosen, marked
from tailrace.traceql.measure.columns import expanded
from tailrace.traceql.measure.roots import Root, roots_of
from tailrace.traceql.measure.steps import OUTSIDE, Runs
from tailrace.traceql.tree import IntrinsicName

Spread = tuple[Sequence[int], Sequence[int]]
"""Steps, some perhaps several times, and how many spans stand in each."""
Where = Callable[[], Spread]
"""Finds out where spans stand, when that is to be told."""
Selected = tuple[Sequence[int], Sequence[int]]
"""Numbers of values, ascending, and the step of a span of the selection that has it."""
_SPANS_PER_RUN = 4


class _Ends:
    """Where the runs of a block end; holds nothing of the block, as it may outlive it."""

    def __init__(self, runs: Runs) -> None:
        pairs = list(runs.ends())
        self.steps = [step for step, _ in pairs]
        self.ends = [end for _, end in pairs]
        self.is_inside = [step != OUTSIDE for step in self.steps]
        self.inside = list(compress(self.steps, self.is_inside))
        self.all_inside = all(self.is_inside)

    def up_to(self, before: Iterable[int], low: int = 0) -> Spread:
        """Return where spans stand of which there are so many up to the end of each run.

        Args:
            before: how many up to each end, ``low`` more than there are.
            low: where counting begins.
        """
        ends = list(before)
        spans = map(sub, ends, [low, *ends[:-1]])
        return self.inside, [*compress(spans, self.is_inside)]

    def of_root(self, root: Root, traces: Sequence[tuple[int, int]]) -> Spread:
        """Return where the spans of traces stand; ``traces`` are those in which the runs end."""
        return self.up_to(root.before(*end) for end in traces)

    def between(self, rows: Sequence[int], flags: bytes | None, low: int, high: int) -> Spread:
        """Return where the spans of a part of ascending rows stand."""
        ends = map(bisect_left, repeat(rows), self.ends, repeat(low), repeat(high))
        if flags is None:
            return self.up_to(ends, low)
        cuts = [low, *ends]
        spans = map(flags.count, repeat(1), cuts, cuts[1:])
        return self.inside, [*compress(spans, self.is_inside)]


class Places:
    """The steps of the spans of a block.

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
        self._runs = runs
        self._ends = _Ends(runs)
        self._base: bytearray | None = None
        """For each span whether it counts, wherever it stands; None: all do."""
        if not (isinstance(base, range) and len(base) == block.size):
            self._base = bytearray(block.size)
            for span in base:
                self._base[span] = 1
            selection = list(filter(self._base.__getitem__, selection))
        chosen = list(dict.fromkeys(selection))
        steps = self._steps_of(chosen)
        inside = [step != OUTSIDE for step in steps]
        self._chosen = list(compress(chosen, inside))
        self._chosen_steps = list(compress(steps, inside))
        self._chosen_set = frozenset(self._chosen)
        self._found = Chosen(self._chosen, block.size)

    @property
    def is_empty(self) -> bool:
        """Whether no span counts."""
        return not any(self.everywhere[1])

    @cached_property
    def everywhere(self) -> Spread:
        """Where all spans stand that count."""
        return self._ends.up_to(self._ends.ends if self._base is None else self._marked(self._base))

    @property
    def selected(self) -> Sequence[int]:
        """The step of each span of the selection that counts."""
        return self._chosen_steps

    def _steps_of(self, spans: Iterable[int]) -> list[int]:
        found = map(bisect_right, repeat(self._ends.ends), spans)
        return list(map(self._ends.steps.__getitem__, found))

    def _marked(self, marks: bytes | bytearray) -> Iterator[int]:
        """Yield how many marks there are up to the end of each run."""
        last = total = 0
        for end in self._ends.ends:
            total += marks.count(1, last, end)
            last = end
            yield total

    def of_all(self, values: Values) -> Spread:
        """Return where spans that have any value stand."""
        if len(values.rows) == self._block.size:
            return self.everywhere
        marks: bytes | bytearray = present(self._block, values)
        if self._base is not None:
            both = int.from_bytes(marks, "little") & int.from_bytes(self._base, "little")
            marks = both.to_bytes(len(marks), "little")
        return self._ends.up_to(self._marked(marks))

    def of_spans(self, spans: Iterable[int]) -> tuple[Spread, Sequence[int]]:
        """Return where some spans stand, and the step of each of the selection among them."""
        base = self._base
        known = list(spans) if base is None else list(filter(base.__getitem__, spans))
        steps = self._steps_of(known)
        selected = compress(steps, map(self._chosen_set.__contains__, known))
        counts = Counter(step for step in steps if step != OUTSIDE)
        return (tuple(counts), tuple(counts.values())), list(selected)

    def of_chosen(self, values: Values) -> Selected:
        """Return the values that spans of the selection have."""
        if not self._chosen:
            return (), ()
        rows, offsets = values.rows, values.offsets
        count = len(values.values)
        if count == 1 and len(rows) == self._block.size:
            return [0] * len(self._chosen), self._chosen_steps
        codes = codes_if_asked_often(self._block, values)
        if codes is not None:
            found = map(codes.__getitem__, self._chosen)
            pairs = sorted(zip(found, self._chosen_steps, strict=True))
            return [code - 1 for code, _ in pairs if code], [step for code, step in pairs if code]
        places = self._found.among(rows)
        steps = self._steps_of(map(rows.__getitem__, places))
        if count == len(rows):
            return places, steps
        return [bisect_right(offsets, place) - 1 for place in places], steps

    def of_traces(
        self, name: IntrinsicName
    ) -> tuple[Sequence[str], Iterator[tuple[str, int, Where]]]:
        """Return a text of the trace of each span of the selection, and how many have each text.

        Args:
            name: ROOT_NAME or ROOT_SERVICE_NAME, of which the texts are.
        """
        texts, roots = roots_of(self._block, name, self._lengths)
        traces = map(bisect_right, repeat(self._block.firsts), self._chosen)
        return [texts[trace - 1] for trace in traces], self._of_roots(roots)

    def _of_roots(self, roots: Mapping[str, Root]) -> Iterator[tuple[str, int, Where]]:
        for text, root in roots.items():
            where = partial(self._ends.of_root, root, self._run_ends)
            yield text, root.spans if self._ends.all_inside else sum(where()[1]), where

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
        for end in self._ends.ends:
            trace = bisect_right(firsts, end - 1) - 1
            first = firsts[trace]
            inside = end - first if self._base is None else self._base.count(1, first, end)
            found.append((trace, inside))
        return found

    def of_each(self, values: Values) -> Iterator[tuple[int, int, Where]]:
        """Yield how many spans have each value, by its number, ascending, and where they stand."""
        rows, offsets = values.rows, values.offsets
        flags = None if self._base is None else marked(rows, self._base)
        if len(rows) < _SPANS_PER_RUN * len(self._ends.ends) * len(values.values):
            yield from self._one_by_one(values, flags)
            return
        for number in range(len(values.values)):
            low, high = offsets[number], offsets[number + 1]
            where = partial(self._ends.between, rows, flags, low, high)
            if not self._ends.all_inside:
                spread = where()
                yield number, sum(spread[1]), partial(_known, spread)
            elif flags is None:
                yield number, high - low, where
            else:
                yield number, flags.count(1, low, high), where

    def _one_by_one(self, values: Values, flags: bytes | None) -> Iterator[tuple[int, int, Where]]:
        rows: Iterable[int] = values.rows
        numbers = expanded(range(len(values.values)), values.offsets)
        if flags is not None:
            rows, numbers = compress(rows, flags), compress(numbers, flags)
        most = self._block.size + 1
        # So far from each other that the number of any value can be added.
        scaled = list(map(most.__mul__, self._runs.of_span))
        counted = Counter(map(add, map(scaled.__getitem__, rows), numbers))
        found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for told, spans in counted.items():
            step, number = divmod(told, most)
            if step >= 0:
                found[number].append((step, spans))
        for number in sorted(found):
            steps, counts = zip(*found[number], strict=True)
            yield number, sum(counts), partial(_known, (steps, counts))


def _known(spread: Spread) -> Spread:
    return spread


def less(spread: Spread, without: Iterable[Spread]) -> Spread:
    """Return what is left of a spread without others that are parts of it."""
    left: defaultdict[int, int] = defaultdict(int)
    for step, spans in zip(*spread, strict=True):
        left[step] += spans
    for step, spans in chain.from_iterable(zip(*other, strict=True) for other in without):
        left[step] -= spans
    return (*left,), (*left.values(),)
