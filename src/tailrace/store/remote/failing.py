"""Failures of runs that are executed elsewhere; their dead letters come by another stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from tailrace.failures.supervision import Escalation
from tailrace.model.failure import FailureSnapshot
from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    NodeFinished,
    RunContinued,
    RunFinished,
    RunStarted,
    ScopeFinished,
)
from tailrace.store.failure_row import SELECT, failure_of
from tailrace.store.failures import Suppressed
from tailrace.store.fallout import load_context
from tailrace.store.writer import Writer

_TELLING = frozenset({AttemptFailed, NodeFinished, ScopeFinished, RunFinished})
_NOBODY = "-"
_ON_THEIR_WAY = f"{SELECT} WHERE f.run = ? AND f.disposition = 'open' ORDER BY f.id"


def tell_of_failure(records: Iterable[AnyRecord]) -> bool:
    """Return whether any of the records holds a failure."""
    for record in records:
        kind: type = record.__class__
        if kind in _TELLING:
            if record.failure is not None:  # type: ignore[union-attr]
                return True
        elif kind is RunContinued and record.lost:  # type: ignore[union-attr]
            return True
    return False


def worker_of(records: Iterable[AnyRecord], before: str = "") -> str:
    """Return who writes the journal after these records; ``before`` is who did before them."""
    for record in records:
        if record.__class__ is RunStarted:
            before = str(record.attributes.get("worker.id", ""))
        elif record.__class__ is RunContinued:
            before = record.worker_id
    return before


def write_failures(
    writer: Writer, no: int, records: Sequence[AnyRecord], *, before: str, is_new: bool
) -> None:
    """Write what records tell of failures, inside the transaction that wrote the run's rows.

    Args:
        writer: the connection.
        no: number of the run.
        records: in order.
        before: who wrote the journal before them.
        is_new: no failure of the run is in the file yet.
    """
    known = [] if is_new else _on_their_way(writer, no)
    if not known and not tell_of_failure(records):
        return
    context = load_context(writer.db, no)
    for worker, some in _by_worker(records, before):
        around = ("root", f"worker:{worker}")
        told = Escalation(
            replace(context, worker_id=worker, host=worker or _NOBODY, parent=around), known
        )
        told.apply(some)
        moved = told.drain().moved
        if moved:
            kept = {one.failure_id for one in moved}
            writer.failures.write(moved, Suppressed(), kept=kept, run=no)
            known = _on_their_way(writer, no)


def _on_their_way(writer: Writer, no: int) -> list[FailureSnapshot]:
    return [failure_of(row) for row in writer.db.execute(_ON_THEIR_WAY, (no,))]


def _by_worker(
    records: Sequence[AnyRecord], before: str
) -> Iterator[tuple[str, Sequence[AnyRecord]]]:
    """Yield what each worker wrote; who goes on says first what the one before has lost."""
    worker, first = before, 0
    for index, record in enumerate(records):
        if record.__class__ is RunContinued:
            yield worker, records[first : index + 1]
            first = index + 1
        worker = worker_of((record,), worker)
    yield worker, records[first:]
