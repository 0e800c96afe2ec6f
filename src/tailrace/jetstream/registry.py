"""What there is one of each: workers, whether they are hidden, API keys."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tailrace.errors import Conflict
from tailrace.jetstream.answers import Stored, instant_of
from tailrace.jetstream.link import Fence, Link
from tailrace.jetstream.names import Names, is_token
from tailrace.model.remote import WorkerRecord, decode_worker, encode

_HIDDEN, _SHOWN = b"1", b"0"


class JetStreamRegistry:
    """Entries of the registry stream. Nothing in it expires; one event loop uses it."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names

    async def put_worker(self, record: WorkerRecord) -> int:
        """Store a worker's record, which the worker alone writes, and return its sequence."""
        subject = self._names.worker(record.worker_id)
        sequence, _ = await self._link.store(subject, encode(record))
        return sequence

    async def worker(self, worker_id: str) -> WorkerRecord | None:
        """Return a worker's record; None: it never was here."""
        if not is_token(worker_id):
            return None
        stored = await self._link.last(self._names.registry, self._names.worker(worker_id))
        return None if stored is None or stored.is_marker else decode_worker(stored.body)

    async def workers(self) -> dict[str, tuple[WorkerRecord, bool]]:
        """Return all workers by id, and whether each is hidden.

        When they were seen last is told by the server's clock: theirs may be wrong.
        """
        hidden = await self.hidden()
        found: dict[str, tuple[WorkerRecord, bool]] = {}
        for worker_id, stored in (await self._all(self._names.worker("*"))).items():
            try:
                record = decode_worker(stored.body)
            except msgspec.DecodeError:
                continue  # of somebody who does not keep to the format
            record.last_seen_at = record.last_heartbeat_at = record.updated_at = stored.at
            found[worker_id] = (record, worker_id in hidden)
        return found

    async def now(self) -> float:
        """Return the server's clock, Unix seconds."""
        return instant_of((await self._link.info(self._names.registry))["ts"])

    async def forget_worker(self, worker_id: str) -> bool:
        """Remove a worker and whether it is hidden; False: there is none."""
        if not is_token(worker_id):
            return False
        await self._link.purge(self._names.registry, self._names.hidden(worker_id))
        return await self._link.purge(self._names.registry, self._names.worker(worker_id)) > 0

    async def hide(self, worker_id: str, *, hidden: bool) -> None:
        """Say whether a worker is shown; that outlives its restarts."""
        await self._link.store(self._names.hidden(worker_id), _HIDDEN if hidden else _SHOWN)

    async def hidden(self) -> frozenset[str]:
        """Return the ids of hidden workers."""
        found = await self._all(self._names.hidden("*"))
        return frozenset(name for name, stored in found.items() if stored.body == _HIDDEN)

    async def put_key(self, key_id: str, body: bytes, *, expected: int) -> int:
        """Store an API key over the one of sequence ``expected`` (0: over none); return the new.

        Raises:
            Conflict: another one is stored by now.
        """
        subject = self._names.key(key_id)
        try:
            sequence, _ = await self._link.store(subject, body, fence=Fence(subject, expected))
        except Conflict:
            stored = await self._link.last(self._names.registry, subject)
            if stored is None or stored.body != body:
                raise
            return stored.sequence
        return sequence

    async def key(self, key_id: str) -> tuple[bytes, int] | None:
        """Return an API key and its sequence; None: there is none."""
        if not is_token(key_id):
            return None
        stored = await self._link.last(self._names.registry, self._names.key(key_id))
        return None if stored is None or stored.is_marker else (stored.body, stored.sequence)

    async def keys(self) -> Mapping[str, tuple[bytes, int]]:
        """Return all API keys by id, with their sequences."""
        found = await self._all(self._names.key("*"))
        return {key_id: (stored.body, stored.sequence) for key_id, stored in found.items()}

    async def remove_key(self, key_id: str) -> bool:
        """Delete an API key; False: there is none."""
        if not is_token(key_id):
            return False
        return await self._link.purge(self._names.registry, self._names.key(key_id)) > 0

    async def _all(self, subject: str) -> dict[str, Stored]:
        found: dict[str, Stored] = {}
        first = 1
        while page := await self._link.scan(self._names.registry, first, subject=subject):
            for one in page:
                if not one.is_marker:
                    found[one.subject.rpartition(".")[2]] = one
            first = page[-1].sequence + 1
        return found
