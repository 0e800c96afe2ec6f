"""Counting failures: those with a record of their own, and those beyond the flood limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tailrace.model.failure import FailureFilter
from tailrace.store.conditions import (
    Condition,
    in_groups,
    of_failures,
    of_flood,
    of_letters,
    params,
    where,
)
from tailrace.store.groups import groups_named
from tailrace.store.tenants import is_index

_BY_KIND = "category, class, disposition"


class _Counted(NamedTuple):
    category: str
    class_: str
    disposition: str
    failures: int


class Ranked(NamedTuple):
    """A group by its row id, its state, and its failures within a filter."""

    group: int
    state: str
    failures: int


def rank_groups(db: sqlite3.Connection, wanted: FailureFilter) -> list[Ranked]:
    """Return all groups that have failures within the filter, most first."""
    source = _counted_by_group(db, wanted)
    query = f"""SELECT t.id, t.state, sum(n.failures) AS failures FROM ({source.text}) AS n
        JOIN failure_group AS g ON g.id = n.grp
        JOIN failure_group AS t ON t.id = coalesce(g.alias, g.id)
        GROUP BY t.id HAVING failures > 0 ORDER BY failures DESC, t.id"""  # noqa: S608 - constant text
    ranked = [Ranked(*row) for row in db.execute(query, source.params)]
    if not is_index(db):
        return ranked
    from tailrace.store.decisions import UNDECIDED, standings  # noqa: PLC0415 - stores have none

    decided = standings(db, wanted.tenant)
    return [one._replace(state=decided.get(one.group, UNDECIDED).state) for one in ranked]


def _counted_by_group(db: sqlite3.Connection, wanted: FailureFilter) -> Condition:
    """Return the query for failures within the filter, by the group of their own fingerprint."""
    named = groups_named(db, wanted.fingerprint) if wanted.fingerprint else None
    if wanted == FailureFilter(fingerprint=wanted.fingerprint):  # groups know it by themselves
        terms = [] if named is None else [in_groups("id", named)]
        if named is not None or not wanted.fingerprint:
            text = f"SELECT id AS grp, count AS failures FROM failure_group{where(terms)}"  # noqa: S608 - constant text
            return Condition(text, params(terms))
    terms = of_failures(wanted, named)
    text = f"SELECT f.grp, count(*) AS failures FROM failure AS f{where(terms)} GROUP BY f.grp"  # noqa: S608 - constant text
    flood = of_flood(wanted, named)
    if flood is None:
        return Condition(text, params(terms))
    text += f" UNION ALL SELECT b.grp, b.count FROM failure_flood AS b{where(flood)}"  # noqa: S608 - constant text
    return Condition(text, (*params(terms), *params(flood)))


def count_all(db: sqlite3.Connection, wanted: FailureFilter) -> dict[str, dict[str, int]]:
    """Return exact counts of failures, groups and letters that match; see ``SqliteFailureLog``."""
    named = groups_named(db, wanted.fingerprint) if wanted.fingerprint else None
    records = _select(db, "failure AS f", "count(*)", of_failures(wanted, named))
    flood = of_flood(wanted, named)
    suppressed = []
    if flood is not None:
        suppressed = _select(db, "failure_flood AS b", "sum(count)", flood)
    both = [*records, *suppressed]
    letters = _letters(db, wanted)
    return {
        "category": _summed((one.category, one.failures) for one in both),
        "class": _summed((one.class_, one.failures) for one in both),
        "disposition": _summed((one.disposition, one.failures) for one in both),
        "letters": _summed((state, count) for state, _, count in letters),
        "letter_reasons": _summed((reason, count) for _, reason, count in letters),
        "groups": _summed((one.state, 1) for one in rank_groups(db, wanted)),
        "total": {
            "failures": sum(one.failures for one in both),
            "records": sum(one.failures for one in records),
            "suppressed": sum(one.failures for one in suppressed),
        },
    }


def _select(
    db: sqlite3.Connection, table: str, count: str, terms: Sequence[Condition]
) -> list[_Counted]:
    query = f"SELECT {_BY_KIND}, {count} FROM {table}{where(terms)} GROUP BY {_BY_KIND}"  # noqa: S608 - our own words
    return [_Counted(*row) for row in db.execute(query, params(terms))]


def _letters(db: sqlite3.Connection, wanted: FailureFilter) -> list[tuple[str, str, int]]:
    terms = of_letters(wanted)
    if wanted.state:
        terms.append(Condition("d.state = ?", (wanted.state,)))
    query = f"SELECT state, reason, count(*) FROM dead_letter AS d{where(terms)} GROUP BY 1, 2"  # noqa: S608 - constant text
    return db.execute(query, params(terms)).fetchall()


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the sum for each name, the largest first; names without any are left out."""
    sums: dict[str, int] = {}
    for name, count in pairs:
        sums[name] = sums.get(name, 0) + count
    found = [(name, count) for name, count in sums.items() if count]
    return dict(sorted(found, key=lambda item: (-item[1], item[0])))
