"""What a field is at each span, event or link of a block, read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import chain, repeat
from math import nan
from operator import sub

from tailrace.model.states import SpanStatus
from tailrace.traceql.block import Block, Owner, Values
from tailrace.traceql.codes import codes_of
from tailrace.traceql.evaluate.nested_set import NestedSet
from tailrace.traceql.names import INTRINSIC_TYPES
from tailrace.traceql.tree import Attribute, Field, Intrinsic, IntrinsicName, Scope, Type

Single = str | int | float | bool
Many = tuple[Single, ...]
"""The elements of an array, each once, ascending."""
Held = Single | Many | None


class Home(Enum):
    """What has the rows of a field."""

    SPAN = "span"
    EVENT = "event"
    LINK = "link"


_N = IntrinsicName
_SPARSE = 8
"""Up to one span in so many, what each has is looked up singly."""
OWNERS = {
    Scope.SPAN: Owner.SPAN, Scope.RESOURCE: Owner.RESOURCE, Scope.EVENT: Owner.EVENT,
    Scope.LINK: Owner.LINK, Scope.INSTRUMENTATION: Owner.INSTRUMENTATION,
}  # fmt: skip
_OF_EVENT = frozenset({_N.EVENT_NAME, _N.EVENT_TIME_SINCE_START})
_OF_LINK = frozenset({_N.LINK_TRACE_ID, _N.LINK_SPAN_ID})
STORED = {
    _N.NAME: "", _N.STATUS: SpanStatus.UNSET.value, _N.STATUS_MESSAGE: "", _N.KIND: None,
    _N.INSTRUMENTATION_NAME: "", _N.INSTRUMENTATION_VERSION: "", _N.EVENT_NAME: "",
    _N.EVENT_TIME_SINCE_START: None, _N.LINK_TRACE_ID: None, _N.LINK_SPAN_ID: None,
}  # fmt: skip
"""Intrinsics that are columns, with what a row has that was left out."""
OF_TRACE = frozenset({_N.TRACE_ID, _N.TRACE_DURATION, _N.ROOT_NAME, _N.ROOT_SERVICE_NAME})


def home_of(field: Field) -> Home:
    """Return what has the rows of a field."""
    if isinstance(field, Intrinsic):
        event, link = field.name in _OF_EVENT, field.name in _OF_LINK
    else:
        event, link = field.scope is Scope.EVENT, field.scope is Scope.LINK
    return Home.EVENT if event else Home.LINK if link else Home.SPAN


def key_of(field: Field) -> tuple[str, str]:
    """Return something that is equal for equal fields and quick to look up."""
    return ("", field.name) if isinstance(field, Intrinsic) else (field.scope, field.name)


class Fields:
    """The fields of a block by row; each is made when it is first asked for, and kept."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.size = block.size
        self._known: dict[tuple[str, str], Sequence[Held]] = {}
        self._firsts: dict[tuple[str, str], Sequence[Held]] = {}
        self._nested: NestedSet | None = None

    @property
    def nested(self) -> NestedSet:
        """Places in the trees of the traces."""
        if self._nested is None:
            self._nested = NestedSet(self.block)
        return self._nested

    def count(self, home: Home) -> int:
        """Return how many spans, events or links there are."""
        match home:
            case Home.SPAN:
                return self.size
            case Home.EVENT:
                return len(self.block.event_spans)
            case Home.LINK:
                return len(self.block.link_spans)

    def columns(self, field: Field) -> Sequence[Values]:
        """Return the columns of an attribute with one scope, or of a stored intrinsic."""
        if isinstance(field, Intrinsic):
            return self.block.column(Owner.INTRINSIC, field.name)
        return self.block.column(OWNERS[field.scope], field.name)

    def values(self, field: Field) -> Sequence[Held]:
        """Return the value of a field for each row of its home."""
        key = key_of(field)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._made(field)
        return known

    def values_at(self, field: Field, rows: Sequence[int]) -> Sequence[Held]:
        """Return what ``first_values`` does; for spans that are not in ``rows`` perhaps None."""
        if key_of(field) in self._known or len(rows) * _SPARSE > self.size:
            return self.first_values(field)
        fields: tuple[Field, ...] = (field,)
        absent = None
        if isinstance(field, Intrinsic):
            if field.name not in STORED:
                return self.first_values(field)
            absent = STORED[field.name]
        elif field.scope is Scope.ANY:
            fields = Attribute(Scope.RESOURCE, field.name), Attribute(Scope.SPAN, field.name)
        columns = [column for one in fields for column in self.columns(one)]
        if home_of(field) is not Home.SPAN or any(column.array for column in columns):
            return self.first_values(field)
        out: list[Held] = [absent] * self.size
        for column in columns:
            codes, values = codes_of(self.block, column), column.values
            is_truth = column.type is Type.BOOL
            for row in rows:
                code = codes[row]
                if code:
                    out[row] = bool(values[code - 1]) if is_truth else values[code - 1]
            for row in column.nan:
                out[row] = nan
        return out

    def first_values(self, field: Field) -> Sequence[Held]:
        """Return for each span the value of the first of its events or links that has one."""
        home = home_of(field)
        if home is Home.SPAN:
            return self.values(field)
        key = key_of(field)
        known = self._firsts.get(key)
        if known is None:
            first: list[Held] = [None] * self.size
            spans = self.block.event_spans if home is Home.EVENT else self.block.link_spans
            values = self.values(field)
            for row in range(len(values) - 1, -1, -1):
                if values[row] is not None:
                    first[spans[row]] = values[row]
            known = self._firsts[key] = first
        return known

    def types_of(self, field: Field) -> frozenset[tuple[Type, bool]]:
        """Return the types that the field has in the block, each with whether it is in arrays."""
        if isinstance(field, Intrinsic):
            return frozenset({(INTRINSIC_TYPES[field.name], False)})
        if field.scope is not Scope.ANY:
            return frozenset((column.type, column.array) for column in self.columns(field))
        both = (Attribute(Scope.SPAN, field.name), Attribute(Scope.RESOURCE, field.name))
        return self.types_of(both[0]) | self.types_of(both[1])

    def is_uniform(self, field: Field) -> bool:
        """Whether equal values of the field in the block are of one type; it has no arrays."""
        types = self.types_of(field)
        return len(types) < 2 and all(not array and kind is not Type.FLOAT for kind, array in types)

    def has_only_integers(self, field: Field) -> bool:
        """Whether what the field has in the block are integers or durations."""
        return all(
            not array and kind in (Type.INT, Type.DURATION) for kind, array in self.types_of(field)
        )

    def _made(self, field: Field) -> Sequence[Held]:
        if isinstance(field, Intrinsic):
            return self._intrinsic(field)
        size = self.count(home_of(field))
        if field.scope is not Scope.ANY:
            return spread(self.columns(field), size)
        own = self.values(Attribute(Scope.SPAN, field.name))
        if not self.block.column(Owner.RESOURCE, field.name):
            return own
        other = self.values(Attribute(Scope.RESOURCE, field.name))
        return [b if a is None else a for a, b in zip(own, other, strict=True)]

    def _intrinsic(self, field: Intrinsic) -> Sequence[Held]:
        block, name = self.block, field.name
        if name in STORED:
            return spread(self.columns(field), self.count(home_of(field)), STORED[name])
        if name in OF_TRACE:
            lengths = self.trace_lengths()
            return list(chain.from_iterable(map(repeat, self.of_traces(name), lengths)))
        if name is _N.SPAN_PARENT_ID:
            return [parent or None for parent in block.parent_ids]
        return _DENSE[name](self)

    def trace_lengths(self) -> list[int]:
        """Return the number of spans of each trace."""
        firsts = list(self.block.firsts)
        return list(map(sub, [*firsts[1:], self.size], firsts))

    def of_traces(self, name: IntrinsicName) -> list[Single]:
        """Return an intrinsic of the trace for each trace."""
        return list(self.block.of_traces(name))


