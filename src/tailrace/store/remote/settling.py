"""The time from the end of a run until its last state was stored: its journal cannot hold it."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.model.journal import AnyRecord, UserSpanFinished, UserSpanStarted
from tailrace.store.remote.pieces import Piece
from tailrace.tracing.projection import Projection

SETTLE = "settle"
"""Name of the span."""
_HEAD = 8
"""Records within which a journal says that its run was queued."""
_AGREED_NS = 60_000_000_000
"""How far the clocks of a worker and of the server may be apart to be used together."""


def was_queued(records: Sequence[AnyRecord]) -> bool:
    """Whether a worker took the run from a queue: its second span says so."""
    for record in records[:_HEAD]:
        kind: type = record.__class__
        if kind is UserSpanStarted and record.span == 2 and record.parent == 1:  # type: ignore[union-attr]
            return True
    return False


def settled_at(piece: Piece) -> int:
    """Return when the last state of a run that is over was stored, in nanoseconds."""
    stored = piece.at * 1000
    said = stored if piece.ended is None else int(piece.ended.updated_at * 1e9)
    return stored if abs(stored - said) < _AGREED_NS else said


def settling(projection: Projection, piece: Piece, highest: int) -> list[AnyRecord]:
    """Add the span to a projection, and return its records.

    Args:
        projection: of the run.
        piece: how it ended.
        highest: of the numbers that its spans have.
    """
    run = projection.run
    if run is None or run.end is None or piece.ended is None:
        return []
    number = highest + 1
    rest: list[AnyRecord] = [
        UserSpanStarted(number, 1, SETTLE, run.end, {}),
        UserSpanFinished(number, max(run.end, settled_at(piece)), {}),
    ]
    projection.apply(rest)
    return rest
