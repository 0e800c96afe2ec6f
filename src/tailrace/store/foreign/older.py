"""Taking over the database files of older tools."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from tailrace.errors import StoreError
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import InstrumentationScope, Span, SpanEvent
from tailrace.model.states import SpanKind, SpanStatus, SpanType
from tailrace.store.fault import translated
from tailrace.store.foreign.intake import Intake
from tailrace.store.foreign.older_values import (
    attributes_of,
    instant_of,
    span_id_of,
    trace_id_of,
)
from tailrace.store.foreign.writer import ForeignWriter
from tailrace.store.migrations import APPLICATION_ID

_TABLES = ("spans", "traces")
"""Where older tools kept spans; the first that is there and has the columns is read."""
_COLUMNS = {
    "trace": ("trace_id", "run_id"),
    "span": ("span_id",),
    "parent": ("parent_span_id", "parent_id"),
    "name": ("name",),
    "start": ("start_time", "start_time_ns", "start", "started_at"),
    "end": ("end_time", "end_time_ns", "end", "ended_at"),
    "attributes": ("attributes", "attributes_json"),
    "status": ("status",),
    "error": ("error", "status_message", "error_message"),
    "service": ("service_name",),
    "kind": ("kind",),
    "policy": ("policy_snapshot",),
    "timeout": ("timeout",),
}
"""What a column is, by the names it may have."""
_NEEDED = ("trace", "span", "name", "start")
_EVENT_COLUMNS = {
    "trace": ("trace_id", "run_id"),
    "span": ("span_id",),
    "name": ("name", "event_type", "type"),
    "time": ("timestamp", "time", "ts", "created_at"),
    "attributes": ("attributes", "attributes_json", "payload", "data"),
}
_EVENT_NEEDED = ("span", "name", "time")
_FAILED = frozenset({"error", "failed", "failure", "timeout", "timed_out"})
_SUCCEEDED = frozenset({"ok", "success", "succeeded", "completed"})
_ORIGINAL = "tailrace.original_span_id"
_ORIGINAL_TRACE = "tailrace.original_trace_id"
_SCOPE = InstrumentationScope(name="older")
_SHOWN = 20
_MOST_EVENTS = 4_096
"""Events of a span that are read."""

Row = Mapping[str, Any]


class OlderImport(Struct, kw_only=True):
    """What became of an older file."""

    table: str
    """The table that held the spans."""
    rows: int = 0
    intake: Intake = field(default_factory=Intake)
    """Rows that cannot be read are among those refused."""
    examples: list[str] = field(default_factory=list)
    """The first of those rows, and what is wrong with each."""

    def refuse(self, number: int, error: ValueError) -> None:
        """Count a row that cannot be read."""
        reason = str(error)
        self.intake.refused[reason.partition(":")[0]] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"row {number}: {reason}")


def is_older(path: Path) -> bool:
    """Return whether a file is a SQLite database with spans of an older tool."""
    try:
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                return False
        with closing(_opened(path)) as db:
            table, _ = _find(db, _TABLES, _COLUMNS, _NEEDED)
            return bool(table) and _owner(db) != APPLICATION_ID
    except (OSError, sqlite3.Error):
        return False


def import_older(path: Path | str, writer: ForeignWriter) -> OlderImport:
    """Take over the spans, and their events, of an older tool's file, which is only read.

    A second import of a file adds nothing. Ids that are not OpenTelemetry's become digests; what
    they were is kept in attributes. Rows that cannot be read are counted, the rest is taken.

    Raises:
        StoreError: the file cannot be read or has no such table (TR505), or the store cannot be
            written.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"there is no file {path}", code="TR501", details={"path": str(path)})
    with translated(path, "read"), closing(_opened(path)) as db:
        if _owner(db) == APPLICATION_ID:
            raise StoreError(
                f"{path} is a database of tailrace itself",
                code="TR505",
                hint="read it with --db; traces move with: tailrace trace export",
                details={"path": str(path)},
            )
        table, columns = _find(db, _TABLES, _COLUMNS, _NEEDED)
        if not table:
            raise StoreError(
                f"{path} holds no spans of an older tool: no table spans or traces with the "
                "columns span_id, trace_id (or run_id), name and start_time",
                code="TR505",
                hint="name the file that the older tool wrote",
                details={"path": str(path)},
            )
        report = OlderImport(table=table)
        report.intake.add(writer.write(_spans(db, table, columns, report)))
        return report


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    db.row_factory = sqlite3.Row
    db.text_factory = lambda raw: raw.decode(errors="replace")
    return db


