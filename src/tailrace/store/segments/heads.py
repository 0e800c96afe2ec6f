"""The traces of a segment as bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

import msgspec

from tailrace.store.segments.planes import numbers, pack, unpack
from tailrace.store.segments.texts import PackedTexts, Texts, pack_texts
from tailrace.traceql.block import OfTraces, TraceHead
from tailrace.traceql.tree import IntrinsicName

_ID_SIZE = 16


class PackedHeads(msgspec.Struct, frozen=True, array_like=True):
    """Traces, as columns; all but the ids and texts are packed arrays."""

    trace_ids: bytes
    firsts: bytes
    starts: bytes
    durations: bytes
    errors: bytes
    runs: bytes
    texts: PackedTexts
    """Names of roots and of their services."""
    root_names: bytes
    root_services: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedHeads).decode


def pack_heads(heads: Sequence[TraceHead], firsts: Sequence[int], spans: int) -> bytes:
    """Return traces as bytes."""
    texts = sorted({text for head in heads for text in (head.root_name, head.root_service)})
    codes = {text: code for code, text in enumerate(texts)}
    most = len(texts)
    packed = PackedHeads(
        b"".join([bytes.fromhex(head.trace_id) for head in heads]),
        pack(numbers(firsts, spans)),
        pack(array("q", [head.start_ns for head in heads])),
        pack(array("q", [head.duration_ns for head in heads])),
        pack(numbers([head.errors for head in heads], spans)),
        pack(numbers([head.is_run for head in heads], 1)),
        pack_texts(texts),
        pack(numbers([codes[head.root_name] for head in heads], most)),
        pack(numbers([codes[head.root_service] for head in heads], most)),
    )
    return _encode(packed)


class Heads(Sequence[TraceHead]):
    """The traces of a segment; each is made when it is first asked for."""

    def __init__(self, body: bytes, spans: int) -> None:
        packed = _decode(body)
        self._ids = packed.trace_ids
        self.firsts = unpack(packed.firsts)
        """The first span of each."""
        self.starts = unpack(packed.starts)
        """The start of each."""
        self._durations = unpack(packed.durations)
        self._errors = unpack(packed.errors)
        self._runs = unpack(packed.runs)
        self._texts = list(Texts(packed.texts))
        self._root_names = unpack(packed.root_names)
        self._root_services = unpack(packed.root_services)
        self._ends = self.firsts[1:]
        self._spans = spans
        self._made: list[TraceHead | None] = [None] * len(self.firsts)

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, index: int) -> TraceHead: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TraceHead]: ...
    def __getitem__(self, index: int | slice) -> TraceHead | Sequence[TraceHead]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        head = self._made[index]
        if head is None:
            number = index if index >= 0 else index + len(self)
            head = self._made[number] = self._make(number)
        return head

    def __iter__(self) -> Iterator[TraceHead]:
        return map(self.__getitem__, range(len(self)))

    def of_traces(self, name: IntrinsicName) -> OfTraces:
        """Return an intrinsic of the trace for each of them."""
        match name:
            case IntrinsicName.TRACE_DURATION:
                return self._durations
            case IntrinsicName.ROOT_NAME:
                return list(map(self._texts.__getitem__, self._root_names))
            case IntrinsicName.ROOT_SERVICE_NAME:
                return list(map(self._texts.__getitem__, self._root_services))
            case _:
                digits, width = self._ids.hex(), 2 * _ID_SIZE
                return [digits[at : at + width] for at in range(0, len(digits), width)]

    def trace_id(self, number: int) -> str:
        """Return the id of one of them."""
        return self._ids[number * _ID_SIZE : (number + 1) * _ID_SIZE].hex()

    def _make(self, number: int) -> TraceHead:
        end = self._ends[number] if number < len(self._ends) else self._spans
        return TraceHead(
            trace_id=self.trace_id(number),
            start_ns=self.starts[number],
            duration_ns=self._durations[number],
            root_name=self._texts[self._root_names[number]],
            root_service=self._texts[self._root_services[number]],
            spans=end - self.firsts[number],
            errors=self._errors[number],
            is_run=bool(self._runs[number]),
        )
