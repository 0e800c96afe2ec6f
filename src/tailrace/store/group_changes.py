"""What users decide about groups of equal failures."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import msgspec

from tailrace.errors import StoreError
from tailrace.model.failure import FailureGroup, GroupState
from tailrace.store.audit import Deed, write_deeds
from tailrace.store.groups import find_group, load_group
from tailrace.store.tenants import is_index

_ACTIONS = ("resolve", "ignore", "reopen", "merge")


class GroupOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a group; see ``SqliteFailureLog.change_group``."""

    fingerprint: str
    action: str
    actor: str
    reason: str = ""
    until_ns: int = 0
    into: str = ""


def change_group(db: sqlite3.Connection, order: GroupOrder) -> FailureGroup:
    """Do it, inside the caller's transaction, and return the group in which its failures count.

    Raises:
        NotFound: a fingerprint names no group, or more than one.
        StoreError: TR509, there is no such action, both groups are one, or the file is an index.
    """
    if is_index(db):
        raise StoreError(
            "groups in the index of a gateway are changed through a gateway, so that all agree",
            code="TR509",
            hint="name the server with --server, or a saved --context",
        )
    group = find_group(db, order.fingerprint)
    into = find_group(db, order.into) if order.action == "merge" else group
    before = load_group(db, group)
    _change(db, group, order, into)
    after = load_group(db, group)
    detail: dict[str, Any] = {"before": {"state": before.state}, "after": {"state": after.state}}
    if after.alias_of:
        detail["after"]["alias_of"] = after.alias_of
    deed = Deed(
        subject=after.fp_site,
        action=order.action,
        actor=order.actor,
        reason=order.reason,
        at_ns=time.time_ns(),
        detail=detail,
    )
    write_deeds(db, [deed])
    return load_group(db, into) if into != group else after


def _change(db: sqlite3.Connection, group: int, order: GroupOrder, into: int) -> None:
    match order.action:
        case "resolve":
            version = max(_versions(db, group))[1] or None
            _update(db, group, state=GroupState.RESOLVED.value, resolved_version=version)
        case "ignore":
            _update(db, group, state=GroupState.IGNORED.value, ignored_until=order.until_ns)
        case "reopen":
            _update(db, group, state=GroupState.OPEN.value, ignored_until=0, alias=None)
        case "merge":
            _merge(db, group, into)
        case _:
            raise StoreError(
                f"a group cannot be {order.action!r} (known: {', '.join(_ACTIONS)})",
                code="TR509",
                hint="choose one of them",
                details={"action": order.action},
            )


def _versions(db: sqlite3.Connection, group: int) -> list[tuple[int, int]]:
    query = "SELECT last, last_version FROM failure_group WHERE id = ? OR alias = ?"
    return [(last, version or 0) for last, version in db.execute(query, (group, group))]


def _update(db: sqlite3.Connection, group: int, **values: Any) -> None:
    columns = ", ".join(f"{name} = ?" for name in values)
    statement = f"UPDATE failure_group SET {columns} WHERE id = ?"  # noqa: S608 - our own names
    db.execute(statement, (*values.values(), group))


def _merge(db: sqlite3.Connection, group: int, into: int) -> None:
    query = "SELECT coalesce(alias, id) FROM failure_group WHERE id = ?"
    target = db.execute(query, (into,)).fetchone()[0]
    if target == group:
        raise StoreError(
            "a group cannot be merged into itself",
            code="TR509",
            hint="name two groups; failures groups lists them",
        )
    statement = "UPDATE failure_group SET alias = ? WHERE id = ? OR alias = ?"
    db.execute(statement, (target, group, group))
