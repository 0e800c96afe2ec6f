"""Whose a trace is, in an index of runs of several tenants."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import msgspec

_RUN = """EXISTS (SELECT 1 FROM remote_run AS o JOIN remote_kind AS k ON k.id = o.kind
WHERE o.run_id = {id} AND k.tenant = ?)"""
_SENT = """(NOT EXISTS (SELECT 1 FROM remote_run WHERE run_id = {id})
AND EXISTS (SELECT 1 FROM remote_trace AS o WHERE o.trace_id = {id} AND o.tenant = ?))"""
_FAILED = """EXISTS (SELECT 1 FROM run AS n JOIN remote_run AS o ON o.run_id = n.run_id
JOIN remote_kind AS k ON k.id = o.kind WHERE n.no = {run} AND k.tenant = ?)"""
_SEEN = f"""SELECT w.value FROM json_each(?) AS w
WHERE {_RUN.format(id="w.value")} OR {_SENT.format(id="w.value")}"""  # noqa: S608 - constant text
_OTHERS = """SELECT w.value FROM json_each(?1) AS w
LEFT JOIN remote_run AS o ON o.run_id = w.value LEFT JOIN remote_kind AS k ON k.id = o.kind
LEFT JOIN remote_trace AS t ON t.trace_id = w.value
WHERE coalesce(k.tenant, t.tenant, iif(EXISTS (SELECT 1 FROM foreign_trace AS f
WHERE f.trace_id = w.value), '', ?2)) <> ?2"""
_CLAIM = """INSERT OR IGNORE INTO remote_trace (trace_id, tenant, joins)
SELECT w.value, ?2, ?3 FROM json_each(?1) AS w
WHERE NOT EXISTS (SELECT 1 FROM remote_run WHERE run_id = w.value)
AND NOT EXISTS (SELECT 1 FROM foreign_trace WHERE trace_id = w.value)"""
_STRANGERS = """DELETE FROM foreign_trace WHERE trace_id IN (SELECT t.trace_id
FROM remote_trace AS t JOIN remote_run AS o ON o.run_id = t.trace_id
JOIN remote_kind AS k ON k.id = o.kind WHERE k.tenant <> t.tenant AND NOT t.joins)"""
_encode = msgspec.json.Encoder().encode


def of_run(column: str) -> str:
    """Return the condition that a run's id is one of a tenant's, the only parameter."""
    return _RUN.format(id=column)


def of_sent(column: str) -> str:
    """Return the condition that a trace from elsewhere is a tenant's, the only parameter."""
    return _SENT.format(id=column)


def of_failed(column: str) -> str:
    """Return the condition that a run's number is that of a tenant's, the only parameter."""
    return _FAILED.format(run=column)


def seen(db: sqlite3.Connection, tenant: str, trace_ids: Collection[str]) -> frozenset[str]:
    """Return those of some traces that a tenant may see: its runs, and what it has sent."""
    rows = db.execute(_SEEN, (_json(trace_ids), tenant, tenant))
    return frozenset(row[0] for row in rows)


def claim(
    db: sqlite3.Connection, tenant: str, trace_ids: Collection[str], *, joins: bool
) -> frozenset[str]:
    """Make traces that are new a tenant's, and return those that are another's.

    Args:
        db: in a transaction that may write.
        tenant: who sends spans of them.
        trace_ids: the traces.
        joins: whether the tenant may add to the traces of others.
    """
    ids = _json(trace_ids)
    others: frozenset[str] = frozenset()
    if not joins:
        others = frozenset(row[0] for row in db.execute(_OTHERS, (ids, tenant)))
    db.execute(_CLAIM, (ids, tenant, joins))
    return others


def drop_strangers(db: sqlite3.Connection) -> None:
    """Delete what was sent, before it was a run, under the id of another tenant's run."""
    db.execute(_STRANGERS)


def is_index(db: sqlite3.Connection) -> bool:
    """Return whether the file is made from the streams of NATS, rather than by runs of its own."""
    return db.execute("SELECT 1 FROM remote_position LIMIT 1").fetchone() is not None


def _json(ids: Collection[str]) -> str:
    return _encode(sorted(ids)).decode()
