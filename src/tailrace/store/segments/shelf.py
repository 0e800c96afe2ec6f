"""All traces of a file as blocks, the newest first, as one transaction sees them."""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from tailrace.store.segments.catalogue import Segment, dead_traces, segments
from tailrace.store.segments.choice import SEGMENT_SPANS
from tailrace.store.segments.pruning import Bounds
from tailrace.store.segments.segment_block import SegmentBlock
from tailrace.store.segments.spots import Spots
from tailrace.store.segments.units import Unit, chunks, named_units, unsealed_units
from tailrace.store.tenants import seen
from tailrace.traceql.codes import weight_of

if TYPE_CHECKING:
    from tailrace.store.segments.loading import TraceLoader
    from tailrace.store.segments.rows_block import RowsBlock

AnyBlock: TypeAlias = "RowsBlock | SegmentBlock"
_MOST_BYTES = 256 << 20
"""Bytes of columns that stay in memory for the next query."""
_OWNED = 512
"""Segments of which is remembered whose their traces are."""
_ROW_WEIGHT = 2_000
"""Bytes that an unsealed span takes in memory, about."""


class Source(Struct, kw_only=True):
    """A block that is read when it is needed."""

    latest: int
    """Of the starts of its traces, ns since the epoch."""
    earliest: int
    spans: int
    open: Callable[[], AnyBlock | None]
    """Reads it; None: nothing is left of it."""
    longest: int | None = None
    """Nanoseconds of its longest trace, where that is known."""
    segment: Segment | None = None
    """Where it is sealed."""
    only: Container[int] | None = None
    """Numbers of the traces that are asked for; None: all."""
    gone: Collection[int] = ()
    """Numbers of traces that do not count."""
    own: Callable[[AnyBlock], frozenset[int]] | None = None
    """Tells the numbers of the traces that may be seen; None: all may."""

    def traces(
        self, block: AnyBlock, since_ns: int | None, until_ns: int | None
    ) -> Container[int] | None:
        """Return the numbers of the traces that began in a range; None: all of the block."""
        count = len(block.firsts)
        first, end = 0, count
        if since_ns is not None and since_ns > self.earliest:
            first = _first_from(block, since_ns, count)
        if until_ns is not None and until_ns <= self.latest:
            end = _first_from(block, until_ns, count)
        own = None if self.own is None else self.own(block)
        if self.only is None and not self.gone and own is None:
            return None if (first, end) == (0, count) else range(first, end)
        gone = frozenset(self.gone)
        return frozenset(
            number
            for number in range(first, end)
            if number not in gone
            and (self.only is None or number in self.only)
            and (own is None or number in own)
        )

    def size(self, block: AnyBlock) -> tuple[int, int]:
        """Return how many traces and spans of a block may be seen."""
        if self.own is None:
            return len(block.firsts), block.size
        ends = [*block.firsts[1:], block.size]
        own = self.own(block)
        return len(own), sum(ends[number] - block.firsts[number] for number in own)


def start_of(block: AnyBlock, trace: int) -> int:
    """Return when a trace began, ns since the epoch."""
    return block.starts[block.firsts[trace]]


def _first_from(block: AnyBlock, time_ns: int, count: int) -> int:
    """Return the first trace that began at that instant or later; blocks are in that order."""
    return bisect_left(range(count), time_ns, key=lambda trace: start_of(block, trace))


