"""Lists of runs that are executed elsewhere, in pages of any filter."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from heapq import nlargest
from pathlib import Path

import msgspec
from msgspec import Struct

from tailrace.store.access import Access
from tailrace.store.remote.listed import Kind, ListedRun, RunRow, run_of_row
from tailrace.store.remote.run_list import ROW
from tailrace.store.tenants import of_run

_EVER = 1 << 62
_SLACK = 2_000_000
"""Microseconds by which the server's clock may have been put back."""
_SEEK_COST = 30
"""Rows that can be looked at in the time in which one kind is asked."""
_SELECT = f"SELECT {ROW} FROM remote_run"  # noqa: S608 - our own names
_ALL = f"{_SELECT} WHERE seq < ? AND seq >= ? AND updated > ? ORDER BY seq DESC LIMIT ?"
_SOME = f"{_SELECT} WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq DESC"  # noqa: S608 - likewise
_OF_KIND = """SELECT seq FROM remote_run WHERE kind = ? AND seq < ? AND seq >= ?
ORDER BY seq DESC LIMIT ?"""
_OF_WORKFLOW = """SELECT seq FROM remote_run WHERE workflow = ? AND workflow <> ''
AND kind = ? AND seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?"""
_SCAN = "SELECT seq, kind FROM remote_run WHERE seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?"
_KNOWN = "SELECT run_id FROM remote_run WHERE run_id IN (SELECT value FROM json_each(?))"
_KINDS = "SELECT id, runs, status, flow, tag, tenant FROM remote_kind WHERE runs > 0"
_json = msgspec.json.Encoder().encode


class ListFilter(Struct, frozen=True, kw_only=True):
    """Which runs are meant. Empty fields match everything."""

    status: str = ""
    flow: str = ""
    tag: str = ""
    """The routing tag."""
    tenant: str | None = None
    """None: of all."""
    workflow: str = ""
    """SHA-256 of the workflow that came with the run."""
    updated_after: int | None = None
    """Microseconds since the epoch, by the server's clock; runs that changed later."""

    def of(self, kind: Kind) -> bool:
        """Whether runs of a kind may be meant."""
        return (
            (not self.status or kind.status == self.status)
            and (not self.flow or kind.flow == self.flow)
            and (not self.tag or kind.tag == self.tag)
            and (self.tenant is None or kind.tenant == self.tenant)
        )


class RemoteReader:
    """Reads lists and counts of an index.

    Pages are in the order of the messages that changed the runs last, newest first. A run that
    does not change keeps its place, so a page that begins after the last row of another one skips
    and repeats none of them.

    Concurrency: any number of threads, one at a time; never blocks the writer.
    """

    def __init__(self, path: Path | str) -> None:
        self._file = Access(path)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def runs(
        self, wanted: ListFilter, *, before: int | None = None, limit: int = 50
    ) -> list[ListedRun]:
        """Return runs, newest first; those before the row of that sequence.

        Raises:
            StoreError: the file cannot be read.
        """
        top = _EVER if before is None else before
        with self._file.reading() as db:
            kinds = {row[0]: (row[1], Kind(*row[2:])) for row in db.execute(_KINDS)}
            rows = _page(db, kinds, wanted, top, limit)
            return [_listed(kinds, row) for row in rows]

    def known(self, run_ids: Iterable[str], tenant: str | None = None) -> set[str]:
        """Return those of the runs that are here; of a tenant's, where one is named."""
        query, given = _KNOWN, [_json(list(run_ids)).decode()]
        if tenant is not None:
            query, given = f"{_KNOWN} AND {of_run('remote_run.run_id')}", [*given, tenant]
        with self._file.reading() as db:
            return {row[0] for row in db.execute(query, given)}

    def counts(self, tenant: str | None = None) -> dict[tuple[str, str], int]:
        """Return the number of runs by (status, flow), without counting them."""
        found: Counter[tuple[str, str]] = Counter()
        with self._file.reading() as db:
            for _, runs, status, flow, _, owner in db.execute(_KINDS):
                if tenant is None or owner == tenant:
                    found[status, flow] += runs
        return dict(found)

    def updated_since(self, instant: int, tenant: str | None = None) -> dict[str, int]:
        """Return the number of runs by status of those that changed since (microseconds)."""
        found: Counter[str] = Counter()
        query = "SELECT count(*) FROM remote_run WHERE kind = ? AND seq >= ?"
        with self._file.reading() as db:
            first = _first_after(db, instant)
            for kind, _, status, _, _, owner in db.execute(_KINDS).fetchall():
                if tenant is not None and owner != tenant:
                    continue
                found[status] += db.execute(query, (kind, first)).fetchone()[0]
        return {status: count for status, count in found.items() if count}


