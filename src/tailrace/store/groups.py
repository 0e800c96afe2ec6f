"""Groups of equal failures: counting them, and reading what is known of each."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tailrace.errors import NotFound
from tailrace.failures.group_rules import state_after
from tailrace.model.failure import FailureGroup, FailureSnapshot
from tailrace.store.conditions import fingerprint_range
from tailrace.store.flood import MINUTE_NS
from tailrace.store.impact import impacts

_CACHED = 4_096
_SHOWN = 5
TITLE = 200
"""Characters of a title."""

COLUMNS = """g.id, g.fp, g.title, g.type, g.category, g.class, g.location, g.flow, g.node, g.first,
g.last, g.count, g.suppressed, g.state, g.ignored_until, coalesce(a.fp, ''),
coalesce(v.name, ''), coalesce(w.name, ''), g.last_failure"""
_SELECT = f"""SELECT {COLUMNS} FROM failure_group AS g
LEFT JOIN failure_group AS a ON a.id = g.alias
LEFT JOIN version AS v ON v.id = g.last_version
LEFT JOIN version AS w ON w.id = g.resolved_version"""  # noqa: S608 - constant text


class Bucket(NamedTuple):
    """Where failures without a row are counted."""

    group: int
    minute: int
    category: str
    class_: str
    disposition: str

    @classmethod
    def of(cls, group: int, failure: FailureSnapshot) -> Bucket:
        """Return the bucket of a failure of the group with that row id."""
        minute = failure.captured_ns // MINUTE_NS
        return cls(group, minute, failure.category, failure.class_, failure.disposition)


class GroupTable:
    """Row ids of groups by fingerprint, remembered within bounds, and their counts."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[str, int] = {}

    def forget(self) -> None:
        """Forget everything: a transaction was rolled back."""
        self._known.clear()

    def id(self, fingerprint: str, failure: FailureSnapshot) -> int:
        """Return the row id of the group, made for this failure when there is none."""
        known = self._known.get(fingerprint)
        if known is not None:
            return known
        found = self._db.execute("SELECT id FROM failure_group WHERE fp = ?", (fingerprint,))
        row = found.fetchone()
        number = int(row[0]) if row is not None else self._insert(fingerprint, failure)
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[fingerprint] = number
        return number

    def _insert(self, fingerprint: str, failure: FailureSnapshot) -> int:
        statement = """INSERT INTO failure_group (fp, title, type, category, class, first, last,
            count) VALUES (?, '', ?, ?, ?, ?, ?, 0)"""
        at = failure.captured_ns
        values = (fingerprint, failure.type, failure.category, failure.class_, at, at)
        return self._db.execute(statement, values).lastrowid or 0

    def count(self, group: int, failures: Sequence[Counted]) -> None:
        """Add failures to a group; the state that moves is that of the group it was merged into."""
        newest = max(failures, key=_instant)
        failure = newest.failure
        text = f"{failure.type}: {failure.message}" if failure.message else failure.type
        self._db.execute(
            """UPDATE failure_group SET count = count + ?, suppressed = suppressed + ?,
            first = min(first, ?) WHERE id = ?""",
            (
                len(failures),
                sum(one.is_suppressed for one in failures),
                min(one.failure.captured_ns for one in failures),
                group,
            ),
        )
        self._db.execute(
            """UPDATE failure_group SET last = ?, title = ?, type = ?, category = ?, class = ?,
            location = ?, flow = ?, node = ?, last_failure = ?,
            last_version = coalesce(?, last_version) WHERE id = ? AND last <= ?""",
            (
                failure.captured_ns,
                text.split("\n", 1)[0][:TITLE],
                failure.type,
                failure.category,
                failure.class_,
                failure.location,
                failure.flow,
                failure.node_id,
                failure.failure_id,
                newest.version,
                group,
                failure.captured_ns,
            ),
        )
        self._move(group, failures)

    def _move(self, group: int, failures: Sequence[Counted]) -> None:
        query = """SELECT t.id, t.state, t.ignored_until, coalesce(t.resolved_version, 0)
            FROM failure_group AS g JOIN failure_group AS t ON t.id = coalesce(g.alias, g.id)
            WHERE g.id = ?"""
        target, before, ignored, resolved = self._db.execute(query, (group,)).fetchone()
        state = before
        for one in failures:
            state = state_after(
                state,
                at_ns=one.failure.captured_ns,
                ignored_until_ns=ignored,
                version=one.version or 0,
                resolved=resolved,
            )
        if state != before:
            self._db.execute("UPDATE failure_group SET state = ? WHERE id = ?", (state, target))

    def flood(self, changes: Counter[Bucket]) -> None:
        """Add to, or take from, the counts of failures without a row."""
        statement = """INSERT INTO failure_flood VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET count = count + excluded.count"""
        rows = [(*bucket, change) for bucket, change in changes.items() if change]
        self._db.executemany(statement, rows)


