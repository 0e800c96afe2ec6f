"""A ``FailureFilter`` as conditions of SQL: constant text, the user's words as parameters only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tailrace.model.failure import FailureFilter
from tailrace.store.flood import MINUTE_NS
from tailrace.store.tenants import of_failed

_FINGERPRINT = re.compile(r"(?:v[0-9]+:)?[0-9a-f]{1,32}")
_VERSION = "v1:"
_encode = msgspec.json.Encoder().encode


class Condition(NamedTuple):
    """A term of a WHERE clause and its parameters."""

    text: str
    params: tuple[Any, ...] = ()


NEVER = Condition("0")
"""Holds for no row."""


def where(conditions: Sequence[Condition]) -> str:
    """Return the WHERE clause; empty when there is no condition."""
    return f" WHERE {' AND '.join(one.text for one in conditions)}" if conditions else ""


def params(conditions: Iterable[Condition]) -> tuple[Any, ...]:
    """Return the parameters of the conditions in their order."""
    return tuple(value for one in conditions for value in one.params)


def fingerprint_range(prefix: str) -> tuple[str, str] | None:
    """Return the first fingerprint with this beginning and the first one behind them all.

    ``v1:`` may be left out. None: no fingerprint begins so.
    """
    text = prefix.strip().lower()
    if not _FINGERPRINT.fullmatch(text):
        return None
    low = text if ":" in text else _VERSION + text
    return low, low + "g"


def in_groups(column: str, groups: Sequence[int]) -> Condition:
    """Match one group in the order of its index, several by a list."""
    if len(groups) == 1:
        return Condition(f"{column} = ?", (groups[0],))
    text = f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own column
    return Condition(text, (_json(groups),))


def of_failures(wanted: FailureFilter, groups: Sequence[int] | None = None) -> list[Condition]:
    """Return the conditions for rows of ``failure`` (alias ``f``), which have groups (``g``).

    Args:
        wanted: the filter; ``reason`` and ``state`` as they apply to failures.
        groups: row ids of the groups that the fingerprint names; None: the fingerprint is none of
            a group's, and is looked for among those with the message in them.
    """
    found = list(_common(wanted, "f", time="f.at"))
    if wanted.fingerprint:
        found.append(_fingerprint(wanted.fingerprint, groups))
    if wanted.run:
        found.append(Condition("f.run = (SELECT no FROM run WHERE run_id = ?)", (wanted.run,)))
    if wanted.code_version:
        text = "f.version = (SELECT id FROM version WHERE name = ?)"
        found.append(Condition(text, (wanted.code_version,)))
    if wanted.reason:
        text = "f.failure_id IN (SELECT failure_id FROM dead_letter WHERE reason = ?)"
        found.append(Condition(text, (wanted.reason,)))
    if wanted.state:
        found.append(Condition("f.disposition = ?", (wanted.state,)))
    if wanted.ids:
        found.append(_among("f.failure_id", wanted.ids))
    if wanted.tenant is not None:
        found.append(Condition(of_failed("f.run"), (wanted.tenant,)))
    return found


def of_flood(wanted: FailureFilter, groups: Sequence[int] | None) -> list[Condition] | None:
    """Return the conditions for rows of ``failure_flood`` (alias ``b``), which tell of few things.

    None: the filter asks for what only a failure's own row can tell. Time counts by the minute.
    """
    if any((wanted.flow, wanted.node, wanted.run, wanted.tag, wanted.code_version)):
        return None
    if wanted.reason or wanted.ids or (wanted.fingerprint and groups is None):
        return None
    if wanted.tenant is not None:
        return None
    found = []
    if wanted.type:
        found.append(_named("(SELECT type FROM failure_group WHERE id = b.grp)", wanted.type))
    if groups is not None:
        found.append(in_groups("b.grp", groups))
    equal = {"category": wanted.category, "class": wanted.class_, "disposition": wanted.state}
    found += [Condition(f"b.{name} = ?", (value,)) for name, value in equal.items() if value]
    if wanted.since_ns is not None:
        found.append(Condition("b.minute >= ?", (wanted.since_ns // MINUTE_NS,)))
    if wanted.until_ns is not None:
        found.append(Condition("b.minute * ? < ?", (MINUTE_NS, wanted.until_ns)))
    return found


def of_letters(wanted: FailureFilter) -> list[Condition]:
    """Return the conditions for rows of ``dead_letter`` (alias ``d``), but that of the state."""
    found = list(_common(wanted, "d", time="d.created"))
    if wanted.fingerprint:
        span = fingerprint_range(wanted.fingerprint)
        text = "((d.fp >= ? AND d.fp < ?) OR (d.template >= ? AND d.template < ?))"
        found.append(NEVER if span is None else Condition(text, span * 2))
    if wanted.run:
        found.append(_of_run(wanted.run))
    if wanted.code_version:
        found.append(Condition("d.version = ?", (wanted.code_version,)))
    if wanted.reason:
        found.append(Condition("d.reason = ?", (wanted.reason,)))
    if wanted.ids:
        found.append(_among("d.dl_id", wanted.ids))
    if wanted.tenant is not None:
        text = "EXISTS (SELECT 1 FROM remote_letter AS o WHERE o.dl_id = d.dl_id AND o.tenant = ?)"
        found.append(Condition(text, (wanted.tenant,)))
    return found


def _common(wanted: FailureFilter, row: str, *, time: str) -> Iterable[Condition]:
    if wanted.category:
        yield Condition(f"{row}.category = ?", (wanted.category,))
    if wanted.class_:
        yield Condition(f"{row}.class = ?", (wanted.class_,))
    if wanted.type:
        yield _named(f"{row}.type", wanted.type)
    if wanted.flow:
        yield Condition(f"{row}.flow = ?", (wanted.flow,))
    if wanted.node:
        yield _named(f"{row}.node", wanted.node)
    if wanted.tag:
        yield _tagged(f"{row}.tags", wanted.tag)
    if wanted.since_ns is not None:
        yield Condition(f"{time} >= ?", (wanted.since_ns,))
    if wanted.until_ns is not None:
        yield Condition(f"{time} < ?", (wanted.until_ns,))


def _of_run(run_id: str) -> Condition:
    """Match letters of a run, and those of its redrives."""
    text = "(d.run = ? OR d.task_key = ? OR substr(d.task_key, 1, ?) = ?)"
    work = f"{run_id}:"
    return Condition(text, (run_id, run_id, len(work), work))


def _named(column: str, name: str) -> Condition:
    """Match a dotted name by all of it or by its last part."""
    suffix = f".{name}"
    return Condition(f"({column} = ? OR substr({column}, ?) = ?)", (name, -len(suffix), suffix))


def _tagged(column: str, tag: str) -> Condition:
    key, equals, value = tag.partition("=")
    same = "json_extract(tag.value, '$[0]') = ?"
    if equals:
        same += " AND json_extract(tag.value, '$[1]') = ?"
    text = f"EXISTS (SELECT 1 FROM json_each({column}) AS tag WHERE {same})"  # noqa: S608 - constant text
    return Condition(text, (key, value) if equals else (key,))


def _fingerprint(prefix: str, groups: Sequence[int] | None) -> Condition:
    if groups is not None:
        return in_groups("f.grp", groups)
    span = fingerprint_range(prefix)
    text = "f.template IN (SELECT id FROM template WHERE fp >= ? AND fp < ?)"
    return NEVER if span is None else Condition(text, span)


def _among(column: str, ids: Sequence[str]) -> Condition:
    text = f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own column
    return Condition(text, (_json(ids),))


def _json(values: Sequence[Any]) -> str:
    return _encode(values).decode()
