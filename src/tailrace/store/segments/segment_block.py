"""A segment as a block: what a query asks for is read, and kept for the next one."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

import msgspec

from tailrace.store.foreign.bodies import read_resource
from tailrace.store.segments.column import unpack_values
from tailrace.store.segments.facts import OF_SCOPES, scope_attributes, scope_facts
from tailrace.store.segments.frame import BLOCK, Part, unframed
from tailrace.store.segments.heads import Heads
from tailrace.store.segments.planes import unpack
from tailrace.store.segments.shared import Shared
from tailrace.traceql.block import OfTraces, Owner, Values
from tailrace.traceql.tree import IntrinsicName, Type

BODY = """SELECT type, body FROM segment_column
WHERE segment = ? AND owner = ? AND name = ? ORDER BY type"""
NAMES = "SELECT DISTINCT name FROM segment_column WHERE segment = ? AND owner = ? ORDER BY name"
_ID_SIZE = 8


class SegmentDamaged(Exception):  # noqa: N818 - the search mends it or tells it
    """A segment holds bytes that nobody wrote."""

    def __init__(self, segment: int, why: str) -> None:
        super().__init__(why)
        self.segment = segment
        self.why = why


class SegmentBlock:
    """The traces of one segment.

    A segment never changes, so a block may be used again later, with another connection.

    Args:
        db: reads the file; in one transaction for as long as a query lasts.
        segment: its number.
        spans: how many it has.
    """

    def __init__(self, db: sqlite3.Connection, segment: int, spans: int) -> None:
        self.db = db
        self.segment = segment
        self._size = spans
        self.weight = 0
        """Bytes that were read, unpacked about as many more."""
        self._columns: dict[tuple[Owner, str], Sequence[Values]] = {}
        self._names: dict[Owner, Sequence[str]] = {}

    @property
    def size(self) -> int:
        """How many spans."""
        return self._size

    @cached_property
    def heads(self) -> Heads:
        """The traces."""
        body = self._part(Part.HEADS)
        try:
            return Heads(body, self._size)
        except (ValueError, msgspec.MsgspecError) as error:
            raise SegmentDamaged(self.segment, str(error)) from error

    def of_traces(self, name: IntrinsicName) -> OfTraces:
        """Return an intrinsic of the trace for each trace."""
        return self.heads.of_traces(name)

    @property
    def firsts(self) -> array[int]:
        """The first span of each trace."""
        return self.heads.firsts

    @cached_property
    def parents(self) -> array[int]:
        """For each span the number of its parent."""
        return self._array(Part.PARENTS)

    @cached_property
    def orphans(self) -> array[int]:
        """Spans that name a parent but have none here."""
        return self._array(Part.ORPHANS)

    @cached_property
    def starts(self) -> array[int]:
        """For each span its start."""
        return self._array(Part.STARTS)

    @cached_property
    def durations(self) -> array[int]:
        """For each span its duration."""
        return self._array(Part.DURATIONS)

    @cached_property
    def by_duration(self) -> array[int]:
        """All spans, the shortest first."""
        return self._array(Part.BY_DURATION)

    @cached_property
    def span_ids(self) -> Sequence[str]:
        """For each span its id."""
        return HexIds(self._part(Part.SPAN_IDS))

    @cached_property
    def parent_ids(self) -> Sequence[str]:
        """For each span its parent's id as it came."""
        strays = HexIds(self._part(Part.ORPHAN_PARENTS))
        ids = self.span_ids
        found = [ids[parent] if parent >= 0 else "" for parent in self.parents]
        for number, parent_id in zip(self.orphans, strays, strict=True):
            found[number] = parent_id
        return found

    @cached_property
    def event_spans(self) -> array[int]:
        """For each event its span."""
        return self._array(Part.EVENT_SPANS)

    @cached_property
    def link_spans(self) -> array[int]:
        """For each link its span."""
        return self._array(Part.LINK_SPANS)

    @cached_property
    def _resources(self) -> Shared:
        return Shared(self._bodies(Part.RESOURCES), read_resource)

    @cached_property
    def _scope_bodies(self) -> Values:
        return self._bodies(Part.SCOPES)

    @cached_property
    def _scopes(self) -> Shared:
        return Shared(self._scope_bodies, scope_attributes)

    @cached_property
    def _scope_facts(self) -> Shared:
        return Shared(self._scope_bodies, scope_facts)

    def column(self, owner: Owner, name: str) -> Sequence[Values]:
        """Return the values of an attribute or a stored intrinsic by type."""
        key = owner, name
        known = self._columns.get(key)
        if known is None:
            known = self._columns[key] = self._loaded(owner, name)
        return known

    def known_column(self, owner: Owner, name: str) -> Sequence[Values] | None:
        """Return a column that has been read before; None: it has not."""
        return self._columns.get((owner, name))

    def _loaded(self, owner: Owner, name: str) -> Sequence[Values]:
        if owner is Owner.RESOURCE:
            return self._resources.column(name)
        if owner is Owner.INSTRUMENTATION:
            return self._scopes.column(name)
        if owner is Owner.INTRINSIC and name in OF_SCOPES:
            return self._scope_facts.column(name)
        rows = self.db.execute(BODY, (self.segment, owner.value, name)).fetchall()
        return [self._values(body, type_) for type_, body in rows]

    def shared(self, owner: Owner) -> Shared | None:
        """Return columns by body, of owners that have bodies."""
        if owner is Owner.RESOURCE:
            return self._resources
        return self._scopes if owner is Owner.INSTRUMENTATION else None

    def names(self, owner: Owner) -> Sequence[str]:
        """Return the names of all columns of an owner."""
        known = self._names.get(owner)
        if known is None:
            rows = self.db.execute(NAMES, (self.segment, owner.value))
            known = self._names[owner] = [name for (name,) in rows]
        return known

    def _bodies(self, part: Part) -> Values:
        body = self._part(part)
        return self._unpacked(body, Type.STRING.value)

    def _values(self, body: bytes, type_: str) -> Values:
        return self._unpacked(self._checked(body), type_)

    def _unpacked(self, body: bytes, type_: str) -> Values:
        try:
            return unpack_values(body, type_)
        except (ValueError, msgspec.MsgspecError) as error:
            raise SegmentDamaged(self.segment, str(error)) from error

    def _part(self, part: Part) -> bytes:
        row = self.db.execute(BODY, (self.segment, BLOCK, part.value)).fetchone()
        return b"" if row is None else self._checked(row[1])

    def _array(self, part: Part) -> array[int]:
        body = self._part(part)
        try:
            return unpack(body) if body else array("B")
        except ValueError as error:
            raise SegmentDamaged(self.segment, str(error)) from error

    def _checked(self, body: bytes) -> bytes:
        self.weight += len(body)
        try:
            return unframed(body)
        except ValueError as error:
            raise SegmentDamaged(self.segment, str(error)) from error


class HexIds(Sequence[str]):
    """Ids of eight bytes each as hex digits."""

    def __init__(self, ids: bytes) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids) // _ID_SIZE

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index if index >= 0 else index + len(self)
        if not 0 <= number < len(self):
            raise IndexError(index)
        return self._ids[number * _ID_SIZE : (number + 1) * _ID_SIZE].hex()

    def __iter__(self) -> Iterator[str]:
        digits = self._ids.hex()
        width = 2 * _ID_SIZE
        return (digits[at : at + width] for at in range(0, len(digits), width))
