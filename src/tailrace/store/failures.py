"""Writing failures: a row for each, up to the flood limit, and all of them in their groups."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from hashlib import blake2b

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
        counted: dict[int, list[Counted]] = {}
        buckets: Counter[Bucket] = Counter()
        for failure in failures:
            group = self.groups.id(fingerprint_of(failure), failure)
            before = suppressed.get(failure.failure_id)
            if before is not None:
                self._moves(failure, before, buckets, suppressed, kept=kept, run=run)
            elif not self._update(failure):
                new = self._add(failure, group, run, is_kept=failure.failure_id in kept)
                counted.setdefault(group, []).append(new)
                if new.is_suppressed:
                    bucket = Bucket.of(group, failure)
                    buckets[bucket] += 1
                    suppressed.put(failure.failure_id, bucket)
        for group, ones in counted.items():
            self.groups.count(group, ones)
        if buckets:
            self.groups.flood(buckets)

    def _update(self, failure: FailureSnapshot) -> bool:
        """Write a known failure's newer state; False when it is not known."""
        query = "SELECT id, run FROM failure WHERE failure_id = ?"
        row = self._db.execute(query, (failure.failure_id,)).fetchone()
        if row is None:
            return False
        body = encode_body(failure, has_run=row[1] is not None)
        values = (failure.disposition, failure.category, failure.class_, body, row[0])
        self._db.execute(UPDATE, values)
        return True

    def _add(
        self, failure: FailureSnapshot, group: int, run: int | None, *, is_kept: bool
    ) -> Counted:
        version = self._versions.id(failure.code_version)
        passes = self._flood.passes(fingerprint_of(failure), failure.captured_ns)
        if passes or is_kept:
            self._insert(failure, group, version, run)
            return Counted(failure, version, is_suppressed=False)
        return Counted(failure, version, is_suppressed=True)

    def _insert(
        self, failure: FailureSnapshot, group: int, version: int | None, run: int | None
    ) -> None:
        keys = Keys(
            run=self._run(failure.run_id) if run is None else run,
            group=group,
            template=self._templates.id(failure.fp_template),
            stack=self._stacks.id(failure),
            version=version,
        )
        self._db.execute(INSERT, row_of(failure, keys))

    def _moves(
        self,
        failure: FailureSnapshot,
        before: Bucket,
        buckets: Counter[Bucket],
        suppressed: Suppressed,
        *,
        kept: Container[str],
        run: int | None,
    ) -> None:
        """Count a failure without a row elsewhere, or give it its row after all."""
        buckets[before] -= 1
        if failure.failure_id in kept:
            version = self._versions.id(failure.code_version)
            self._insert(failure, before.group, version, run)
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
