"""Where the rows of one run stand: each kind in one contiguous range of keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tailrace.model.states import SpanStatus

NUMBER = (1 << 28) - 1
"""Mask of the span's, event's or checkpoint's number within its key."""
STATUS = (SpanStatus.UNSET, SpanStatus.OK, SpanStatus.ERROR)
"""Span statuses by the number that stands for them in the file (OpenTelemetry's)."""


def span_range(no: int) -> tuple[int, int]:
    """Return the first and last key of a run's spans, events and checkpoints."""
    return no << 28, ((no + 1) << 28) - 1


def journal_range(no: int) -> tuple[int, int]:
    """Return the first and last key of a run's journal."""
    return no << 32, ((no + 1) << 32) - 1


def consecutive(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of numbers that follow each other without a gap, ascending."""
    first = last = None
    for number in sorted(numbers):
        if first is None or last is None:
            first = last = number
        elif number > last + 1:
            yield first, last
            first = last = number
        else:
            last = number
    if first is not None and last is not None:
        yield first, last