_Kinds = dict[int, tuple[int, Kind]]


def _listed(kinds: _Kinds, row: RunRow) -> ListedRun:
    return run_of_row(kinds[row.kind][1], row)


def _page(
    db: sqlite3.Connection, kinds: _Kinds, wanted: ListFilter, top: int, limit: int
) -> list[RunRow]:
    after = -1 if wanted.updated_after is None else wanted.updated_after
    first = 0 if wanted.updated_after is None else _first_after(db, after - _SLACK)
    meant = {number: runs for number, (runs, kind) in kinds.items() if wanted.of(kind)}
    if len(meant) == len(kinds) and not wanted.workflow:
        return [*map(RunRow._make, db.execute(_ALL, (top, first, after, limit)))]
    found: list[RunRow] = []
    while meant and len(found) < limit:
        if wanted.workflow:
            sequences = _merged(db, meant, top, first, limit, workflow=wanted.workflow)
        else:
            sequences = _sequences(db, kinds, meant, top, first, limit)
        names = _json(sequences).decode()
        rows = map(RunRow._make, db.execute(_SOME, (names,)))
        found += [row for row in rows if row.at > after]
        if len(sequences) < limit or sequences[-1] <= first:
            break
        top = sequences[-1]
    return found[:limit]


def _sequences(
    db: sqlite3.Connection, kinds: _Kinds, meant: dict[int, int], top: int, first: int, limit: int
) -> list[int]:
    """Return the newest sequences of runs of some kinds, newest first.

    Where the kinds are many and most runs are of one of them, the newest runs are looked through.
    """
    total = sum(runs for runs, _ in kinds.values())
    expected = limit * total // max(sum(meant.values()), 1)
    found: list[int] = []
    if expected < len(meant) * _SEEK_COST:
        most = 4 * expected + limit
        for seq, kind in db.execute(_SCAN, (top, first, most)):
            top, most = seq, most - 1
            if kind in meant:
                found.append(seq)
                if len(found) == limit:
                    return found
        if most > 0:
            return found
    return found + _merged(db, meant, top, first, limit - len(found))


def _merged(
    db: sqlite3.Connection,
    meant: dict[int, int],
    top: int,
    first: int,
    limit: int,
    *,
    workflow: str = "",
) -> list[int]:
    """Return the newest sequences of all kinds, each read in the order of an index."""
    found: list[int] = []
    query, begin = (_OF_WORKFLOW, (workflow,)) if workflow else (_OF_KIND, ())
    for kind in meant:
        found += [seq for (seq,) in db.execute(query, (*begin, kind, top, first, limit))]
        if len(found) > 4 * limit:
            found = nlargest(limit, found)
            if len(found) == limit:
                first = max(first, found[-1])
    return nlargest(limit, found)


def _first_after(db: sqlite3.Connection, at: int) -> int:
    """Return a sequence from which on runs changed after an instant; times rise with sequences."""
    low, high = 0, db.execute("SELECT coalesce(max(seq), 0) + 1 FROM remote_run").fetchone()[0]
    query = "SELECT seq, updated FROM remote_run WHERE seq >= ? ORDER BY seq LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        row = db.execute(query, (middle,)).fetchone()
        if row is None or row[1] > at:
            high = middle
        else:
            low = max(row[0], middle) + 1
    return int(low)
