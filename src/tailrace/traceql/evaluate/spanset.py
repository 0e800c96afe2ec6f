"""What an evaluated query gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from tailrace.model.search import Value


class Spanset(Struct):
    """Spans of one trace that a query keeps together."""

    trace: int
    """Number of the trace in the block."""
    spans: Sequence[int]
    """Numbers in the block, ascending, each once, never empty."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """What ``by()`` and the aggregates say of it, by what was written; nil is left out."""
