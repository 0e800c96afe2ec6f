"""All that an index of runs says, for comparisons."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from tailrace.model.failure import FailureFilter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteTraceReader
from tailrace.store.remote import ListFilter, RemoteReader


def lists(path: Path) -> list[Any]:
    """Return every row of the list, newest first, and the counts."""
    with closing(RemoteReader(path)) as reader:
        rows = reader.runs(ListFilter(), limit=1_000_000)
        shown = [(one.status, msgspec.to_builtins(one)) for one in rows]
        return [*shown, {key: n for key, n in sorted(reader.counts().items()) if n}]


def traces(path: Path) -> dict[str, Any]:
    """Return every run with its spans, events and checkpoints."""
    with closing(SqliteTraceReader(path)) as reader:
        runs = sorted(one.run_id for one in reader.runs(limit=1_000_000, foreign=True))
        return {
            run_id: (
                repr(reader.run(run_id)),
                [repr(span) for span in reader.trace(run_id).spans],
            )
            for run_id in runs
        }


def failures(path: Path) -> list[Any]:
    """Return every failure, every group but for its first sight of it, and every letter."""
    log, letters = SqliteFailureLog(path), SqliteDeadLetters(path)
    with closing(log), closing(letters):
        found = log.failures(FailureFilter(), limit=1_000_000)
        groups = log.groups(FailureFilter(), limit=1_000_000)
        kept = letters.letters(FailureFilter(), limit=1_000_000)
        return [
            sorted(map(repr, found)),
            sorted((one.fp_site, one.count) for one in groups),
            sorted(map(repr, kept)),
        ]


def dump(path: Path) -> list[Any]:
    """Return everything."""
    return [lists(path), traces(path), failures(path)]