class Counted(NamedTuple):
    """A failure that is new to the store."""

    failure: FailureSnapshot
    version: int | None
    """Number of its code version."""
    is_suppressed: bool


def _instant(one: Counted) -> int:
    return one.failure.captured_ns


def group_of(rows: Sequence[Sequence[Any]], *, count: int | None = None) -> FailureGroup:
    """Return a group from the rows of ``members``, its own first.

    Args:
        rows: of the group and of those merged into it.
        count: failures of it within a filter; None: all of them.
    """
    own, newest = rows[0], max(rows, key=_last)
    (_, _, title, type_, category, class_, location, flow, node, *_) = newest
    state, ignored, alias = own[13:16]
    return FailureGroup(
        fp_site=own[1],
        title=title,
        type=type_,
        category=category,
        class_=class_,
        location=location,
        flow=flow,
        node_id=node,
        first_ns=min(row[9] for row in rows),
        last_ns=newest[10],
        count=sum(row[11] for row in rows) if count is None else count,
        suppressed=sum(row[12] for row in rows),
        state=state,
        ignored_until_ns=ignored,
        alias_of=alias,
        last_version=newest[16],
        resolved_version=own[17],
        last_failure_id=newest[18],
    )


def _last(row: Sequence[Any]) -> int:
    return int(row[10])


def members(db: sqlite3.Connection, group: int) -> list[tuple[Any, ...]]:
    """Return the rows (``COLUMNS``) of a group and of those merged into it, its own first."""
    query = f"{_SELECT} WHERE g.id = ? OR g.alias = ? ORDER BY g.id <> ?"
    return db.execute(query, (group, group, group)).fetchall()


def load_group(db: sqlite3.Connection, group: int) -> FailureGroup:
    """Return the group with that row id."""
    return load_groups(db, {group: None})[0]


def load_groups(db: sqlite3.Connection, counts: Mapping[int, int | None]) -> list[FailureGroup]:
    """Return groups by their row ids, in that order.

    Args:
        db: a connection.
        counts: for each id the failures of it within a filter; None: all of them.
    """
    rows = {group: members(db, group) for group in counts}
    reached = impacts(db, {group: [row[0] for row in ones] for group, ones in rows.items()})
    return [
        msgspec.structs.replace(group_of(ones, count=counts[group]), **reached[group]._asdict())
        for group, ones in rows.items()
    ]


def find_group(db: sqlite3.Connection, prefix: str) -> int:
    """Return the row id of the one group whose fingerprint begins so.

    Raises:
        NotFound: none, or more than one, matches.
    """
    span = fingerprint_range(prefix)
    rows = [] if span is None else _in_range(db, span)
    if not rows:
        raise NotFound(
            f"no group's fingerprint begins with {prefix!r}",
            hint="list the groups with: tailrace failures groups",
            details={"prefix": prefix},
        )
    if len(rows) > 1:
        matches = [row[1] for row in rows]
        shown = ", ".join(matches[:_SHOWN]) + (", …" if len(matches) > _SHOWN else "")
        raise NotFound(
            f"more than one group's fingerprint begins with {prefix!r}: {shown}",
            hint="give more digits",
            details={"prefix": prefix, "matches": matches},
        )
    return rows[0][0]


def _in_range(db: sqlite3.Connection, span: tuple[str, str]) -> list[tuple[int, str]]:
    query = "SELECT id, fp FROM failure_group WHERE fp >= ? AND fp < ? ORDER BY fp LIMIT ?"
    return db.execute(query, (*span, _SHOWN + 1)).fetchall()


def groups_named(db: sqlite3.Connection, prefix: str) -> list[int] | None:
    """Return row ids of the groups whose fingerprints begin so, and of those merged into them.

    None: there are none.
    """
    span = fingerprint_range(prefix)
    if span is None:
        return None
    query = """SELECT id FROM failure_group WHERE fp >= ? AND fp < ?
        UNION SELECT m.id FROM failure_group AS m JOIN failure_group AS t ON t.id = m.alias
        WHERE t.fp >= ? AND t.fp < ?"""
    return [row[0] for row in db.execute(query, span * 2)] or None
