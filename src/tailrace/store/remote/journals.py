"""Journals of runs that are executed elsewhere, projected into the tables of all runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from tailrace.codecs import FILE
from tailrace.model.journal import (
    AnyRecord,
    NodeFinished,
    NodeReused,
    RunFinished,
    RunStarted,
)
from tailrace.model.states import RunStatus
from tailrace.store.blobs import LARGE, blob_folder, store_blob
from tailrace.store.liveness import REMOTE
from tailrace.store.load import load_projection
from tailrace.store.remote.failing import tell_of_failure, worker_of, write_failures
from tailrace.store.remote.pieces import Piece
from tailrace.store.remote.settling import settling, was_queued
from tailrace.store.remote.whole import WholeRuns
from tailrace.store.save import insert_plan, insert_run, write_changes
from tailrace.store.writer import Writer
from tailrace.tracing.projection import Projection
from tailrace.tracing.shape_pool import ShapePool
from tailrace.tracing.wire import decode

_KNOWN = """SELECT run_id, no, "end" IS NOT NULL, batches, writer FROM run
WHERE run_id IN (SELECT value FROM json_each(?))"""
_OPEN_RUNS = 1_000
"""Projections of runs that go on, kept in memory."""
_HIGHEST = "SELECT coalesce(max(id), 0) FROM span WHERE id BETWEEN ? << 28 AND (? + 1 << 28) - 1"
_QUEUED = "SELECT 1 FROM span WHERE id = ? << 28 | 2 AND parent = 1 AND name IN ('accept', 'queue')"
_NUMBER = (1 << 28) - 1
_STORING = (NodeFinished, NodeReused)
_NEW = (0, 0, 0, "")
_json = msgspec.json.Encoder().encode

_Failing = tuple[int, Sequence[AnyRecord]]


class Journals:
    """Projects batches of journals, each once, in the order of their numbers.

    Used inside the writer's transactions. A batch that comes again changes nothing.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open: OrderedDict[int, Projection] = OrderedDict()
        self._shapes = ShapePool()
        self._whole = WholeRuns(writer, self._shapes)

    def forget(self) -> None:
        """Drop what is ahead of the file: a transaction was rolled back."""
        self._whole.forget()
        self._open.clear()

    def apply(self, pieces: Sequence[Piece]) -> list[str]:
        """Write what is new; return the runs of which batches are missing in between."""
        missing: list[str] = []
        failing: list[_Failing] = []
        names = _json([piece.run_id for piece in pieces]).decode()
        rows = self._writer.db.execute(_KNOWN, (names,))
        known = {run_id: rest for run_id, *rest in rows}
        for piece in pieces:
            no, over, written, token = known.get(piece.run_id, _NEW)
            if over:
                continue
            numbers = _following(piece, written)
            if numbers is None:
                missing.append(piece.run_id)
                continue
            records: list[AnyRecord] = []
            for number in numbers:
                records += _records(piece.batches[number])
            last = numbers[-1] if numbers else written
            if not no and not _begins(records):
                continue
            if any(len(piece.batches[number]) > LARGE for number in numbers):
                self._put_in_files(records)
            if no:
                self._go_on(no, piece, records, last, token.removeprefix(REMOTE))
            elif piece.ended is None:
                self._begin(records, last)
            else:
                self._add(piece, records, last, failing)
        self._whole.write()
        for number, told in failing:
            write_failures(self._writer, number, told, before="", is_new=True)
        return missing

    def _add(
        self, piece: Piece, records: list[AnyRecord], last: int, failing: list[_Failing]
    ) -> None:
        if self._whole.add_brief(records, piece, batches=last):
            return
        projection = Projection(self._shapes)
        projection.apply(records)
        rest = _end(projection, piece)
        if not rest and was_queued(records):
            rest = settling(projection, piece, projection.highest)
        records += rest
        no = self._whole.add(projection, records, batches=last)
        if tell_of_failure(records):
            failing.append((no, records))

    def _begin(self, records: list[AnyRecord], last: int) -> None:
        writer, projection = self._writer, Projection(self._shapes)
        projection.apply(records)
        started = next(record for record in records if isinstance(record, RunStarted))
        if projection.run is None:
            return
        version = writer.versions.id(started.code_version)
        token = REMOTE + worker_of(records)
        no = insert_run(writer.db, projection.run, started, version=version, writer=token)
        if version is not None and started.fingerprints:
            insert_plan(writer.db, no, started.fingerprints)
        self._save(no, projection, records, last, before="", is_new=True)

    def _go_on(
        self, no: int, piece: Piece, records: list[AnyRecord], last: int, before: str
    ) -> None:
        projection = self._open.pop(no, None)
        if projection is None:
            projection = load_projection(self._writer.db, no)
        if projection is None:
            return
        projection.apply(records)
        if piece.ended is not None:
            rest = _end(projection, piece)
            if not rest and self._writer.db.execute(_QUEUED, (no,)).fetchone() is not None:
                highest = self._writer.db.execute(_HIGHEST, (no, no)).fetchone()[0] & _NUMBER
                rest = settling(projection, piece, max(projection.highest, highest + 1))
            records += rest
        if records:
            self._save(no, projection, records, last, before=before, is_new=False)
        else:
            self._open[no] = projection

    def _save(
        self,
        no: int,
        projection: Projection,
        records: Sequence[AnyRecord],
        last: int,
        *,
        before: str,
        is_new: bool,
    ) -> None:
        writer, run = self._writer, projection.run
        assert run is not None  # noqa: S101 - it has begun
        write_changes(writer.db, writer.shapes, no, run, projection.drain())
        token = REMOTE + worker_of(records, before)
        writer.db.execute("UPDATE run SET batches = ?, writer = ? WHERE no = ?", (last, token, no))
        write_failures(writer, no, records, before=before, is_new=is_new)
        if run.end is None:
            self._open[no] = projection
            if len(self._open) > _OPEN_RUNS:
                self._open.popitem(last=False)

    def _put_in_files(self, records: list[AnyRecord]) -> None:
        """Put references in place of outputs that are too large for rows."""
        for index, record in enumerate(records):
            if isinstance(record, _STORING) and len(record.output or b"") > LARGE:
                folder = blob_folder(self._writer.path)
                body = store_blob(folder, record.output or b"", lasting=False)
                records[index] = replace(record, output=body, codec=FILE + record.codec)


