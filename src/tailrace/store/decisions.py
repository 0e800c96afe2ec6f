"""What people have decided about groups of failures, in an index that many gateways make alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tailrace.failures.group_rules import state_after
from tailrace.model.decision import GroupDecision, decode_decision, encode_decision
from tailrace.model.failure import FailureGroup, GroupState
from tailrace.store.tenants import of_failed

_PUT = """INSERT INTO remote_group (tenant, fp, seq, body) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET seq = ?3, body = ?4 WHERE seq < ?3"""
_OF = """SELECT g.id, d.body FROM remote_group AS d JOIN failure_group AS g ON g.fp = d.fp
WHERE d.tenant = ?"""
_LATER = """SELECT f.at, coalesce(f.version, 0) FROM failure AS f
WHERE f.grp IN (SELECT id FROM failure_group WHERE id = ?1 OR alias = ?1) AND f.at > ?2"""
_VERSION = "SELECT id FROM version WHERE name = ?"


class Standing(NamedTuple):
    """How a group stands after what was decided, and after what has failed since."""

    state: str
    ignored_until_ns: int
    resolved_version: str

    def of(self, group: FailureGroup) -> FailureGroup:
        """Return the group as it stands."""
        return msgspec.structs.replace(group, **self._asdict())


UNDECIDED = Standing(GroupState.OPEN.value, 0, "")


def put_decisions(db: sqlite3.Connection, decisions: Iterable[tuple[int, GroupDecision]]) -> None:
    """Write decisions with the numbers of their messages; older news change nothing."""
    db.executemany(
        _PUT, [(one.tenant, one.fp_site, number, encode_decision(one)) for number, one in decisions]
    )


def standings(db: sqlite3.Connection, tenant: str | None) -> Mapping[int, Standing]:
    """Return how groups stand of which something was decided, by their row ids.

    Args:
        db: a connection.
        tenant: who has decided, and whose failures count; None: who sees those of all.
    """
    found = {}
    for group, body in db.execute(_OF, (tenant or "",)).fetchall():
        decision = decode_decision(body)
        found[group] = Standing(
            _state(db, group, decision, tenant),
            decision.until_ns if decision.state == GroupState.IGNORED else 0,
            decision.resolved_version,
        )
    return found


def _state(db: sqlite3.Connection, group: int, decision: GroupDecision, tenant: str | None) -> str:
    state = decision.state
    if state == GroupState.OPEN:
        return state
    row = db.execute(_VERSION, (decision.resolved_version,)).fetchone()
    resolved = 0 if row is None else row[0]
    for at_ns, version in _later(db, group, decision.at_ns, tenant):
        state = state_after(
            state,
            at_ns=at_ns,
            ignored_until_ns=decision.until_ns,
            version=version,
            resolved=resolved,
        )
    return state


def _later(
    db: sqlite3.Connection, group: int, at_ns: int, tenant: str | None
) -> Sequence[tuple[int, int]]:
    if tenant is None:
        return db.execute(_LATER, (group, at_ns)).fetchall()
    query = f"{_LATER} AND {of_failed('f.run').replace('?', '?3')}"
    return db.execute(query, (group, at_ns, tenant)).fetchall()
