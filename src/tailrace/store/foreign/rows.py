"""Writing spans from elsewhere, inside one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from msgspec import Struct, field

from tailrace.model.states import SpanStatus
from tailrace.store.foreign.attributes import storable_text
from tailrace.store.foreign.bodies import Key, all_spans, key_of, replaces, sealed_batch
from tailrace.store.foreign.convert import encodable
from tailrace.store.foreign.intake import Intake
from tailrace.store.foreign_span import StoredSpan
from tailrace.store.keys import STATUS

_ERROR = STATUS.index(SpanStatus.ERROR)
_LARGEST = 64 << 20
"""Bytes of a batch above which it is split; SQLite takes no more than 1 GB."""
_REMEMBERED = 200_000
"""Spans of traces that are growing whose keys are remembered, so as not to read them again."""
_COLUMNS = """trace_id, start, "end", spans, errors, root_name, root_service, root_status, reason,
updated, batches"""
_SELECT = f"""SELECT no, {_COLUMNS}, segment, place FROM foreign_trace
WHERE trace_id IN (SELECT value FROM json_each(?))"""  # noqa: S608 - constant columns
_INSERT = f"INSERT INTO foreign_trace ({_COLUMNS}, no) VALUES ({', '.join('?' * 12)})"  # noqa: S608 - likewise
_UPDATE = f"""UPDATE foreign_trace SET ({_COLUMNS}) = ({", ".join("?" * 11)}),
segment = 0, place = 0 WHERE no = ?"""  # noqa: S608 - likewise
_BATCH = "INSERT INTO foreign_batch (id, body) VALUES (?, ?)"
_GIVEN = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'foreign_trace'"
_RUNS = """SELECT run_id, no, span_base, spans, segment, place FROM run
WHERE run_id IN (SELECT value FROM json_each(?))"""


class _Head(Struct):
    """The row of a trace."""

    trace_id: str
    no: int = 0
    start: int = 0
    end: int = 0
    spans: int = 0
    errors: int = 0
    root: tuple[str, str, int, str] = ("", "", 0, "")
    """Name, service, status and message of its first root."""
    batches: int = 0

    def row(self, updated: int) -> tuple[Any, ...]:
        """Return the columns, the number last."""
        return (
            self.trace_id, self.start, self.end, self.spans, self.errors, *self.root, updated,
            self.batches, self.no,
        )  # fmt: skip


class _Known(Struct):
    """What was told of the spans of a trace that is growing."""

    stamp: tuple[int, int, int]
    """Which state of the trace this is."""
    ends: dict[Key, tuple[int, int]] = field(default_factory=dict)
    """End and status of each span."""
    root: StoredSpan | None = None


class TraceRows:
    """Appends spans to traces of one file, each span once; for one thread at a time.

    Args:
        service: gives the name of the service of a row of ``resource``.
    """

    def __init__(self, service: Callable[[sqlite3.Connection, int], str]) -> None:
        self._service = service
        self._grown: OrderedDict[int, _Known] = OrderedDict()
        self._remembered = 0

    def forget(self) -> None:
        """Forget what is remembered: a transaction was rolled back."""
        self._grown.clear()
        self._remembered = 0

    def write(
        self,
        db: sqlite3.Connection,
        traces: Mapping[str, Sequence[StoredSpan]],
        now: int,
        sealed: dict[str, int] | None = None,
    ) -> Intake:
        """Append the spans, in the caller's transaction, which must be the only writer.

        Args:
            db: the connection.
            traces: spans by trace id, none of them empty.
            now: nanoseconds since the epoch.
            sealed: gets the numbers of new traces by their ids; the caller seals these in the
                same transaction. None: none is sealed.
        """
        tally = Intake()
        ids = json.dumps([*traces])
        rows = {row[1]: row for row in db.execute(_SELECT, (ids,)).fetchall()}
        runs = {row[0]: row[1:] for row in db.execute(_RUNS, (ids,)).fetchall()}
        number: int = db.execute(_GIVEN).fetchone()[0]
        heads: list[tuple[Any, ...]] = []
        batches: list[tuple[int, bytes]] = []
        for trace_id, given in traces.items():
            is_run = trace_id in runs
            spans = _not_own(given, runs[trace_id], tally) if is_run else given
            if trace_id in rows:
                self._append(db, rows[trace_id], spans, now, tally)
            elif spans:
                number += 1
                head = _Head(trace_id, no=number)
                is_sealed = sealed is not None and not is_run
                batches.extend(self._begin(db, head, spans, tally, is_sealed=is_sealed))
                heads.append(head.row(now))
                if sealed is not None and is_sealed:
                    sealed[trace_id] = number
            if spans and is_run:
                _unseal_run(db, runs[trace_id])
        db.executemany(_INSERT, heads)
        db.executemany(_BATCH, batches)
        return tally

    def _begin(
        self,
        db: sqlite3.Connection,
        head: _Head,
        spans: Sequence[StoredSpan],
        tally: Intake,
        *,
        is_sealed: bool,
    ) -> Iterator[tuple[int, bytes]]:
        """Fill the row of a new trace, and return its batches."""
        given = len(spans)
        spans = each_once(spans)
        tally.repeated += given - len(spans)
        root: StoredSpan | None = None
        starts = [span.start for span in spans]
        for span in spans:
            if not span.parent_id and (root is None or span.start < root.start):
                root = span
        head.start = min(starts)
        head.end = max(chain(starts, [span.end for span in spans]))
        head.spans = len(spans)
        head.errors = [span.status for span in spans].count(_ERROR)
        if root is not None:
            head.root = self._root(db, root)
        tally.spans += len(spans)
        tally.traces += 1
        if not is_sealed:
            yield from _batches(head, spans)

    def _append(
        self,
        db: sqlite3.Connection,
        row: Sequence[Any],
        spans: Sequence[StoredSpan],
        now: int,
        tally: Intake,
    ) -> None:
        """Write what is news of a trace that is there already."""
        no, trace_id, start, end, count, errors, *root, updated, batches, segment, place = row
        head = _Head(trace_id, no, start, end, count, errors, tuple(root), batches)
        known = self._known(db, no, (batches, updated, count))
        fresh = []
        for span in _latest(spans):
            key, mark = key_of(span), (span.end, span.status)
            before = known.ends.get(key)
            if before is not None and (before == mark or (before[0] and not span.end)):
                continue
            head.spans += before is None
            head.errors += (span.status == _ERROR) - (before is not None and before[1] == _ERROR)
            head.start = min(head.start, span.start)
            head.end = max(head.end, span.end or span.start)
            if not span.parent_id and (
                known.root is None or span.start < known.root.start or key == key_of(known.root)
            ):
                known.root = span
                head.root = self._root(db, span)
            known.ends[key] = mark
            fresh.append(span)
        tally.repeated += len(spans) - len(fresh)
        if fresh:
            _unseal(db, head, segment, place)
            db.executemany(_BATCH, [*_batches(head, fresh)])
            db.execute(_UPDATE, head.row(now))
            tally.spans += len(fresh)
            tally.traces += 1
        known.stamp = (head.batches, now if fresh else updated, head.spans)
        self._remember(no, known)

    def _known(self, db: sqlite3.Connection, no: int, stamp: tuple[int, int, int]) -> _Known:
        known = self._grown.pop(no, None)
        if known is not None:
            self._remembered -= len(known.ends)
            if known.stamp == stamp:
                return known
        known = _Known(stamp)
        for span in all_spans(db, no):
            key = key_of(span)
            before = known.ends.get(key)
            if before is None or span.end or not before[0]:
                known.ends[key] = span.end, span.status
            root = known.root
            if not span.parent_id and (
                root is None or span.start < root.start or (key == key_of(root) and span.end)
            ):
                known.root = span
        return known

    def _remember(self, no: int, known: _Known) -> None:
        self._grown[no] = known
        self._remembered += len(known.ends)
        while self._remembered > _REMEMBERED and len(self._grown) > 1:
            _, oldest = self._grown.popitem(last=False)
            self._remembered -= len(oldest.ends)

    def _root(self, db: sqlite3.Connection, root: StoredSpan) -> tuple[str, str, int, str]:
        service = self._service(db, root.resource)
        return storable_text(root.name), service, root.status, storable_text(root.message)


def each_once(spans: Sequence[StoredSpan]) -> Sequence[StoredSpan]:
    """Return each span of a trace once."""
    return spans if len({span.span_id for span in spans}) == len(spans) else _latest(spans)


def _latest(spans: Iterable[StoredSpan]) -> list[StoredSpan]:
    latest: dict[Key, StoredSpan] = {}
    for span in spans:
        key = key_of(span)
        if replaces(span, latest.get(key)):
            latest[key] = span
    return [*latest.values()]


def _not_own(
    spans: Sequence[StoredSpan], run: Sequence[int], tally: Intake
) -> Sequence[StoredSpan]:
    """Return the spans without those of the run itself, which may have been exported."""
    _, base, count, *_ = run
    others = [
        span
        for span in spans
        if not 0 < (int.from_bytes(span.span_id, "big") - base) % (1 << 64) <= count
    ]
    tally.repeated += len(spans) - len(others)
    return others


def _batches(head: _Head, spans: Sequence[StoredSpan]) -> Iterator[tuple[int, bytes]]:
    """Yield the rows that hold these spans; the head counts them."""
    _, body = encodable([*spans])
    if len(body) > _LARGEST and len(spans) > 1:
        middle = len(spans) // 2
        yield from _batches(head, spans[:middle])
        yield from _batches(head, spans[middle:])
        return
    yield head.no << 28 | head.batches, body
    head.batches += 1


def _unseal(db: sqlite3.Connection, head: _Head, segment: int, place: int) -> None:
    """Turn a sealed trace back into a batch; its place in the segment is dead from now on."""
    if not segment:
        return
    body = sealed_batch(db, segment, place)
    if body is not None:
        db.execute(_BATCH, (head.no << 28 | head.batches, body))
        head.batches += 1
    kill_place(db, segment, place)


def _unseal_run(db: sqlite3.Connection, run: Sequence[int]) -> None:
    no, *_, segment, place = run
    if segment:
        db.execute("UPDATE run SET segment = 0, place = 0 WHERE no = ?", (no,))
        kill_place(db, segment, place)


def kill_place(db: sqlite3.Connection, segment: int, place: int) -> None:
    """Take a trace out of a segment."""
    db.execute("INSERT OR IGNORE INTO segment_dead VALUES (?, ?)", (segment, place))
