"""Payloads too large for a message, in pieces, under the digest of what they hold."""

from __future__ import annotations

import asyncio
import hashlib

from tailrace.errors import NotFound, TransportError
from tailrace.jetstream.answers import Stored
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.resources import Limits

REFERENCE = "Tailrace-Object"
"""Header of a message whose body is an object instead; the body is empty."""
MOST_BYTES = 256 * 1024 * 1024
"""Of one object."""
_PIECE = 512 * 1024
_AT_ONCE = 4
"""Pieces under way; more would only wait in this process."""
_COUNT = "Tailrace-Pieces"
_DAY = 86_400


class JetStreamObjects:
    """See ``ports.Objects``. An object can be put again at any time: it is the same one.

    It expires ``keep`` seconds after it was put last.
    """

    def __init__(self, link: Link, names: Names, limits: Limits | None = None) -> None:
        self._link = link
        self._names = names
        self._keep = (limits or Limits()).keep_days * _DAY

    async def put(self, data: bytes, *, keep: float | None = None) -> str:
        """Store an object and return its name.

        Args:
            data: what it holds.
            keep: seconds until it expires; None: as long as runs are kept.

        Raises:
            TransportError: TR403, it is larger than 256 MiB.
        """
        if len(data) > MOST_BYTES:
            raise TransportError(
                f"{len(data):,} bytes are more than the {MOST_BYTES:,} that are kept beside"
                " messages",
                code="TR403",
                hint="pass a path or an address instead of the data itself",
            )
        name = hashlib.sha256(data).hexdigest()
        size = min(_PIECE, self._link.max_payload - 1024)
        pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        seconds = int(self._keep if keep is None else keep) + 1
        headers = {_COUNT: str(len(pieces)), "Nats-TTL": f"{seconds}s"}
        for start in range(0, len(pieces), _AT_ONCE):
            await asyncio.gather(
                *(
                    self._link.store(
                        self._names.chunk(name, number),
                        piece,
                        headers=headers,
                        stream=self._names.objects,
                    )
                    for number, piece in enumerate(pieces[start : start + _AT_ONCE], start)
                )
            )
        return name

    async def get(self, name: str) -> bytes:
        """Return what an object holds.

        Raises:
            NotFound: it has expired, or was never there.
        """
        found = await self._link.last_of(self._names.objects, [self._names.chunks(name)])
        pieces = {_number(one): one for one in found if not one.is_marker}
        count = int(next(iter(pieces.values())).headers[_COUNT]) if pieces else 0
        data = b"".join(pieces[number].body for number in range(count) if number in pieces)
        if not pieces or hashlib.sha256(data).hexdigest() != name:
            raise NotFound(
                f"object {name[:12]}… is not there (any more)",
                hint="payloads too large for a message are kept as long as runs are",
            )
        return data

    async def body_of(self, stored: Stored) -> bytes:
        """Return the body of a message, which may be an object.

        Raises:
            NotFound: the object has expired.
        """
        name = stored.headers.get(REFERENCE)
        return stored.body if name is None else await self.get(name)

    async def remove(self, name: str) -> None:
        """Delete an object."""
        await self._link.purge(self._names.objects, self._names.chunks(name))


def _number(stored: Stored) -> int:
    return int(stored.subject.rpartition(".")[2])
