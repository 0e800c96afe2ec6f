"""What a worker says of itself in the registry."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable
from copy import copy
from itertools import islice
from uuid import uuid4

from tailrace.errors import TailraceError
from tailrace.model.remote import RunState, WorkerRecord
from tailrace.worker.machine import is_gone, is_running, this_machine
from tailrace.worker.transport import Registry

_log = logging.getLogger("tailrace.worker")
BEAT = 5.0
"""Seconds between two signs of life."""
_SETTLE = 0.25
"""Seconds for which changes are collected before they are written."""
_MOST_SHOWN = 50


class Presence:
    """Keeps the worker's record up to date."""

    def __init__(
        self,
        registry: Registry,
        *,
        worker_id: str,
        tags: tuple[str, ...],
        flows: tuple[str, ...],
        concurrency: int,
        version: str,
    ) -> None:
        self._registry = registry
        self._changed = asyncio.Event()
        self._runs: Iterable[str] = ()
        now = time.time()
        self.record = WorkerRecord(
            worker_id=worker_id,
            instance_id=uuid4().hex,
            tags=tags,
            flows=flows,
            concurrency=concurrency,
            host=os.uname().nodename,
            pid=os.getpid(),
            machine=this_machine(),
            version=version,
            started_at=now,
            updated_at=now,
        )

    @property
    def instance_id(self) -> str:
        """Of this process."""
        return self.record.instance_id

    def runs(self, run_ids: Iterable[str]) -> None:
        """Take in which runs are going on; looked at again when that is written."""
        record = self.record
        self._runs = run_ids
        current = next(iter(run_ids), None)
        state = "RUNNING" if current else "IDLE"
        if (state, current) != (record.state, record.current_run_id):
            record.state, record.current_run_id = state, current
            self._changed.set()

    def ended(self, state: RunState) -> None:
        """Take in how a run ended."""
        record = self.record
        record.last_run_id = state.job.run_id
        record.last_run_status = state.status
        record.last_run_started_at = state.start_time
        record.last_run_finished_at = state.end_time
        record.runs_done += 1

    async def appear(self) -> WorkerRecord | None:
        """Say that the worker is there; return the one in whose stead it is, if that was killed.

        A warning says so where another process seems to use its id.
        """
        try:
            other = await self._registry.worker(self.record.worker_id)
        except TailraceError:
            other = None
        await self._write()
        if other is None or other.stopped_at is not None:
            return None
        if is_gone(other):
            return other
        self._warn_of(other)
        return None

    def _warn_of(self, other: WorkerRecord) -> None:
        if other.host == self.record.host and not is_running(other.pid):
            return  # it was killed, and this one stands in for it
        if abs(time.time() - other.last_heartbeat_at) < BEAT * 2:
            _log.warning(
                "another worker seems to be called %s (on %s, pid %s); give each an id of its own",
                other.worker_id,
                other.host,
                other.pid,
            )

    async def keep(self) -> None:
        """Write the record again and again, and soon after it has changed."""
        while True:
            await self._write()
            try:
                async with asyncio.timeout(BEAT):
                    await self._changed.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(_SETTLE)

    async def _write(self) -> None:
        self._changed.clear()
        now = time.time()
        record = self.record
        record.current_run_ids = tuple(islice(self._runs, _MOST_SHOWN))
        record.last_seen_at = record.last_heartbeat_at = record.updated_at = now
        try:
            await self._registry.put_worker(copy(record))
        except TailraceError:
            return  # the next beat tells the same

    async def leave(self, reason: str) -> None:
        """Say that the worker has stopped in an orderly way."""
        record = self.record
        record.state, record.stop_reason = "STOPPED_GRACEFUL", reason
        record.stopped_at = time.time()
        record.current_run_id, self._runs = None, ()
        await self._write()