def _owner(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA application_id").fetchone()[0])


def _find(
    db: sqlite3.Connection,
    tables: tuple[str, ...],
    known: Mapping[str, tuple[str, ...]],
    needed: tuple[str, ...],
) -> tuple[str, dict[str, str]]:
    """Return the first table that has what is needed, and the name of each known column."""
    for table in tables:
        there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        columns = {
            what: next(name for name in names if name in there)
            for what, names in known.items()
            if there.intersection(names)
        }
        if all(what in columns for what in needed):
            return table, columns
    return "", {}


def _select(table: str, columns: Mapping[str, str]) -> str:
    named = ", ".join(f'"{name}" AS "{what}"' for what, name in columns.items())
    return f'SELECT {named} FROM "{table}"'  # noqa: S608 - names of our own lists


def _spans(
    db: sqlite3.Connection, table: str, columns: Mapping[str, str], report: OlderImport
) -> Iterator[Span]:
    events = _Events(db)
    resources: dict[str, Mapping[str, Any]] = {}
    order = f' ORDER BY "{columns["trace"]}"'
    for number, row in enumerate(db.execute(_select(table, columns) + order), 1):
        report.rows += 1
        try:
            span = _span({**row}, resources)
            span.events = events.of(row)
        except ValueError as error:
            report.refuse(number, error)
        else:
            yield span


def _span(row: Row, resources: dict[str, Mapping[str, Any]]) -> Span:
    trace, own, parent = (_text(row.get(what)) for what in ("trace", "span", "parent"))
    if not trace or not own:
        raise ValueError("it has no trace id or no span id")
    attributes = attributes_of(row.get("attributes"))
    trace_id, span_id = trace_id_of(trace), span_id_of(own, trace)
    for key, id_, was in ((_ORIGINAL, span_id, own), (_ORIGINAL_TRACE, trace_id, trace)):
        if id_ != was.replace("-", "").lower():
            attributes.setdefault(key, was)
    kind = _text(row.get("kind")).lower()
    known_kind = SpanKind(kind) if kind in {*SpanKind} else SpanKind.INTERNAL
    for key, value in (
        ("tailrace.kind", kind if kind and kind not in {*SpanKind} else None),
        ("tailrace.policy", row.get("policy")),
        ("timeout", row.get("timeout")),
    ):
        if value not in (None, "", b""):
            attributes.setdefault(key, value)
    start = instant_of(row.get("start"))
    if start is None:
        raise ValueError("it has no start")
    service = _text(row.get("service"))
    status = _text(row.get("status")).lower()
    error = _text(row.get("error"))
    return Span(
        trace_id=RunId(trace_id),
        span_id=SpanId(span_id),
        parent_id=SpanId(span_id_of(parent, trace)) if parent else None,
        name=_text(row.get("name")),
        type=SpanType.FOREIGN,
        start_ns=start,
        end_ns=instant_of(row.get("end")),
        kind=known_kind,
        status=_status(status, error),
        message=error,
        attributes=attributes,
        resource=resources.setdefault(service, {"service.name": service} if service else {}),
        scope=_SCOPE,
    )


def _status(status: str, error: str) -> SpanStatus:
    if status in _FAILED or (error and status not in _SUCCEEDED):
        return SpanStatus.ERROR
    return SpanStatus.OK if status in _SUCCEEDED else SpanStatus.UNSET


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


class _Events:
    """The events of each span, where the file keeps any."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        table, self._columns = _find(db, ("events",), _EVENT_COLUMNS, _EVENT_NEEDED)
        self._query = ""
        if table:
            spans = self._columns["span"]
            self._query = _select(table, self._columns) + f' WHERE "{spans}" = ?'
            self._query += f' AND "{self._columns["trace"]}" = ?' if self._has_trace else ""
            self._query += f" ORDER BY rowid LIMIT {_MOST_EVENTS}"
            self._index(table, spans)

    @property
    def _has_trace(self) -> bool:
        return "trace" in self._columns

    def _index(self, table: str, column: str) -> None:
        """Keep a copy with an index in memory where the file has none: it is only read."""
        for row in self._db.execute(f'PRAGMA index_list("{table}")'):
            first = self._db.execute(f'PRAGMA index_info("{row[1]}")').fetchone()
            if first is not None and first[2] == column:
                return
        self._db.execute("PRAGMA temp_store = FILE")
        self._db.execute(f'CREATE TEMP TABLE older_event AS SELECT * FROM main."{table}"')  # noqa: S608 - one of our names
        self._db.execute(f'CREATE INDEX temp.older_event_span ON older_event ("{column}")')
        self._query = self._query.replace(f'FROM "{table}"', "FROM older_event")

    def of(self, span: sqlite3.Row) -> list[SpanEvent]:
        """Return the events of a span; those whose time cannot be read are left out."""
        if not self._query:
            return []
        values = (span["span"], span["trace"]) if self._has_trace else (span["span"],)
        found = []
        for row in self._db.execute(self._query, values):
            try:
                at = instant_of(row["time"])
            except ValueError:
                continue
            attributes = attributes_of(row["attributes"]) if "attributes" in self._columns else {}
            found.append(SpanEvent(time_ns=at or 0, name=_text(row["name"]), attributes=attributes))
        return found
