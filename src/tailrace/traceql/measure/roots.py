"""Which traces of a block have the same text, as the name of their root."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import cast
from weakref import WeakKeyDictionary

from tailrace.traceql.block import Block
from tailrace.traceql.tree import IntrinsicName

_TRACES: WeakKeyDictionary[Block, dict[IntrinsicName, tuple[Sequence[str], dict[str, array[int]]]]]
_TRACES = WeakKeyDictionary()
"""Of blocks that live on, for the next query; a few bytes for each trace."""


class Root:
    """Traces with one text.

    Args:
        traces: their numbers, ascending.
        lengths: for each trace of the block how many spans of it count.
    """

    def __init__(self, traces: Sequence[int], lengths: Sequence[int]) -> None:
        self._traces = traces
        self._ends = [*accumulate(map(lengths.__getitem__, traces), initial=0)]

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
    known = _TRACES.setdefault(block, {})
    if name not in known:
        texts = cast("Sequence[str]", block.of_traces(name))
        by_text: defaultdict[str, array[int]] = defaultdict(partial(array, "I"))
        for trace, text in enumerate(texts):
            by_text[text].append(trace)
        known[name] = texts, by_text
    if lengths is None:
        ends = [*block.firsts[1:], block.size]
        lengths = [end - first for first, end in zip(block.firsts, ends, strict=True)]
    texts, traces = known[name]
    return texts, {text: Root(some, lengths) for text, some in traces.items()}
