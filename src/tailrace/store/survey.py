"""Which groups hurt most within a filter, and how often each failed in each part of a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from tailrace.model.failure import FailureFilter, FailureGroup
from tailrace.store.conditions import Condition, in_groups, of_failures, of_flood, params, where
from tailrace.store.failure_counts import rank_groups
from tailrace.store.flood import MINUTE_NS
from tailrace.store.groups import groups_named, load_groups
from tailrace.store.tenants import is_index


class Survey(NamedTuple):
    """The groups of a filter that failed most, and what they are a part of."""

    groups: list[FailureGroup]
    """Most failures first; ``count`` is that within the filter."""
    matching: int
    """Groups that match and stand in one of the states asked for."""
    failures: int
    """Failures that match, whatever the state of their groups."""


def survey(
    db: sqlite3.Connection, wanted: FailureFilter, *, states: Sequence[str] = (), limit: int = 50
) -> Survey:
    """Return the groups that failed most within a filter; counts are exact."""
    ranked = rank_groups(db, wanted)
    chosen = [one for one in ranked if not states or one.state in states]
    shown = {one.group: one.failures for one in chosen[:limit]}
    groups = _loaded(db, shown, wanted.tenant) if is_index(db) else load_groups(db, shown)
    return Survey(groups, len(chosen), sum(one.failures for one in ranked))


def _loaded(
    db: sqlite3.Connection, shown: dict[int, int], tenant: str | None
) -> list[FailureGroup]:
    """Return groups as an index knows them: to a tenant as if there were no other."""
    from tailrace.store.decisions import UNDECIDED, standings  # noqa: PLC0415 - stores have none
    from tailrace.store.tenant_groups import tenant_group  # noqa: PLC0415 - likewise

    if tenant is None:
        groups = load_groups(db, shown)
    else:
        groups = [tenant_group(db, group, count, tenant) for group, count in shown.items()]
    decided = standings(db, tenant)
    return [
        decided.get(number, UNDECIDED).of(group)
        for number, group in zip(shown, groups, strict=True)
    ]


def trend(
    db: sqlite3.Connection, wanted: FailureFilter, fingerprint: str, edges: Sequence[int]
) -> list[int]:
    """Return how many failures of a group match between each edge and the next.

    Failures without a row, of which only the minute is known, count where their minute begins;
    those of the minute in which the first part begins count there.

    Args:
        db: a connection.
        wanted: the filter; its times are left out.
        fingerprint: all of the group's; those merged into it count too.
        edges: nanoseconds since the epoch, rising.
    """
    named = groups_named(db, wanted.fingerprint) if wanted.fingerprint else None
    own = groups_named(db, fingerprint) or []
    counts = []
    for since, until in pairwise(edges):
        part = msgspec.structs.replace(wanted, since_ns=since, until_ns=until)
        terms = [in_groups("f.grp", own), *of_failures(part, named)]
        counts.append(_number(db, "SELECT count(*) FROM failure AS f", terms))
        if since != edges[0]:
            part = msgspec.structs.replace(part, since_ns=-(-since // MINUTE_NS) * MINUTE_NS)
        flood = of_flood(part, named)
        if flood is not None:
            terms = [in_groups("b.grp", own), *flood]
            counts[-1] += _number(db, "SELECT total(b.count) FROM failure_flood AS b", terms)
    return counts


def _number(db: sqlite3.Connection, query: str, terms: Sequence[Condition]) -> int:
    return int(db.execute(query + where(terms), params(terms)).fetchone()[0])
