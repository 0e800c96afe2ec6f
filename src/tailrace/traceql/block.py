"""Whole traces as columns: what queries are evaluated over, whoever stores them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

from msgspec import Struct

from tailrace.traceql.tree import IntrinsicName, Type


class Owner(StrEnum):
    """What a column belongs to. Rows of EVENT and LINK columns are events and links."""

    INTRINSIC = "intrinsic"
    """Stored ones only: ``name status statusMessage kind instrumentation:name
    instrumentation:version event:name event:timeSinceStart link:traceID link:spanID``, by the
    names of ``IntrinsicName``. The rest follows from the block's arrays. A row may be left out
    where a text is empty or a status is ``unset``."""
    SPAN = "span"
    RESOURCE = "resource"
    INSTRUMENTATION = "instrumentation"
    EVENT = "event"
    LINK = "link"


class Values(Struct, frozen=True):
    """The values of one type in a column, each with the rows that have it.

    An empty array is no value, an array of one element is that element. NaN is no value of
    ``values``: rows that have it are in ``nan``.
    """

    type: Type
    """INT FLOAT STRING BOOL DURATION STATUS KIND; a status or kind is its name."""
    array: bool
    """Whether the values are elements of arrays; a row then stands under several."""
    values: Sequence[str] | Sequence[int] | Sequence[float] | Sequence[bool]
    """Ascending, each once."""
    offsets: Sequence[int]
    """``rows[offsets[i]:offsets[i + 1]]`` have ``values[i]``; one more than values."""
    rows: Sequence[int]
    """Numbers of spans, events or links; ascending under each value."""
    nan: Sequence[int] = ()


class TraceHead(Struct, frozen=True, kw_only=True):
    """A trace of a block."""

    trace_id: str
    """32 hex digits."""
    start_ns: int
    duration_ns: int
    root_name: str
    root_service: str
    spans: int
    errors: int
    is_run: bool


class Sharing(Protocol):
    """What spans share: bodies of attributes, one of which each span has."""

    @property
    def bodies(self) -> Values:
        """The bodies, each with its spans; all of an owner that has bodies have one."""
        ...

    def by_body(self, name: str) -> Sequence[Values]:
        """Return the values of an attribute by type, whose rows are numbers of ``bodies``."""
        ...


OfTraces: TypeAlias = Sequence[str] | Sequence[int]


def of_heads(heads: Sequence[TraceHead], name: IntrinsicName) -> OfTraces:
    """Return what ``Block.of_traces`` does."""
    match name:
        case IntrinsicName.TRACE_DURATION:
            return [head.duration_ns for head in heads]
        case IntrinsicName.ROOT_NAME:
            return [head.root_name for head in heads]
        case IntrinsicName.ROOT_SERVICE_NAME:
            return [head.root_service for head in heads]
        case _:
            return [head.trace_id for head in heads]


class Block(Protocol):
    """Whole traces. Spans are numbered from 0; those of one trace follow each other.

    Inside a trace they are in order of start. What is not needed is not loaded: each property
    and each column is read when it is first asked for, and kept.
    """

    @property
    def size(self) -> int:
        """How many spans."""
        ...

    @property
    def heads(self) -> Sequence[TraceHead]:
        """The traces, in the order of their spans."""
        ...

    def of_traces(self, name: IntrinsicName) -> OfTraces:
        """Return an intrinsic of the trace for each trace; the same as of ``heads``, but quicker.

        Args:
            name: TRACE_ID, TRACE_DURATION, ROOT_NAME or ROOT_SERVICE_NAME.
        """
        ...

    @property
    def firsts(self) -> Sequence[int]:
        """The first span of each trace, ascending."""
        ...

    @property
    def parents(self) -> Sequence[int]:
        """For each span the number of its parent, or -1: a root or an orphan.

        Cycles are cut: walking up always ends.
        """
        ...

    @property
    def orphans(self) -> Sequence[int]:
        """Spans that name a parent but have none here, ascending; see ``model.family``.

        Neither they nor what is under them has a place in the tree of the trace.
        """
        ...

    @property
    def starts(self) -> Sequence[int]:
        """For each span its start, ns since the epoch."""
        ...

    @property
    def durations(self) -> Sequence[int]:
        """For each span its duration in ns; of an open one until now."""
        ...

    @property
    def by_duration(self) -> Sequence[int]:
        """All spans, the shortest first."""
        ...

    @property
    def span_ids(self) -> Sequence[str]:
        """For each span its id, 16 hex digits."""
        ...

    @property
    def parent_ids(self) -> Sequence[str]:
        """For each span its parent's id as it came; empty: a root."""
        ...

    @property
    def event_spans(self) -> Sequence[int]:
        """For each event its span, ascending."""
        ...

    @property
    def link_spans(self) -> Sequence[int]:
        """For each link its span, ascending."""
        ...

    def column(self, owner: Owner, name: str) -> Sequence[Values]:
        """Return the values of an attribute or a stored intrinsic by type; empty: nobody has it.

        RESOURCE and INSTRUMENTATION columns have a row for each span.
        """
        ...

    def shared(self, owner: Owner) -> Sharing | None:
        """Return RESOURCE or INSTRUMENTATION columns by body; None: only ``column`` has them."""
        ...

    def names(self, owner: Owner) -> Sequence[str]:
        """Return the names of all columns of an owner."""
        ...
