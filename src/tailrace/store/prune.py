"""Deleting runs and traces that the rules of retention let go, beside all writers."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from msgspec import Struct

from tailrace.errors import StoreError
from tailrace.store.audit import Deed, write_deeds
from tailrace.store.blobs import GRACE, blob_folder, remove_orphans
from tailrace.store.connection import open_reader
from tailrace.store.fault import translated
from tailrace.store.letters import RUNTIME
from tailrace.store.retention import (
    Cut,
    Doomed,
    Held,
    Retention,
    all_to_go,
    cut_of,
    delete_doomed,
    held_by,
    to_go,
)
from tailrace.store.sqlite import SqliteStore, shared_store
from tailrace.store.vacuum import dead_size, empty_log, give_back, size_of
from tailrace.store.writer import Writer

EVERY = 86_400.0
"""Seconds between two prunes that nobody asked for."""
_PATIENCE = 2.0
"""Seconds such a prune takes at most, but for the commit it is at."""
_TRACES, _SPANS = 200, 20_000
"""Runs and traces of a commit, and spans of them; other writers wait for as long as it takes."""
_SIZES = """SELECT (SELECT coalesce(sum(spans), 0) FROM run) +
(SELECT coalesce(sum(spans), 0) FROM foreign_trace)"""
_PARTLY_DEAD = "SELECT id FROM segment WHERE dead > 0 LIMIT 1"
_EMPTY_SIZE = """SELECT (SELECT count(*) FROM sqlite_master WHERE rootpage > 0) * page_size
FROM pragma_page_size"""
"""Bytes of a store that holds nothing."""
_SUFFIX = "-pruned"


class Pruned(Struct, frozen=True, kw_only=True):
    """What went, or would go, and what stayed though the rules would let it go. Sizes are bytes."""

    runs: int = 0
    traces: int = 0
    """Traces from elsewhere."""
    spans: int = 0
    failures: int = 0
    """Failures of those runs; their groups keep counting them. Not known of a dry run."""
    held: Held = Held()
    size: int = 0
    """Before: what the database holds, and its large outputs."""
    size_after: int = 0
    """After; of a dry run, about what it would be."""


def plan_prune(path: Path, rules: Retention, *, now_ns: int | None = None) -> Pruned:
    """Return what ``prune_store`` would delete now.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    now = time.time_ns() if now_ns is None else now_ns
    with closing(open_reader(path)) as db, translated(path, "read"):
        cut = cut_of(db, rules, now)
        size, spans = size_of(db), db.execute(_SIZES).fetchone()[0]
        each = max(size - db.execute(_EMPTY_SIZE).fetchone()[0], 0) / max(spans, 1)
        gone = [*all_to_go(db, cut)]
        if rules.max_size:
            left = size - each * sum(one.spans for one in gone)
            known = {one.trace_id for one in gone}
            everything = sorted(all_to_go(db, Cut.everything()), key=lambda one: one.start)
            for one in (one for one in everything if one.trace_id not in known):
                if left <= rules.max_size:
                    break
                gone.append(one)
                left -= each * one.spans
        held = held_by(db, Cut.everything() if 0 < rules.max_size < size else cut)
    lost = sum(one.spans for one in gone)
    runs = sum(one.is_run for one in gone)
    return Pruned(
        runs=runs,
        traces=len(gone) - runs,
        spans=lost,
        held=held,
        size=size,
        size_after=max(0, size - round(each * lost)),
    )


def prune_store(
    path: Path,
    rules: Retention,
    *,
    actor: str,
    now_ns: int | None = None,
    seconds: float | None = None,
    grace: float = GRACE,
) -> Pruned:
    """Delete what the rules let go, oldest first, in commits that are short.

    Never a run that is going on, one that a waiting dead letter points to, or one whose lineage
    has such a run. What is free then is given back to the disk.

    Args:
        path: the file.
        rules: what is kept.
        actor: who wants it, for the audit trail.
        now_ns: the present, ns since the epoch.
        seconds: when to stop; None: when all is done.
        grace: seconds for which large outputs that nothing names any longer are kept.

    Raises:
        StoreError: the file cannot be written; what was committed stays deleted.
    """
    now = time.time_ns() if now_ns is None else now_ns
    with closing(open_reader(path)):  # it has to be there
        pass
    return _Prune(shared_store(path), rules, actor, now, seconds).run(grace)


