"""Dead letters, one by one or by group, as rows of tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tailrace.cli.advice import INSPECT, REDRIVE, advice
from tailrace.cli.clock_text import ago, local_time
from tailrace.cli.failure_rows import (
    CATEGORY_STYLES,
    STATE_STYLES,
    error_text,
    kind_text,
    place_text,
)
from tailrace.cli.json_text import compact
from tailrace.cli.table_text import Cell, Column
from tailrace.model.letter import DeadLetter, LetterState, Redrive

_OF_EVENTS = "event"
"""``DeadLetter.kind`` of an action of the event stream."""
LETTER_COLUMNS = (
    Column(title="LETTER"),
    Column(title="STATE"),
    Column(title="CATEGORY", drop=2),
    Column(title="REASON", drop=3),
    Column(title="FLOW/NODE", flex=True),
    Column(title="LAST ERROR", flex=True),
    Column(title="ATTEMPTS", right=True, drop=5),
    Column(title="REDRIVES", right=True, drop=6),
    Column(title="SINCE", drop=4),
    Column(title="ADVICE", drop=1),
)
LETTER_GROUP_COLUMNS = (
    Column(title="GROUP"),
    Column(title="COUNT", right=True),
    Column(title="CATEGORY", drop=1),
    Column(title="FLOW/NODE", flex=True),
    Column(title="LAST ERROR", flex=True, least=20),
    Column(title="FIRST", drop=3),
    Column(title="LAST", drop=2),
    Column(title="ADVICE"),
)


class LetterGroup(Struct, frozen=True, kw_only=True):
    """Letters of one fingerprint."""

    fingerprint: str
    newest: DeadLetter
    count: int
    open: int
    first_ns: int
    last_ns: int


def group_letters(letters: Sequence[DeadLetter]) -> list[LetterGroup]:
    """Return the letters by fingerprint, most letters first."""
    together: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        together.setdefault(letter.fp_site, []).append(letter)
    groups = [_group(fingerprint, members) for fingerprint, members in together.items()]
    return sorted(groups, key=lambda group: (-group.count, -group.last_ns))


def _group(fingerprint: str, members: Sequence[DeadLetter]) -> LetterGroup:
    return LetterGroup(
        fingerprint=fingerprint,
        newest=max(members, key=lambda letter: (letter.updated_ns, letter.dl_id)),
        count=len(members),
        open=sum(letter.state == LetterState.OPEN for letter in members),
        first_ns=min(letter.created_ns for letter in members),
        last_ns=max(letter.updated_ns for letter in members),
    )


def letter_advice(letter: DeadLetter, *, open_letters: int) -> str:
    """Return what to do about a letter; those that are over need nothing.

    An action that only its own process could call is never redriven, whatever it failed of.
    """
    if letter.state in {LetterState.RESOLVED, LetterState.DISCARDED}:
        return "-"
    wanted = advice(letter.category, letter.class_, open_letters=open_letters)
    is_lost = letter.kind == _OF_EVENTS and not letter.task_ref
    return INSPECT if wanted == REDRIVE and is_lost else wanted


def letter_group_row(
    group: LetterGroup, *, names: Mapping[str, str], now_ns: int
) -> list[str | Cell]:
    """Return the row of a group; ``names`` says how fingerprints are written."""
    letter = group.newest
    return [
        Cell(names[group.fingerprint] or "-", "bold"),
        f"{group.count:,}",
        Cell(letter.category, CATEGORY_STYLES.get(letter.category, "")),
        place_text(letter.flow, letter.node_id),
        error_text(letter.type, letter.message),
        ago(group.first_ns, now_ns),
        ago(group.last_ns, now_ns),
        Cell(letter_advice(letter, open_letters=group.open), "bold"),
    ]


def letter_row(letter: DeadLetter) -> list[str | Cell]:
    """Return the row of one letter."""
    return [
        letter.dl_id,
        Cell(letter.state, STATE_STYLES.get(letter.state, "")),
        Cell(kind_text(letter.category, letter.class_), CATEGORY_STYLES.get(letter.category, "")),
        letter.reason,
        place_text(letter.flow, letter.node_id),
        error_text(letter.type, letter.message),
        f"{letter.attempts_total:,}",
        f"{letter.generation:,}",
        local_time(letter.created_ns),
        letter_advice(letter, open_letters=int(letter.state == LetterState.OPEN)),
    ]


def letter_facts(letter: DeadLetter, redrives: Sequence[Redrive]) -> Iterator[tuple[str, str]]:
    """Yield name and value of what is known of a letter and its redrives."""
    facts = (
        ("letter", letter.dl_id),
        ("state", letter.state),
        ("given up for", letter.reason),
        ("category", kind_text(letter.category, letter.class_)),
        ("at", letter.location),
        ("where", place_text(letter.flow, letter.node_id)),
        ("flow from", letter.flow_source),
        ("task", letter.task_ref),
        ("attempts", f"{letter.attempts_total:,}"),
        ("crashes", f"{letter.crash_attempts:,}" if letter.crash_attempts else ""),
        ("failure", letter.failure_id),
        ("run", letter.run_id),
        ("fingerprint", letter.fp_site),
        ("task key", letter.task_key),
        ("input in", letter.payload_ref),
        ("input", letter.payload_digest),
        ("policy", compact(letter.policy) if letter.policy else ""),
        ("code", letter.code_version),
        ("created", local_time(letter.created_ns)),
        ("changed", local_time(letter.updated_ns)),
        ("expires", local_time(letter.expires_ns) if letter.expires_ns else ""),
        ("source", _source_text(letter.source)),
        ("tags", ", ".join(f"{key}={value}" for key, value in letter.tags)),
        *((f"redrive {redrive.generation}", _redrive_text(redrive)) for redrive in redrives),
    )
    return ((name, value) for name, value in facts if value)


_TOLD = frozenset({"redrives", "actions"})
"""Parts of a distributed letter's source that are shown in lines of their own."""


def _source_text(source: Mapping[str, Any]) -> str:
    """Return such as ``subject tailrace.q.default, deliveries 3``."""
    rest = {
        key: value for key, value in source.items() if key not in _TOLD and value not in ("", None)
    }
    return ", ".join(
        f"{key.replace('_', ' ')} {value if isinstance(value, str) else compact(value)}"
        for key, value in rest.items()
    )


def _redrive_text(redrive: Redrive) -> str:
    outcome = redrive.outcome or "running"
    by = f"by {redrive.actor}" + (f" ({redrive.reason})" if redrive.reason else "")
    patched = ", patched" if redrive.patch is not None else ""
    run = f", run {redrive.run_id}" if redrive.run_id else ""
    return f"{outcome} {local_time(redrive.at_ns)} {by}, {redrive.mode}{patched}{run}"


def states_text(letters: Sequence[DeadLetter]) -> str:
    """Return such as ``12 open, 1 parked``."""
    return ", ".join(f"{n:,} {state}" for state, n in Counter(one.state for one in letters).items())
