"""What of a store is kept: the rules, and which runs and traces they let go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tailrace.model.states import RunStatus
from tailrace.store.letters import WAITING

DAY_NS = 86_400_000_000_000
_FAILED = (RunStatus.FAILED.value, RunStatus.INTERRUPTED.value)
_LINEAGE = "iif(r.lineage = '', r.run_id, r.lineage)"
_LIVE = f'SELECT {_LINEAGE} FROM run AS r WHERE r."end" IS NULL'  # noqa: S608 - constant text
_LETTERS = f"SELECT run FROM dead_letter WHERE run <> '' AND state IN {WAITING!r}"  # noqa: S608 - likewise
_POINTED = f"SELECT {_LINEAGE} FROM run AS r WHERE r.run_id IN ({_LETTERS})"  # noqa: S608 - likewise
_RUN_AGE = f"(r.start < ? AND (r.status NOT IN {_FAILED!r} OR r.start < ?))"
_TRACE_AGE = "(t.start < ? AND (t.errors = 0 OR t.start < ?))"
_ALONE = "NOT EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = t.trace_id)"
_NTH_RUN = "SELECT start FROM run ORDER BY start DESC, no DESC LIMIT 1 OFFSET ?"
_NTH_TRACE = f"""SELECT t.start FROM foreign_trace AS t WHERE {_ALONE}
ORDER BY t.start DESC, t.no DESC LIMIT 1 OFFSET ?"""  # noqa: S608 - constant text
_FREE = (
    f"""r."end" IS NOT NULL AND {_LINEAGE} NOT IN ({_LIVE}) AND {_LINEAGE} NOT IN ({_POINTED})"""
)
RUNS_TO_GO = f"""SELECT r.no, r.run_id, r.start, r.spans FROM run AS r
WHERE {_RUN_AGE} AND {_FREE} ORDER BY r.start, r.no LIMIT ?"""  # noqa: S608 - constant text
TRACES_TO_GO = f"""SELECT t.no, t.trace_id, t.start, t.spans FROM foreign_trace AS t
WHERE {_TRACE_AGE} AND {_ALONE} ORDER BY t.start, t.no LIMIT ?"""  # noqa: S608 - likewise
_HELD = f"""SELECT
coalesce(sum(r."end" IS NULL), 0),
coalesce(sum(r."end" IS NOT NULL AND r.run_id IN ({_LETTERS})), 0),
coalesce(sum(r."end" IS NOT NULL AND r.run_id NOT IN ({_LETTERS})
  AND ({_LINEAGE} IN ({_LIVE}) OR {_LINEAGE} IN ({_POINTED}))), 0)
FROM run AS r WHERE {_RUN_AGE}"""  # noqa: S608 - likewise
_EMPTY = """DELETE FROM segment WHERE dead >= traces AND traces <=
(SELECT count(*) FROM segment_dead AS d WHERE d.segment = segment.id)"""
_NEVER = -(1 << 63)
"""An instant before which nothing is."""
_EVER = (1 << 63) - 1


class Retention(Struct, frozen=True, kw_only=True):
    """What is kept. What either of ``keep_days`` and ``keep_runs`` wants to keep, stays."""

    keep_days: float = 0
    """Days that runs and traces are kept; 0: not by age."""
    keep_runs: int = 0
    """Newest runs, and newest traces from elsewhere, that stay; 0: not by count."""
    max_size: int = 0
    """Bytes that the database and its large outputs may take; the oldest go beyond; 0: any."""
    keep_errors_days: float = 0
    """Days that what failed is kept where that is longer; ``max_size`` asks no further."""

    def __bool__(self) -> bool:
        """Return whether anything is ever to go."""
        return bool(self.keep_days or self.keep_runs or self.max_size)


class Cut(Struct, frozen=True, kw_only=True):
    """The instants, in ns since the epoch, before which runs and traces go.

    Each pair is that of those that succeeded and that of those that failed.
    """

    runs: tuple[int, int] = (_NEVER, _NEVER)
    traces: tuple[int, int] = (_NEVER, _NEVER)

    @classmethod
    def everything(cls) -> Cut:
        """Return the cut before which everything is that may go at all."""
        return cls(runs=(_EVER, _EVER), traces=(_EVER, _EVER))


class Held(Struct, frozen=True, kw_only=True):
    """Runs that the rules would let go, but that somebody still needs."""

    live: int = 0
    """They are going on."""
    letters: int = 0
    """A dead letter that waits points to them."""
    lineages: int = 0
    """Another run of their lineage is going on, or has such a letter."""


class Doomed(Struct, frozen=True):
    """A run or a trace that may go."""

    no: int
    trace_id: str
    start: int
    spans: int
    is_run: bool


def cut_of(db: sqlite3.Connection, rules: Retention, now_ns: int) -> Cut:
    """Return what age and count let go now; ``max_size`` is not looked at."""
    if not (rules.keep_days or rules.keep_runs):
        return Cut()
    aged = now_ns - round(rules.keep_days * DAY_NS) if rules.keep_days else _EVER
    errors = now_ns - round(rules.keep_errors_days * DAY_NS) if rules.keep_errors_days else _EVER

    def pair(query: str) -> tuple[int, int]:
        before = aged
        if rules.keep_runs:
            row = db.execute(query, (rules.keep_runs - 1,)).fetchone()
            before = min(aged, _NEVER if row is None else row[0])
        return before, min(before, errors)

    return Cut(runs=pair(_NTH_RUN), traces=pair(_NTH_TRACE))


def to_go(db: sqlite3.Connection, cut: Cut, limit: int) -> list[Doomed]:
    """Return the oldest that may go, oldest first."""
    runs = db.execute(RUNS_TO_GO, (*cut.runs, limit)).fetchall()
    traces = db.execute(TRACES_TO_GO, (*cut.traces, limit)).fetchall()
    found = [_doomed(row, is_run=True) for row in runs]
    found += [_doomed(row, is_run=False) for row in traces]
    return sorted(found, key=lambda one: (one.start, one.no))[:limit]


def all_to_go(db: sqlite3.Connection, cut: Cut) -> Iterator[Doomed]:
    """Yield everything that may go, runs first."""
    for is_run, query, pair in (
        (True, RUNS_TO_GO, cut.runs),
        (False, TRACES_TO_GO, cut.traces),
    ):
        for row in db.execute(query, (*pair, -1)):
            yield _doomed(row, is_run=is_run)


def _doomed(row: tuple[int, str, int, int], *, is_run: bool) -> Doomed:
    no, trace_id, start, spans = row
    return Doomed(no, trace_id, start, spans, is_run)


def held_by(db: sqlite3.Connection, cut: Cut) -> Held:
    """Return how many of the runs before the cut stay, and why."""
    live, letters, lineages = db.execute(_HELD, cut.runs).fetchone()
    return Held(live=live, letters=letters, lineages=lineages)


def delete_doomed(db: sqlite3.Connection, doomed: Sequence[Doomed]) -> int:
    """Delete runs and traces with all that is theirs; return how many failures went with them."""
    runs = [one.no for one in doomed if one.is_run]
    query = "SELECT count(*) FROM failure WHERE run = ?"
    failures = sum(int(db.execute(query, (no,)).fetchone()[0]) for no in runs)
    ids = [(one.trace_id,) for one in doomed]
    db.executemany("DELETE FROM foreign_trace WHERE trace_id = ?", ids)
    db.executemany("DELETE FROM run WHERE no = ?", [(no,) for no in runs])
    db.execute(_EMPTY)
    return failures
