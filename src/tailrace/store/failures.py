"""Writing failures: a row for each, up to the flood limit, and all of them in their groups."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from tailrace.model.failure import Disposition, FailureSnapshot
from tailrace.model.letter import DeadLetter
from tailrace.store.failure_row import INSERT, UPDATE, Keys, encode_body, row_of
from tailrace.store.flood import Flood
from tailrace.store.groups import Bucket, Counted, GroupTable
from tailrace.store.interned import Interned, Text
from tailrace.store.letters import insert_letters
from tailrace.store.stacks import StackTable

_MOST_SUPPRESSED = 4_096
"""Failures without a row that are remembered, of each kind."""
_KNOWN = "SELECT failure_id, id, run FROM failure WHERE failure_id = ?"
_KNOWN_ONES = """SELECT failure_id, id, run FROM failure
WHERE failure_id IN (SELECT value FROM json_each(?))"""
_encode = msgspec.json.Encoder().encode

_Known = dict[str, tuple[int, int | None]]
"""Row ids of failures, and the number of the run in each row, by failure id."""
_Rows = dict[str, tuple[Any, ...]]
"""New rows by failure id, in the order in which they are inserted."""


class Suppressed:
    """Failures that were counted without a row, by id, in case they come again.

    Changes hold when the transaction that made them has committed. The oldest are forgotten:
    those on their way, of which a run has few, apart from those that have arrived.
    """

    def __init__(self) -> None:
        self._moving: dict[str, Bucket] = {}
        self._arrived: dict[str, Bucket] = {}
        self._new: dict[str, Bucket | None] = {}

    def get(self, failure_id: str) -> Bucket | None:
        """Return where the failure is counted; None when it has a row, or is not known."""
        if failure_id in self._new:
            return self._new[failure_id]
        return self._moving.get(failure_id) or self._arrived.get(failure_id)

    def put(self, failure_id: str, bucket: Bucket | None) -> None:
        """Note where the failure is counted now."""
        self._new[failure_id] = bucket

    def committed(self) -> None:
        """Keep what was noted."""
        for failure_id, bucket in self._new.items():
            self._moving.pop(failure_id, None)
            self._arrived.pop(failure_id, None)
            if bucket is not None:
                home = self._moving if bucket.disposition == Disposition.OPEN else self._arrived
                home[failure_id] = bucket
        self._new = {}
        for home in (self._moving, self._arrived):
            while len(home) > _MOST_SUPPRESSED:
                del home[next(iter(home))]

    def rolled_back(self) -> None:
        """Drop what was noted."""
        self._new = {}


class FailureTable:
    """Writes failures and their groups through one connection, inside its transactions."""

    def __init__(self, db: sqlite3.Connection, versions: Interned, flood: Flood) -> None:
        self.groups = GroupTable(db)
        self._db = db
        self._versions = versions
        self._flood = flood
        self._templates = Interned(db, Text.TEMPLATE)
        self._stacks = StackTable(db)
        self._suppressed = Suppressed()

    def committed(self) -> None:
        """Keep in mind what a transaction has written."""
        self._suppressed.committed()

    def forget(self) -> None:
        """Forget row ids: a transaction was rolled back."""
        self._suppressed.rolled_back()
        self.groups.forget()
        self._templates.forget()
        self._stacks.forget()

    def record(
        self,
        failures: Sequence[FailureSnapshot],
        letters: Sequence[DeadLetter] = (),
        *,
        kept: Container[str] = (),
    ) -> None:
        """Write failures from outside of runs and new letters, inside the caller's transaction.

        Those the letters are about, and those ``kept``, get a row whatever the flood limit.
        """
        kept = {letter.failure_id for letter in letters} or kept
        self.write(failures, self._suppressed, kept=kept)
        insert_letters(self._db, letters)

    def write(
        self,
        failures: Iterable[FailureSnapshot],
        suppressed: Suppressed,
        *,
        kept: Container[str] = (),
        run: int | None = None,
    ) -> None:
        """Write new failures and the new state of known ones.

        Args:
            failures: in the order in which they happened.
            suppressed: those counted without a row so far; those of now are added.
            kept: ids of failures that get a row whatever the flood limit.
            run: number of the run they belong to; None: it is looked up by their run's id.
        """
        failures = list(failures)
        known = self._known([failure.failure_id for failure in failures])
        rows: _Rows = {}
        counted: dict[int, list[Counted]] = {}
        buckets: Counter[Bucket] = Counter()
        for failure in failures:
            failure_id = failure.failure_id
            fingerprint = fingerprint_of(failure)
            group = self.groups.id(fingerprint, failure)
            before = suppressed.get(failure_id)
            if before is not None:
                self._moves(failure, before, buckets, suppressed, rows, kept=kept, run=run)
                continue
            if failure_id in rows:
                self._insert(rows)
                known |= self._known([failure_id])
            if failure_id in known:
                self._update(failure, *known[failure_id])
                continue
            version = self._versions.id(failure.code_version)
            passes = self._flood.passes(fingerprint, failure.captured_ns) or failure_id in kept
            if passes:
                rows[failure_id] = self._row(failure, group, version, run)
            else:
                bucket = Bucket.of(group, failure)
                buckets[bucket] += 1
                suppressed.put(failure_id, bucket)
            new = Counted(failure, version, not passes)
            counted.setdefault(group, []).append(new)
        self._insert(rows)
        for group, ones in counted.items():
            self.groups.count(group, ones)
        if buckets:
            self.groups.flood(buckets)

    def _known(self, failure_ids: Sequence[str]) -> _Known:
        """Return those of the failures that have a row."""
        if len(failure_ids) == 1:
            found = self._db.execute(_KNOWN, failure_ids)
        else:
            found = self._db.execute(_KNOWN_ONES, (_encode(failure_ids).decode(),))
        return {failure_id: (number, run) for failure_id, number, run in found}

    def _update(self, failure: FailureSnapshot, number: int, run: int | None) -> None:
        """Write the newer state of the failure that has the row with that number."""
        body = encode_body(failure, has_run=run is not None)
        values = (failure.disposition, failure.category, failure.class_, body, number)
        self._db.execute(UPDATE, values)

    def _insert(self, rows: _Rows) -> None:
        """Insert the rows, and take them out."""
        if rows:
            self._db.executemany(INSERT, rows.values())
            rows.clear()

    def _row(
        self, failure: FailureSnapshot, group: int, version: int | None, run: int | None
    ) -> tuple[Any, ...]:
        keys = Keys(
            run=self._run(failure.run_id) if run is None else run,
            group=group,
            template=self._templates.id(failure.fp_template),
            stack=self._stacks.id(failure),
            version=version,
        )
        return row_of(failure, keys)

    def _moves(
        self,
        failure: FailureSnapshot,
        before: Bucket,
        buckets: Counter[Bucket],
        suppressed: Suppressed,
        rows: _Rows,
        *,
        kept: Container[str],
        run: int | None,
    ) -> None:
        """Count a failure without a row elsewhere, or give it its row after all."""
        buckets[before] -= 1
        if failure.failure_id in kept:
            version = self._versions.id(failure.code_version)
            rows[failure.failure_id] = self._row(failure, before.group, version, run)
            statement = "UPDATE failure_group SET suppressed = suppressed - 1 WHERE id = ?"
            self._db.execute(statement, (before.group,))
            suppressed.put(failure.failure_id, None)
        else:
            after = Bucket.of(before.group, failure)
            buckets[after] += 1
            suppressed.put(failure.failure_id, after)

    def _run(self, run_id: str) -> int | None:
        if not run_id:
            return None
        row = self._db.execute("SELECT no FROM run WHERE run_id = ?", (run_id,)).fetchone()
        return None if row is None else int(row[0])


def fingerprint_of(failure: FailureSnapshot) -> str:
    """Return the fingerprint of a failure's group; one of its type where it has none."""
    if failure.fp_site:
        return failure.fp_site
    return f"v1:{blake2b(failure.type.encode(), digest_size=16).hexdigest()}"
