"""The write side of an index of runs that are executed elsewhere."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from tailrace.errors import StoreError
from tailrace.model.decision import GroupDecision
from tailrace.store.decisions import put_decisions
from tailrace.store.foreign import ForeignWriter, Intake
from tailrace.store.foreign.convert import Traces
from tailrace.store.foreign.from_otlp import ExportReader
from tailrace.store.foreign.writer import CHUNK
from tailrace.store.liveness import REMOTE
from tailrace.store.remote.claim import Claim
from tailrace.store.remote.journals import Journals
from tailrace.store.remote.letters import (
    LetterMessage,
    letter_sequences,
    remove_letters,
    write_letters,
)
from tailrace.store.remote.listed import PENDING, TERMINAL
from tailrace.store.remote.messages import Message
from tailrace.store.remote.pieces import Piece, pieces_of
from tailrace.store.remote.positions import Position, read_position, write_position
from tailrace.store.remote.run_list import RunList
from tailrace.store.remote.wipe import wipe
from tailrace.store.sqlite import SqliteStore, shared_store
from tailrace.store.tenants import claim, drop_strangers
from tailrace.store.writer import Writer
from tailrace.tracing.otlp import Export, ReadReport

T = TypeVar("T")
_TERMINAL = msgspec.json.encode(sorted(TERMINAL)).decode()
_log = logging.getLogger(__name__)
_LOCAL = "SELECT run_id FROM run WHERE writer < ? OR writer >= ? LIMIT 1"
_OLD = """SELECT r.run_id FROM remote_run AS r WHERE r.updated < ? AND r.kind IN
(SELECT id FROM remote_kind WHERE status IN (SELECT value FROM json_each(?)) AND runs > 0)
ORDER BY r.seq LIMIT ?"""
_WAITING = """SELECT r.run_id, r.seq, k.tag, r.body FROM remote_run AS r
JOIN remote_kind AS k ON k.id = r.kind
WHERE k.status IN (?, 'CANCELLING') AND r.state = 0 AND r.updated < ? ORDER BY r.seq LIMIT ?"""


class RemoteWriter:
    """Takes in what the streams of NATS tell, many messages per commit.

    The file holds nothing else: it can be deleted, and is made anew. Every call may be repeated,
    and those of one stream cut anywhere: what is known changes nothing. Positions are committed
    with what they stand for.

    Concurrency: one thread at a time writes; readers are never blocked.

    Args:
        path: the file; made if it is missing.

    Raises:
        StoreError: it cannot be opened; TR522, it holds runs of this machine's own; TR523,
            another process writes it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self._claim = Claim(self.path)
        try:
            self._store: SqliteStore = shared_store(self.path)
            self._refuse_local()
        except BaseException:
            self._claim.release()
            raise
        self._writer: Writer | None = None
        self._list: RunList
        self._journals: Journals
        self._foreign = ForeignWriter(self.path)

    def _refuse_local(self) -> None:
        writer = self._store.writer
        with writer.lock:
            row = writer.db.execute(_LOCAL, (REMOTE, REMOTE + "\x7f")).fetchone()
        if row is not None:
            raise StoreError(
                f"{self.path} holds runs of this machine; the index of a gateway needs a file of "
                "its own",
                code="TR522",
                hint="name another file: the index is made from the streams",
                details={"path": str(self.path)},
            )

    def close(self) -> None:
        """Let the file go."""
        self._foreign.close()
        self._store.close()
        self._claim.release()

    def _write(self, action: Callable[[RunList, Journals], T]) -> T:
        def act(writer: Writer) -> T:
            if writer is not self._writer:
                self._writer = writer
                self._list, self._journals = RunList(writer.db), Journals(writer)
            return action(self._list, self._journals)

        try:
            return self._store.write(act)
        except BaseException:
            if self._writer is not None:
                self._list.kinds.forget()
                self._journals.forget()
            raise

    def position(self, stream: str) -> Position:
        """Return how far a stream has been followed."""
        writer = self._store.writer
        with writer.lock:
            return read_position(writer.db, stream)

    def apply(
        self,
        listed: Sequence[Message],
        traced: Sequence[Message],
        stream: str,
        position: Position,
    ) -> list[str]:
        """Take in messages of the stream of runs, in one commit.

        Args:
            listed: of which rows of lists are made.
            traced: whose journals are projected.
            stream: its name.
            position: how far it has been followed then.

        Returns:
            The runs whose journal lacks batches in between: read it whole, and ``mend``.

        Raises:
            StoreError: nothing was written.
        """
        pieces = pieces_of(traced)
        self._store.writer.tidy()
        try:
            return self._apply(listed, pieces, stream, position)
        except Exception as error:
            if not _is_about_content(error):
                raise
        missing = self._one_by_one(pieces)
        return missing + self._apply(listed, (), stream, position)

    def _apply(
        self,
        messages: Sequence[Message],
        pieces: Sequence[Piece],
        stream: str,
        position: Position,
    ) -> list[str]:
        def act(runs: RunList, journals: Journals) -> list[str]:
            runs.apply(messages)
            missing = journals.apply(pieces) if pieces else []
            write_position(self._store.writer.db, stream, position)
            return missing

        return self._write(act)

    def _one_by_one(self, pieces: Sequence[Piece]) -> list[str]:
        """Take in each journal by itself; one that makes no sense is left out, and nothing else."""
        missing: list[str] = []
        for piece in pieces:
            try:
                missing += self._write(lambda _, journals, one=piece: journals.apply([one]))  # type: ignore[misc]
            except Exception as error:
                if not _is_about_content(error):
                    raise
                _log.warning(
                    "the journal of a run makes no sense: its trace stays as it was",
                    extra={"run_id": piece.run_id, "error": str(error)},
                )
        return missing

    def mend(self, pieces: Sequence[Piece]) -> None:
        """Take in whole journals: what is missing in them is missing for good."""
        self._one_by_one(pieces)

    def remove(self, run_ids: Sequence[str]) -> None:
        """Delete runs, their traces included."""

        def act(runs: RunList, _: Journals) -> None:
            runs.remove(run_ids)
            rows = [(run_id,) for run_id in run_ids]
            db = self._store.writer.db
            db.executemany("DELETE FROM run WHERE run_id = ?", rows)
            db.executemany("DELETE FROM remote_cancel WHERE run_id = ?", rows)

        self._write(act)

    def expire(self, before: int, *, now: int, limit: int = 200) -> int:
        """Delete runs that ended before an instant, the oldest first, and return how many.

        Args:
            before: microseconds since the epoch, by the server's clock.
            now: likewise.
            limit: runs at most.
        """
        writer = self._store.writer
        with writer.lock:
            rows = writer.db.execute(_OLD, (before, _TERMINAL, limit)).fetchall()
        if rows:
            self.remove([run_id for (run_id,) in rows])
        self._write(lambda runs, _: runs.forget_wishes(now))
        return len(rows)

    def waiting(self, before: int, *, limit: int = 500) -> list[str]:
        """Return runs that have waited since before an instant (microseconds), the oldest first."""
        writer = self._store.writer
        with writer.lock:
            rows = writer.db.execute(_WAITING, (PENDING, before, limit)).fetchall()
        return [row[0] for row in rows]

    def take_letters(
        self, messages: Sequence[LetterMessage], stream: str, position: Position
    ) -> None:
        """Take in dead letters, in one commit."""

        def act(*_: object) -> None:
            db = self._store.writer.db
            write_letters(db, messages)
            write_position(db, stream, position)

        self._write(act)

    def letter_sequences(self) -> list[int]:
        """Return the numbers of the messages of the letters that are here."""
        writer = self._store.writer
        with writer.lock:
            return letter_sequences(writer.db)

    def remove_letters(self, sequences: Sequence[int]) -> None:
        """Delete letters whose messages are gone."""
        self._write(lambda *_: remove_letters(self._store.writer.db, sequences))

    def take_exports(
        self, exports: Iterable[Export], *, tenant: str = "", joins: bool = True
    ) -> Intake:
        """Take in spans from elsewhere, and say what became of them.

        Args:
            exports: as ``read_exports`` yields them; what of them cannot be read is left out.
            tenant: who has sent them; empty: nobody knows.
            joins: whether they may be added to the runs and traces of others; otherwise those of
                such traces are left out.
        """
        tally, rest = Intake(), iter(exports)
        while True:
            converter, traces, count = self._foreign.converter(), Traces(), 0
            reader = ExportReader(converter, ReadReport())
            while count < CHUNK and (export := next(rest, None)) is not None:
                with suppress(RecursionError):  # it is nested too deeply
                    count += reader.read(export, traces)
            tally.add(converter.tally)
            if not traces:
                if count < CHUNK:
                    return tally
                continue
            if tenant:
                ids = set(traces)
                for other in self._write(
                    lambda *_, ids=ids: claim(self._store.writer.db, tenant, ids, joins=joins)
                ):
                    del traces[other]
            tally.add(self._foreign.write_stored(traces))

    def drop_strangers(self) -> None:
        """Delete what was sent, before it was a run, under the id of another tenant's run."""
        self._write(lambda *_: drop_strangers(self._store.writer.db))

    def take_decisions(self, decisions: Sequence[tuple[int, GroupDecision]]) -> None:
        """Take in what people have decided about groups, with the numbers of the messages."""
        self._write(lambda *_: put_decisions(self._store.writer.db, decisions))

    def move(self, stream: str, position: Position) -> None:
        """Note how far a stream has been followed, apart from what it told."""
        self._write(lambda *_: write_position(self._store.writer.db, stream, position))

    def wipe(self) -> None:
        """Delete everything: a stream is not the one it was made from."""

        def act(runs: RunList, journals: Journals) -> None:
            wipe(self._store.writer)
            runs.kinds.forget()
            journals.forget()

        self._write(act)
        self._foreign.close()
        self._foreign = ForeignWriter(self.path)


def _is_about_content(error: Exception) -> bool:
    """Whether what was written is at fault, rather than the file or the disk."""
    if isinstance(error, StoreError):
        return isinstance(
            error.__cause__, sqlite3.IntegrityError | msgspec.MsgspecError | ValueError
        )
    return True
