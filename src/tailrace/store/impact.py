"""How far groups of failures reach: the runs and nodes they hit, and the work that waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

_AMONG = "(SELECT value FROM json_each(?1))"
_HITS = "count(DISTINCT f.run), count(DISTINCT nullif(f.node, ''))"
_BY_INDEX = f"SELECT f.grp, {_HITS} FROM failure AS f WHERE f.grp IN {_AMONG} GROUP BY 1"  # noqa: S608 - constant text
_BY_SCAN = _BY_INDEX.replace("AS f", "AS f NOT INDEXED")
_TOGETHER = f"SELECT {_HITS} FROM failure AS f WHERE f.grp IN {_AMONG}"  # noqa: S608 - constant text
_SIZES = f"""SELECT (SELECT total(count - suppressed) FROM failure_group WHERE id IN {_AMONG}),
(SELECT max(id) FROM failure)"""  # noqa: S608 - constant text
_LETTERS = f"""SELECT coalesce(g.alias, g.id), count(*) FROM dead_letter AS d
JOIN failure_group AS g ON g.fp = d.fp
WHERE d.state = 'open' AND coalesce(g.alias, g.id) IN {_AMONG} GROUP BY 1"""  # noqa: S608 - constant text
_WORTH_A_SCAN = 0.5
"""Share of all rows from which reading every row in the order of the file is the shorter way."""
_encode = msgspec.json.Encoder().encode


class Impact(NamedTuple):
    """What a group has hit, together with those merged into it."""

    runs: int = 0
    nodes: int = 0
    open_letters: int = 0


def impacts(db: sqlite3.Connection, members: Mapping[int, Sequence[int]]) -> dict[int, Impact]:
    """Return the impact of each group, in at most one pass over all failures.

    Args:
        db: a connection.
        members: by the row id of each group those of its own and of the groups merged into it.
    """
    if not members:
        return {}
    letters = dict(db.execute(_LETTERS, _json([*members])).fetchall())
    hits = _hits_alone(db, [group for group, ids in members.items() if len(ids) == 1])
    for group, ids in members.items():
        if len(ids) > 1:
            hits[group] = db.execute(_TOGETHER, _json(ids)).fetchone()
    none = 0, 0
    return {
        group: Impact(*hits.get(group, none), open_letters=letters.get(group, 0))
        for group in members
    }


def _hits_alone(db: sqlite3.Connection, groups: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return runs and nodes of groups that nothing was merged into."""
    own = _json(groups)
    rows, newest = db.execute(_SIZES, own).fetchone()
    query = _BY_SCAN if rows > (newest or 0) * _WORTH_A_SCAN else _BY_INDEX
    return {group: (runs, nodes) for group, runs, nodes in db.execute(query, own)}


def _json(values: Any) -> tuple[str]:
    return (_encode(values).decode(),)
