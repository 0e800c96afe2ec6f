"""Which traces of a block have the same text, as the name of their root."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from operator import sub
from typing import NamedTuple, cast
from weakref import WeakKeyDictionary

from tailrace.traceql.block import Block
from tailrace.traceql.tree import IntrinsicName


class _Known(NamedTuple):
    texts: Sequence[str]
    by_text: Mapping[str, Sequence[int]]
    roots: Mapping[str, Root]


class Root:
    """Traces with one text.

    Args:
        traces: their numbers, ascending.
        lengths: for each trace of the block how many spans of it count.
    """

    def __init__(self, traces: Sequence[int], lengths: Sequence[int]) -> None:
        self._traces = traces
        self._ends = array("I", accumulate(map(lengths.__getitem__, traces), initial=0))

    @property
    def spans(self) -> int:
        """How many spans these have."""
        return self._ends[-1]

    def before(self, trace: int, inside: int) -> int:
        """Return how many spans these have before a trace, and ``inside`` spans of it."""
        at = bisect_left(self._traces, trace)
        is_own = at < len(self._traces) and self._traces[at] == trace
        return self._ends[at] + (inside if is_own else 0)


def roots_of(
    block: Block, name: IntrinsicName, lengths: Sequence[int] | None = None
) -> tuple[Sequence[str], Mapping[str, Root]]:
    """Return a text of each trace, and the traces with each.

    Args:
        block: the traces.
        name: ROOT_NAME or ROOT_SERVICE_NAME.
        lengths: how many spans of each trace count; None: all.
    """
    known = _KNOWN.setdefault(block, {})
    if name not in known:
        texts = cast("Sequence[str]", block.of_traces(name))
        traces: defaultdict[str, array[int]] = defaultdict(partial(array, "I"))
        deque(map(array.append, map(traces.__getitem__, texts), range(len(texts))), maxlen=0)
        ends = [*block.firsts[1:], block.size]
        known[name] = _Known(texts, traces, _roots(traces, list(map(sub, ends, block.firsts))))
    found = known[name]
    return found.texts, found.roots if lengths is None else _roots(found.by_text, lengths)


def _roots(by_text: Mapping[str, Sequence[int]], lengths: Sequence[int]) -> Mapping[str, Root]:
    return {text: Root(traces, lengths) for text, traces in by_text.items()}


_KNOWN: WeakKeyDictionary[Block, dict[IntrinsicName, _Known]] = WeakKeyDictionary()
"""Of blocks that live on, for the next query; some bytes for each trace."""
