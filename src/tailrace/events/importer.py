"""Reading the files of the older program: each piece once, nothing dropped silently."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import DefinitionError
from tailrace.events.clean import clean_text, hide_secrets
from tailrace.events.event_json import new_event
from tailrace.events.failing import failure_json
from tailrace.events.ids import event_id_of
from tailrace.events.imported_letter import imported_failure, imported_letter
from tailrace.events.imports import ImportedLine, ImportLog
from tailrace.events.instants import parse_instant
from tailrace.events.lines import Piece, pieces
from tailrace.events.shapes import present_shape, shape_of
from tailrace.model.event import Event, EventStatus

_BATCH = 500
"""Pieces of one commit."""
_KEPT = 64 * 1024
"""Bytes of a piece that quarantine keeps."""
_ID_INSTANT = re.compile(r"^EVT-(\d{8}-\d{6})-")


class ImportReport(msgspec.Struct):
    """What an import found, and what it did; of a dry run, what it would have done."""

    source: str
    """The file, by which its pieces are known again."""
    dry_run: bool = False
    imported: int = 0
    known: int = 0
    """Pieces that an earlier import took."""
    letters: int = 0
    """Dead letters among the imported."""
    shapes: dict[str, int] = msgspec.field(default_factory=dict)
    """Events by shape, the known ones included."""
    quarantined: list[tuple[int, str]] = msgspec.field(default_factory=list)
    """Offset and reason of what no event could be made of, the known ones included."""
    naive: int = 0
    """Events whose time did not say its zone."""
    zone: str = ""
    """Whose local time that was taken for."""
    first_ns: int = 0
    last_ns: int = 0

    @property
    def found(self) -> int:
        """Events in the file."""
        return sum(self.shapes.values())


class Importer:
    """Brings one file into a log.

    A piece's identity is its file, its offset and its bytes: ids repeat in the older files, so
    each event gets an id of its own, always the same, and keeps the old one as ``legacy_id``.
    Importing again takes only what is new.
    """

    def __init__(
        self,
        path: Path | str,
        log: ImportLog,
        *,
        zone: tzinfo | None = None,
        source: str = "",
        dry_run: bool = False,
    ) -> None:
        """Name the file.

        Args:
            path: of JSON lines.
            log: where the events go.
            zone: what times without zone are local to; None: this machine.
            source: by which the file's pieces are known again; empty: its resolved path.
            dry_run: write nothing, and report what would be.
        """
        self.path = Path(path)
        self.report = ImportReport(source or str(self.path.resolve()), dry_run)
        self.report.zone = (
            str(zone) if zone is not None else f"local ({datetime.now(UTC).astimezone().tzname()})"
        )
        self._log = log
        self._zone = zone

    def read(self) -> ImportReport:
        """Import the whole file.

        Raises:
            DefinitionError: TR339, the file cannot be read.
            StoreError: the log cannot be written; whole batches before it are in it.
        """
        with self._open() as file:
            self._take(pieces(file))
        return self.report

    def follow(
        self,
        stop: threading.Event,
        *,
        poll: float = 0.5,
        on_batch: Callable[[ImportReport], None] | None = None,
    ) -> ImportReport:
        """Import the file, and go on as it grows, until ``stop`` is set.

        A last line without end is left to its writer. A file that is shorter than before, or that
        another has taken the place of, is read from its beginning.

        Args:
            stop: ends it.
            poll: seconds between looks at the file.
            on_batch: told after each look that found something.

        Raises:
            DefinitionError: TR339, the file cannot be read.
            StoreError: the log cannot be written.
        """
        position, identity = 0, 0
        while True:
            if self.path.exists():
                with self._open() as file:
                    number = self.path.stat().st_ino
                    size = file.seek(0, 2)
                    if number != identity or size < position:
                        position, identity = 0, number
                    file.seek(position)
                    self._take(pieces(file, only_whole_lines=True))
                    grown, position = file.tell() > position, file.tell()
                if grown and on_batch is not None:
                    on_batch(self.report)
            if stop.wait(poll):
                return self.report

    def _open(self) -> Any:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise DefinitionError(
                f"{self.path} cannot be read: {error.strerror or error}",
                code="TR339",
                hint="name a file of JSON lines, such as logs/event_stream.jsonl",
                details={"path": str(self.path)},
            ) from error

    def _take(self, found: Iterator[Piece]) -> None:
        while batch := list(islice(found, _BATCH)):
            lines = [self._line(piece) for piece in batch]
            source = self.report.source
            if self.report.dry_run:
                new = [not known for known in self._log.known(source, lines)]
            else:
                new = self._log.take(source, lines)
            self._count(lines, new)

    def _count(self, lines: Iterable[ImportedLine], new: Iterable[bool]) -> None:
        report = self.report
        for line, is_new in zip(lines, new, strict=True):
            if line.event is None:
                report.quarantined.append((line.offset, line.reason))
                continue
            shape = line.event.body["imported"]["shape"]
            report.shapes[shape] = report.shapes.get(shape, 0) + 1
            report.naive += line.event.body["imported"]["naive"]
            report.imported += is_new
            report.known += not is_new
            report.letters += is_new and line.letter is not None
            instants = (line.event.ts_ns, *filter(None, (report.first_ns, report.last_ns)))
            report.first_ns, report.last_ns = min(instants), max(instants)

    def _line(self, piece: Piece) -> ImportedLine:
        digest = sha256(piece.raw).hexdigest()
        line = ImportedLine(offset=piece.offset, digest=digest)
        reason = piece.reason
        if piece.found is not None:
            try:
                return self._with_event(line, piece.found)
            except ValueError as error:
                reason = str(error)
        text = piece.raw[:_KEPT].decode("utf-8", "surrogateescape")
        kept = hide_secrets(text).encode("utf-8", "surrogateescape")
        return msgspec.structs.replace(line, line=kept, reason=reason)

    def _with_event(self, line: ImportedLine, found: dict[str, Any]) -> ImportedLine:
        shape = shape_of(found)
        keys = present_shape(found, shape, self.path.stem)
        ts_ns, is_naive = self._instant(keys)
        keys["imported"] = {
            "file": self.path.name,
            "offset": line.offset,
            "shape": shape,
            "naive": is_naive,
        }
        event = self._event(line, keys, ts_ns, shape)
        if event.status != EventStatus.DEAD_LETTER.value:
            return msgspec.structs.replace(line, event=event)
        failure = imported_failure(event, self.report.source)
        if not event.failure_id:
            keys["failure"] = failure_json(failure, [])
            event = self._event(line, keys, ts_ns, shape)
        letter = imported_letter(event, failure, self.report.source)
        return msgspec.structs.replace(line, event=event, failure=failure, letter=letter)

    def _event(self, line: ImportedLine, keys: dict[str, Any], ts_ns: int, shape: str) -> Event:
        legacy_id = str(keys.get("event_id") or "")
        identity = f"{self.report.source}\0{line.offset}\0{line.digest}".encode()
        event = new_event(
            event_id=legacy_id if shape == "tailrace" else event_id_of(ts_ns, identity),
            ts_ns=ts_ns,
            type=clean_text(str(keys.get("event_type", ""))),
            source=clean_text(str(keys.get("source", ""))),
            status=keys["status"],
            keys=keys,
        )
        return msgspec.structs.replace(event, legacy_id=clean_text(legacy_id))

    def _instant(self, keys: dict[str, Any]) -> tuple[int, bool]:
        instant = keys.get("timestamp")
        if isinstance(instant, int | float) and not isinstance(instant, bool):
            return _from_number(instant), False
        if instant:
            try:
                return parse_instant(str(instant), self._zone)
            except ValueError:
                pass
        named = _ID_INSTANT.match(str(keys.get("event_id", "")))
        if named:
            text = datetime.strptime(named[1], "%Y%m%d-%H%M%S").isoformat()  # noqa: DTZ007 - the zone is applied below
            return parse_instant(text, self._zone)
        if instant:
            raise ValueError(f"its time {instant!r} cannot be read")
        raise ValueError("it does not say when it happened")


def _from_number(instant: float) -> int:
    """Return nanoseconds since the epoch of seconds or milliseconds since it."""
    seconds = instant / 1000 if abs(instant) > 1e11 else instant
    try:
        datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise ValueError(f"its time {instant} lies outside of the calendar") from error
    return round(seconds * 1e6) * 1000


def import_file(
    path: Path | str,
    log: ImportLog,
    *,
    zone: tzinfo | None = None,
    source: str = "",
    dry_run: bool = False,
) -> ImportReport:
    """Import a file and return what was found; see ``Importer`` for the arguments and errors."""
    return Importer(path, log, zone=zone, source=source, dry_run=dry_run).read()


def follow_file(
    path: Path | str,
    log: ImportLog,
    stop: threading.Event,
    *,
    zone: tzinfo | None = None,
    source: str = "",
    poll: float = 0.5,
) -> ImportReport:
    """Import a file and what is appended to it, until ``stop`` is set; see ``Importer.follow``."""
    return Importer(path, log, zone=zone, source=source).follow(stop, poll=poll)