class _Prune:
    def __init__(
        self, store: SqliteStore, rules: Retention, actor: str, now: int, seconds: float | None
    ) -> None:
        self._store = store
        self._rules = rules
        self._actor = actor
        self._now = now
        self._until = None if seconds is None else time.monotonic() + seconds
        self._runs = self._traces = self._spans = self._failures = 0

    def run(self, grace: float) -> Pruned:
        cut, size, held = self._store.write(self._begin)
        self._repeat(lambda writer: self._delete(writer, cut))
        self._repeat(self._shrink)
        if self._until is None and self._store.write(lambda writer: dead_size(writer.db)) > 0:
            self._seal()
        if self._runs or self._traces:
            self._store.write(self._tell)
            self._sweep(grace)
        self._repeat(give_back)
        empty_log(self._store.path)
        return Pruned(
            runs=self._runs,
            traces=self._traces,
            spans=self._spans,
            failures=self._failures,
            held=held,
            size=size,
            size_after=self._store.write(lambda writer: size_of(writer.db)),
        )

    def _repeat(self, action: Callable[[Writer], bool]) -> None:
        """Do it again and again, in a commit each, until it says that is all or time is over."""
        while self._store.write(action):
            if self._until is not None and time.monotonic() >= self._until:
                return

    def _begin(self, writer: Writer) -> tuple[Cut, int, Held]:
        cut, size = cut_of(writer.db, self._rules, self._now), size_of(writer.db)
        is_large = 0 < self._rules.max_size < size
        return cut, size, held_by(writer.db, Cut.everything() if is_large else cut)

    def _delete(self, writer: Writer, cut: Cut) -> bool:
        return self._remove(writer.db, to_go(writer.db, cut, _TRACES), _SPANS)

    def _shrink(self, writer: Writer) -> bool:
        """Delete the oldest while the store is too large; return whether it may still be."""
        most = self._rules.max_size
        size = size_of(writer.db) - dead_size(writer.db) if most else 0
        if size <= most:
            return False
        spans = writer.db.execute(_SIZES).fetchone()[0]
        needed = round(spans * (size - most) / size)
        doomed = to_go(writer.db, Cut.everything(), _TRACES)
        return self._remove(writer.db, doomed, min(_SPANS, needed))

    def _remove(self, db: sqlite3.Connection, doomed: list[Doomed], spans: int) -> bool:
        """Delete the first of these, at least one and about so many spans."""
        chosen: list[Doomed] = []
        total = 0
        for one in doomed:
            if chosen and total + one.spans > spans:
                break
            chosen.append(one)
            total += one.spans
        if chosen:
            self._failures += delete_doomed(db, chosen)
            runs = sum(one.is_run for one in chosen)
            self._runs += runs
            self._traces += len(chosen) - runs
            self._spans += total
        return bool(chosen)

    def _seal(self) -> None:
        """Write segments anew without what is gone from them, where that is worth while."""
        from tailrace.store.segments.seal import seal, unseal  # noqa: PLC0415 - seldom needed

        def undo(writer: Writer) -> bool:
            is_large = 0 < self._rules.max_size < size_of(writer.db)
            row = writer.db.execute(_PARTLY_DEAD).fetchone() if is_large else None
            if row is not None:
                unseal(writer, row[0])
            return row is not None

        self._repeat(undo)
        seal(self._store.path, everything=True)

    def _tell(self, writer: Writer) -> None:
        rules = self._rules
        detail = {
            "keep_days": rules.keep_days,
            "keep_runs": rules.keep_runs,
            "max_size": rules.max_size,
            "keep_errors_days": rules.keep_errors_days,
            "runs": self._runs,
            "traces": self._traces,
            "spans": self._spans,
            "failures": self._failures,
        }
        deed = Deed(
            subject="store",
            action="prune",
            actor=self._actor,
            at_ns=time.time_ns(),
            detail=detail,
        )
        write_deeds(writer.db, [deed])

    def _sweep(self, grace: float) -> None:
        folder = blob_folder(self._store.path)
        with suppress(OSError), closing(open_reader(self._store.path)) as db:
            remove_orphans(db, folder, grace=grace)


def prune_when_due(
    path: Path, rules: Retention, *, now: Callable[[], float] = time.time
) -> threading.Thread | None:
    """Prune beside whatever goes on, if a day has passed since anybody did; else cost one look.

    The thread ends after some seconds, done or not, and the process does not end before it. It
    goes on where it stopped the next day. What fails shows itself to the next commit of a run.
    """
    if not rules or not is_due(path, now()):
        return None
    thread = threading.Thread(target=_prune_quietly, args=(path, rules), name="tailrace-prune")
    thread.start()
    return thread


def is_due(path: Path, now: float) -> bool:
    """Return whether nobody has pruned for a day, and note that somebody does now."""
    mark = path.with_name(path.name + _SUFFIX)
    try:
        if mark.exists() and now - mark.stat().st_mtime < EVERY:
            return False
        mark.touch()
    except OSError:
        return False
    return True


def _prune_quietly(path: Path, rules: Retention) -> None:
    with suppress(StoreError, OSError):
        prune_store(path, rules, actor=RUNTIME, seconds=_PATIENCE)