def _following(piece: Piece, written: int) -> list[int] | None:
    """Return the numbers of batches to write; None: some before them are missing."""
    ended = piece.ended
    if not written and ended is not None and piece.is_complete:
        return sorted(piece.batches)  # so are nearly all
    new = sorted(number for number in piece.batches if number > written)
    if piece.is_whole:
        return new
    known = ended.batches if ended is not None else 0
    expected = max(new[-1] if new else written, known)
    if expected - written != len(new):
        return None
    return new


def _begins(records: Sequence[AnyRecord]) -> bool:
    """Whether records begin a run: mostly with the first of them."""
    if records and records[0].__class__ is RunStarted:
        return True
    return any(record.__class__ is RunStarted for record in records)


def _records(body: bytes) -> list[AnyRecord]:
    """Return the records of a batch; none where it is damaged, which loses it."""
    try:
        return decode(body)
    except msgspec.DecodeError:
        return []


def _end(projection: Projection, piece: Piece) -> list[AnyRecord]:
    """End a run whose state is terminal though no record says so, and return the record."""
    run, state = projection.run, piece.ended
    if run is None or run.end is not None or state is None:
        return []
    end = RunFinished(
        max(projection.latest, piece.at * 1000),
        RunStatus(state.status),
        failed_node=state.failed_node,
        reason=state.error or "",
    )
    projection.apply([end])
    return [end]