_DENSE: dict[IntrinsicName, Callable[[Fields], Sequence[Held]]] = {
    _N.DURATION: lambda fields: fields.block.durations,
    _N.SPAN_ID: lambda fields: fields.block.span_ids,
    _N.SPAN_CHILD_COUNT: lambda fields: fields.nested.child_counts,
    _N.NESTED_SET_LEFT: lambda fields: fields.nested.lefts,
    _N.NESTED_SET_RIGHT: lambda fields: fields.nested.rights,
    _N.NESTED_SET_PARENT: lambda fields: fields.nested.parents,
}


def spread(columns: Sequence[Values], size: int, absent: Single | None = None) -> list[Held]:
    """Return the values of columns by row; ``absent`` for rows without one."""
    out: list[Held] = [absent] * size
    arrays: dict[int, list[Single]] = {}
    for column in columns:
        for row in column.nan:
            out[row] = nan
        if column.array:
            for row, value in zip(column.rows, _repeated(column), strict=True):
                arrays.setdefault(row, []).append(value)
            for row in column.nan:
                arrays.setdefault(row, []).append(nan)
        else:
            for row, value in zip(column.rows, _repeated(column), strict=True):
                out[row] = value
    for row, elements in arrays.items():
        out[row] = tuple(elements)
    return out


def _repeated(column: Values) -> Sequence[Single] | chain[Single]:
    """Return the value of each entry of ``rows``."""
    made: Callable[[Single], Single] | None = bool if column.type is Type.BOOL else None
    values = list(map(made, column.values)) if made else column.values
    if len(values) == len(column.rows):
        return values
    offsets = column.offsets
    lengths = map(sub, offsets[1:], offsets)
    return chain.from_iterable(map(repeat, values, lengths))
