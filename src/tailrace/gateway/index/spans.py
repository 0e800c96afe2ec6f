"""Follows the stream of spans from elsewhere, which any gateway has taken in."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable, Sequence
from itertools import groupby

from tailrace.errors import NotFound, SettingsError, TransportError
from tailrace.gateway.index.desk import Desk
from tailrace.jetstream.answers import Stored
from tailrace.jetstream.follow import Follower
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.objects import REFERENCE, JetStreamObjects
from tailrace.store.remote import Position
from tailrace.tracing.otlp import Export, FileFormat, ReadReport, read_exports, unpacked

TENANT = "Tailrace-Tenant"
"""Header of an export: whose key it came with."""
JOINS = "Tailrace-Joins"
"""Header of an export of somebody who may add to the traces of all tenants."""
_JSON = "application/json"
_TROUBLE = 0.25


class SpansFollower:
    """Takes in exports as they come: OTLP, JSON or protobuf as their content type says."""

    def __init__(self, link: Link, names: Names, objects: JetStreamObjects, desk: Desk) -> None:
        self._link = link
        self._names = names
        self._objects = objects
        self._desk = desk

    async def follow(self) -> None:
        """Follow for ever.

        Raises:
            StreamReplaced: the stream is another one: begin anew with an empty index.
            StoreError: the index cannot be written.
        """
        stream = self._names.spans
        position = await self._desk.write(self._desk.writer.position, stream)
        follower = Follower(
            self._link,
            stream,
            first=position.sequence + 1,
            created=position.created,
            pause=0.1,
            live=(self._names.foreign("*"),),
        )
        try:
            async for page in follower.pages():
                exports = [(one, await self._body(one)) for one in page if not one.is_marker]
                await self._desk.write(self._take, exports)
                taken = Position(follower.created, page[-1].sequence)
                await self._desk.write(self._desk.writer.move, stream, taken)
        finally:
            follower.close()

    async def _body(self, stored: Stored) -> bytes:
        """Return an export, which may be kept beside its message; nothing where it has expired."""
        if REFERENCE not in stored.headers:
            return stored.body
        while True:
            try:
                return await self._objects.body_of(stored)
            except NotFound:
                return b""
            except TransportError:
                await asyncio.sleep(_TROUBLE)

    def _take(self, exports: Sequence[tuple[Stored, bytes]]) -> None:
        for (tenant, joins), some in groupby(exports, key=lambda one: _sender(one[0])):
            found = [one for stored, body in some for one in _exports(stored, body)]
            self._desk.writer.take_exports(found, tenant=tenant, joins=joins)


def _sender(stored: Stored) -> tuple[str, bool]:
    """Return whose spans an export holds, and whether they may be added to anything."""
    tenant = stored.headers.get(TENANT, "")
    return tenant, not tenant or JOINS in stored.headers


def _exports(stored: Stored, body: bytes) -> Iterable[Export]:
    """Return an export of which something is valid; who sent it has been told of the rest."""
    is_json = stored.headers.get("Content-Type") == _JSON
    file = unpacked(io.BytesIO(body))
    try:
        return list(
            read_exports(file, FileFormat.JSON if is_json else FileFormat.PROTO, ReadReport())
        )
    except (RecursionError, SettingsError):
        return []
