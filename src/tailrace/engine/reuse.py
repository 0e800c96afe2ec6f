"""What earlier runs of a lineage have finished, so that a new run need not do it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tailrace.codecs import Encoded, decode, encode, missing
from tailrace.errors import StoreError


class Extra(msgspec.Struct, omit_defaults=True):
    """What a node left besides its output."""

    scratch: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}
    routes: list[str] | None = None
    """Successors that a route chose; None: all."""


class Stored(msgspec.Struct, frozen=True):
    """The output of a finished node as it was stored."""

    run_id: str
    """The run in which the node ran."""
    codec: str
    body: bytes
    extra: bytes | None = None


class Pending(msgspec.Struct, frozen=True):
    """A node that was between two attempts when its process died."""

    attempts: int
    """Attempts that have failed."""
    retry_at: int
    """Nanoseconds since the epoch of the next one."""


class Reuse(msgspec.Struct, frozen=True):
    """Finished nodes by path. Paths hold loop indices, so iterations are told apart."""

    run_id: str
    """The run that this one goes on with."""
    stored: Mapping[str, Stored] = msgspec.field(default_factory=dict)
    pending: Mapping[str, Pending] = msgspec.field(default_factory=dict)
    decisions: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Path of a switch or race that ended, and the key of the branch it took."""
    span_id: str = ""
    """Of the span of the run that this one goes on with."""

    def value(self, path: str) -> tuple[Any, Extra, str] | None:
        """Return (output, extra, run id) of a finished node.

        None when it has not finished, or what was stored of it cannot be read: it runs again.
        """
        stored = self.stored.get(path)
        if stored is None:
            return None
        try:
            value = decode(stored.codec, stored.body)
            extra = Extra() if stored.extra is None else read_extra(stored.extra)
        except StoreError:
            return None
        return value, extra, stored.run_id

    def trouble(self, path: str) -> str:
        """Return why what was stored of a finished node cannot be reused; empty when it can."""
        stored = self.stored.get(path)
        if stored is None:
            return ""
        try:
            decode(stored.codec, stored.body)
            if stored.extra is not None:
                read_extra(stored.extra)
        except StoreError as error:
            return f"what run {stored.run_id} left of it cannot be reused: {error.message}"
        return ""


def write_extra(extra: Extra) -> bytes | None:
    """Return what a node left besides its output as bytes; None when that is nothing.

    Scratch that no codec knows is left out with the rest: the node is then run again.
    """
    data: dict[str, Any] = {}
    if extra.scratch:
        data["scratch"] = extra.scratch
    if extra.artifacts:
        data["artifacts"] = extra.artifacts
    if extra.routes is not None:
        data["routes"] = extra.routes
    if not data:
        return None
    encoded = encode(data)
    kept = encoded if isinstance(encoded, Encoded) else missing(encoded)
    return kept.codec.encode() + b"\n" + kept.body


def read_extra(body: bytes) -> Extra:
    """Return what ``write_extra`` was given.

    Raises:
        StoreError: it cannot be read.
    """
    codec, _, rest = body.partition(b"\n")
    return Extra(**decode(codec.decode("ascii", "replace"), rest))