class Shelf:
    """Blocks of one file. Those that cannot change are kept for later queries, within bounds."""

    def __init__(self, path: Path, most_bytes: int = _MOST_BYTES) -> None:
        self._path = path
        self._most = most_bytes
        self._sealed: OrderedDict[int, SegmentBlock] = OrderedDict()
        self._loose: dict[tuple[Unit, ...], RowsBlock | None] = {}
        self._dead: dict[int, frozenset[int]] = {}
        self._spots: dict[int, tuple[AnyBlock, Spots]] = {}
        self._owned: dict[tuple[str, int], frozenset[int]] = {}
        self.bounds = Bounds()
        """Of the columns of segments."""
        self.damaged: list[str] = []
        """Traces that could not be read."""

    def known(self, segment: int) -> SegmentBlock | None:
        """Return a segment of which something was read before; None: nothing was."""
        return self._sealed.get(segment)

    def spots(self, block: AnyBlock) -> Spots:
        """Return what reads fields of single spans of a block."""
        known = self._spots.get(id(block))
        if known is None or known[0] is not block:
            known = self._spots[id(block)] = (block, Spots(block))
        return known[1]

    def sources(
        self,
        db: sqlite3.Connection,
        wanted: Collection[str] | None = None,
        *,
        tenant: str | None = None,
    ) -> list[Source]:
        """Return what holds the traces, those with the newest first.

        Args:
            db: in a transaction that lasts until the blocks have been evaluated.
            wanted: ids of the only traces that count; None: all.
            tenant: whose traces are the only ones; None: all.
        """
        self.damaged = []
        units = unsealed_units(db) if wanted is None else named_units(db, wanted)
        loose = [unit for unit in units if not unit.is_sealed]
        gone: dict[int, set[int]] = defaultdict(set)
        for segment, place in (place for unit in loose for place in unit.places):
            gone[segment].add(place)
        only: dict[int, set[int]] | None = None
        if wanted is not None:
            only = defaultdict(set)
            for unit in units:
                if unit.is_sealed:
                    only[max(unit.run_segment, unit.foreign_segment)].update(
                        place for _, place in unit.places
                    )
        sealed = [*self._sealed_sources(db, gone, only)]
        if tenant is not None:
            seen_ones = seen(db, tenant, [unit.trace_id for unit in loose])
            loose = [unit for unit in loose if unit.trace_id in seen_ones]
            for source in sealed:
                source.own = lambda block, source=source: self._own(db, tenant, source, block)
        found = [*self._loose_sources(db, loose), *sealed]
        self._forget()
        return sorted(found, key=lambda source: source.latest, reverse=True)

    def _sealed_sources(
        self,
        db: sqlite3.Connection,
        gone: Mapping[int, set[int]],
        only: Mapping[int, set[int]] | None,
    ) -> Iterator[Source]:
        for segment in segments(db):
            if only is not None and segment.id not in only:
                continue
            dead = self._dead_of(db, segment) if segment.dead else frozenset()
            yield Source(
                latest=segment.latest,
                earliest=segment.earliest,
                longest=segment.longest,
                spans=segment.spans,
                open=lambda segment=segment: self._open(db, segment),  # type: ignore[misc]
                segment=segment,
                only=None if only is None else only[segment.id],
                gone=dead | gone.get(segment.id, set()),
            )

    def _own(
        self, db: sqlite3.Connection, tenant: str, source: Source, block: AnyBlock
    ) -> frozenset[int]:
        """Return which traces of a segment are a tenant's; whose a trace is never changes."""
        assert source.segment is not None  # noqa: S101 - only these are asked
        key = tenant, source.segment.id
        known = self._owned.get(key)
        if known is None:
            ids = [block.heads[number].trace_id for number in range(len(block.firsts))]
            own = seen(db, tenant, ids)
            if len(self._owned) >= _OWNED:
                self._owned.clear()
            known = self._owned[key] = frozenset(
                number for number, trace_id in enumerate(ids) if trace_id in own
            )
        return known

    def _dead_of(self, db: sqlite3.Connection, segment: Segment) -> frozenset[int]:
        """Return the traces that are gone; they only become more."""
        known = self._dead.get(segment.id)
        if known is None or len(known) != segment.dead:
            known = self._dead[segment.id] = dead_traces(db, segment.id)
        return known

    def _open(self, db: sqlite3.Connection, segment: Segment) -> SegmentBlock:
        block = self._sealed.pop(segment.id, None)
        if block is None:
            block = SegmentBlock(db, segment.id, segment.spans)
        block.db = db
        self._sealed[segment.id] = block
        return block

    def _loose_sources(self, db: sqlite3.Connection, units: list[Unit]) -> Iterator[Source]:
        if not units:
            self._loose = {}
            return
        from tailrace.store.segments.loading import TraceLoader  # noqa: PLC0415 - often all is sealed

        over = [unit for unit in units if unit.is_over]
        live = [unit for unit in units if not unit.is_over]
        loader = TraceLoader(db, self._path)
        loader.damaged = self.damaged
        kept: dict[tuple[Unit, ...], RowsBlock | None] = {}
        for chunk in map(tuple, chunks(over, SEGMENT_SPANS)):
            if chunk in self._loose:
                kept[chunk] = self._loose[chunk]
        self._loose = kept
        for some, is_over in ((over, True), (live, False)):
            for chunk in map(tuple, chunks(some, SEGMENT_SPANS)):
                yield Source(
                    latest=max(unit.start for unit in chunk),
                    earliest=min(unit.start for unit in chunk),
                    spans=sum(unit.spans for unit in chunk),
                    open=lambda chunk=chunk, over=is_over: self._loaded(loader, chunk, over),  # type: ignore[misc]
                )

    def _loaded(
        self,
        loader: TraceLoader,
        chunk: tuple[Unit, ...],
        is_over: bool,  # noqa: FBT001 - bound in a loop
    ) -> RowsBlock | None:
        if not is_over:
            return loader.block(chunk, now_ns=time.time_ns())
        if chunk not in self._loose:
            damaged = len(loader.damaged)
            block = loader.block(chunk)
            if len(loader.damaged) > damaged or self._weight() > self._most:
                return block
            self._loose[chunk] = block
        return self._loose[chunk]

    def _weight(self) -> int:
        loose = sum(block.size for block in self._loose.values() if block is not None)
        return _ROW_WEIGHT * loose + sum(
            block.weight + weight_of(block) for block in self._sealed.values()
        )

    def _forget(self) -> None:
        """Let go of the blocks that have not been used for the longest time."""
        while self._sealed and self._weight() > self._most:
            self._sealed.popitem(last=False)
        kept = {id(block) for block in (*self._sealed.values(), *self._loose.values())}
        self._dead = {key: known for key, known in self._dead.items() if key in self._sealed}
        self._spots = {key: known for key, known in self._spots.items() if key in kept}

    def drop(self, segment: int) -> None:
        """Forget a segment."""
        self._sealed.pop(segment, None)
        self._owned.clear()
