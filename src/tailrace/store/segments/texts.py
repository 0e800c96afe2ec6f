"""Sorted texts in chunks: looking one up unpacks a chunk or two, not all."""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import overload

import msgspec

from tailrace.store.segments.planes import numbers, pack, unpack

_CHUNK = 256
"""Texts of a chunk at most."""
_CHUNK_SIZE = 32_768
"""Characters after which a chunk ends."""
_KEPT = 4_096
"""Texts of a column that are kept once they have been read; of a larger one, a few chunks and as
many texts that were asked for singly."""
_CHUNKS_KEPT = 16
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


class PackedTexts(msgspec.Struct, array_like=True, frozen=True):
    """Texts as bytes."""

    count: int
    firsts: bytes
    """For each chunk the number of its first text."""
    ends: bytes
    """For each chunk where it ends in ``chunks``."""
    chunks: bytes


def pack_texts(texts: Sequence[str]) -> PackedTexts:
    """Return sorted texts as bytes."""
    firsts: list[int] = []
    ends: list[int] = []
    chunks: list[bytes] = []
    end = at = 0
    while at < len(texts):
        chunk = texts[at : at + _CHUNK]
        if sum(map(len, chunk)) > _CHUNK_SIZE:
            chunk = _shortened(chunk)
        body = zlib.compress(_encode(chunk), 1)
        firsts.append(at)
        at += len(chunk)
        end += len(body)
        ends.append(end)
        chunks.append(body)
    return PackedTexts(
        len(texts), pack(numbers(firsts, at)), pack(numbers(ends, end)), b"".join(chunks)
    )


def _shortened(texts: Sequence[str]) -> Sequence[str]:
    size = 0
    for count, text in enumerate(texts, 1):
        size += len(text)
        if size > _CHUNK_SIZE:
            return texts[:count]
    return texts


class Texts(Sequence[str]):
    """Packed texts, unpacked as they are asked for.

    Raises:
        ValueError: from any method: the bytes are damaged.
    """

    def __init__(self, packed: PackedTexts) -> None:
        self._count = packed.count
        self._firsts: array[int] = unpack(packed.firsts)
        self._ends: array[int] = unpack(packed.ends)
        self._chunks = packed.chunks
        self._known: dict[int, list[str]] = {}
        self._single: dict[int, str] = {}
        self._all: list[str] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if self._all is not None:
            return self._all[index]
        if self._count <= _KEPT or isinstance(index, slice):
            return self._whole()[index]
        if index < 0:
            index += self._count
        if not 0 <= index < self._count:
            raise IndexError(index)
        text = self._single.get(index)
        if text is None:
            number = bisect_right(self._firsts, index) - 1
            if len(self._single) >= _KEPT:
                self._single.clear()
            text = self._single[index] = self._chunk(number)[index - self._firsts[number]]
        return text

    def __iter__(self) -> Iterator[str]:
        if self._all is not None or self._count <= _KEPT:
            yield from self._whole()
            return
        for number in range(len(self._firsts)):
            yield from self._unpacked(number)

    def __reversed__(self) -> Iterator[str]:
        return iter(self._whole()[::-1])

    def _whole(self) -> list[str]:
        if self._all is not None:
            return self._all
        texts = [text for number in range(len(self._firsts)) for text in self._unpacked(number)]
        if self._count <= _KEPT:
            self._all = texts
            self._chunks = b""
        return texts

    def _chunk(self, number: int) -> list[str]:
        chunk = self._known.get(number)
        if chunk is None:
            if len(self._known) >= _CHUNKS_KEPT:
                self._known.clear()
            chunk = self._known[number] = self._unpacked(number)
        return chunk

    def _unpacked(self, number: int) -> list[str]:
        start = self._ends[number - 1] if number else 0
        try:
            return _decode(zlib.decompress(self._chunks[start : self._ends[number]]))
        except (zlib.error, msgspec.MsgspecError) as error:
            raise ValueError(f"texts cannot be read: {error}") from error
