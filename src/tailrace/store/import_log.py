"""What imports of event files remember, and the events they bring."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tailrace.events.attempts import StreamChanges
from tailrace.events.imports import ImportedLine
from tailrace.store.adapter import FileAdapter
from tailrace.store.event_log import write_changes
from tailrace.store.writer import Writer

_KNOWN = "SELECT 1 FROM stream_import WHERE digest = ? AND source = ? AND offset = ?"
_THERE = "SELECT 1 FROM stream_event WHERE event_id = ?"
_REMEMBER = "INSERT INTO stream_import (digest, source, offset, seq, line) VALUES (?, ?, ?, ?, ?)"
_QUARANTINE = """SELECT source, offset, digest, line FROM stream_import
WHERE line IS NOT NULL AND (source = ?1 OR ?1 = '') ORDER BY source, offset"""


class SqliteImportLog(FileAdapter):
    """Where imports leave their events: each piece of a file once, in the commit of its event.

    Concurrency: any number of processes may import the same file at once.
    """

    def take(self, source: str, lines: Sequence[ImportedLine]) -> list[bool]:
        """Write what is new, in one commit, and return for each line whether it was.

        Raises:
            StoreError: nothing was written.
        """
        lasting = any(line.letter is not None for line in lines)
        return self._file.write(
            lambda writer: [_take(writer, source, line) for line in lines], lasting=lasting
        )

    def known(self, source: str, lines: Sequence[ImportedLine]) -> list[bool]:
        """Return for each line whether it has been taken before; without a file none has.

        Raises:
            StoreError: the file cannot be read.
        """
        if not self._file.path.is_file():
            return [False] * len(lines)
        with self._file.reading() as db:
            return [_is_known(db, source, line) for line in lines]

    def quarantine(self, source: str = "") -> list[ImportedLine]:
        """Return what no event could be made of, by file and offset; of one file, or of all."""
        with self._file.reading() as db:
            rows = db.execute(_QUARANTINE, (source,)).fetchall()
        return [
            ImportedLine(offset=offset, digest=digest, line=line, reason=file)
            for file, offset, digest, line in rows
        ]


def _is_known(db: sqlite3.Connection, source: str, line: ImportedLine) -> bool:
    if db.execute(_KNOWN, (line.digest, source, line.offset)).fetchone() is not None:
        return True
    event = line.event
    return event is not None and db.execute(_THERE, (event.event_id,)).fetchone() is not None


def _take(writer: Writer, source: str, line: ImportedLine) -> bool:
    if _is_known(writer.db, source, line):
        return False
    seq = None
    if line.event is not None:
        changes = StreamChanges(
            events=(line.event,),
            failures=() if line.failure is None else (line.failure,),
            letters=() if line.letter is None else (line.letter,),
        )
        seq = write_changes(writer, changes)[0].seq
    kept = None if line.event is not None else line.line
    values = (line.digest, source, line.offset, seq, kept)
    writer.db.execute(_REMEMBER, values)
    return True
