"""A group of failures as one of several tenants sees it."""

from __future__ import annotations

import sqlite3

from tailrace.model.failure import FailureGroup
from tailrace.store.failure_row import SELECT, failure_of
from tailrace.store.groups import TITLE
from tailrace.store.tenants import of_failed

_AMONG = "f.grp IN (SELECT id FROM failure_group WHERE id = ?1 OR alias = ?1)"
_OWN = f"{_AMONG} AND {of_failed('f.run').replace('?', '?2')}"
_FACTS = f"""SELECT min(f.at), count(DISTINCT f.run), count(DISTINCT nullif(f.node, ''))
FROM failure AS f WHERE {_OWN}"""  # noqa: S608 - constant text
_NEWEST = f"{SELECT} WHERE {_OWN} ORDER BY f.at DESC, f.id DESC LIMIT 1"
_LETTERS = """SELECT count(*) FROM dead_letter AS d JOIN remote_letter AS o ON o.dl_id = d.dl_id
JOIN failure_group AS g ON g.fp = d.fp
WHERE d.state = 'open' AND coalesce(g.alias, g.id) = ?1 AND o.tenant = ?2"""


def tenant_group(db: sqlite3.Connection, group: int, count: int, tenant: str) -> FailureGroup:
    """Return a group of which nothing is told but what the tenant's own failures tell.

    Args:
        db: a connection.
        group: row id of the group; some of its failures are the tenant's.
        count: how many of these there are within a filter.
        tenant: whose they are.
    """
    first, runs, nodes = db.execute(_FACTS, (group, tenant)).fetchone()
    newest = failure_of(db.execute(_NEWEST, (group, tenant)).fetchone())
    fingerprint = db.execute("SELECT fp FROM failure_group WHERE id = ?", (group,)).fetchone()[0]
    text = f"{newest.type}: {newest.message}" if newest.message else newest.type
    return FailureGroup(
        fp_site=fingerprint,
        title=text.split("\n", 1)[0][:TITLE],
        type=newest.type,
        category=newest.category,
        class_=newest.class_,
        location=newest.location,
        flow=newest.flow,
        node_id=newest.node_id,
        first_ns=first,
        last_ns=newest.captured_ns,
        count=count,
        runs=runs,
        nodes=nodes,
        last_version=newest.code_version,
        last_failure_id=newest.failure_id,
        open_letters=db.execute(_LETTERS, (group, tenant)).fetchone()[0],
    )
