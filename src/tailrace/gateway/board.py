"""The workers, as read from the registry at most once a second."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.model.remote import WorkerRecord

_FRESH = 1.0
"""Seconds for which what was read is good enough."""
_GLANCE = 0.1
"""Seconds for which it is remembered which tags are served."""
_ALIVE = frozenset({"RUNNING", "IDLE"})
_NO_SYNC = {"enabled": False, "last_result": "disabled"}


class WorkerBoard:
    """What the registry says of workers, and what follows from the time that has passed."""

    def __init__(self, registry: JetStreamRegistry, *, timeout: float) -> None:
        self._registry = registry
        self._timeout = timeout
        self._workers: dict[str, tuple[WorkerRecord, bool]] = {}
        self._read_at = float("-inf")
        self._ahead = 0.0
        """Seconds by which the clock of NATS, which says when they were seen, is ahead of ours."""
        self._reading: asyncio.Task[None] | None = None
        self._served: dict[tuple[str, str], bool] = {}
        self._served_until = float("-inf")

    async def workers(self) -> list[dict[str, Any]]:
        """Return all workers as ``GET /workers`` shows them, the last seen first.

        Raises:
            TransportError: NATS does not answer.
        """
        await self._refresh()
        return self.shown()

    async def worker(self, worker_id: str) -> dict[str, Any] | None:
        """Return one worker; None: there is none, or NATS does not say."""
        await self._refresh()
        found = self._workers.get(worker_id)
        return None if found is None else self._show(*found)

    def shown(self) -> list[dict[str, Any]]:
        """Return the workers as they were when they were read last."""
        found = [self._show(*one) for one in self._workers.values()]
        return sorted(found, key=lambda one: float(one["last_seen_at"]), reverse=True)

    def serves(self, tag: str, flow: str = "") -> bool | None:
        """Whether a worker that is alive takes a tag, and has a flow; None: nobody knows yet."""
        if self._read_at == float("-inf"):
            return None
        now = time.monotonic()
        if now > self._served_until:
            self._served.clear()
            self._served_until = now + _GLANCE
        found = self._served.get((tag, flow))
        if found is None:
            workers = (record for record, _ in self._workers.values())
            found = any(
                tag in one.tags
                and (not flow or not one.flows or flow in one.flows)
                and self.state_of(one) in _ALIVE
                for one in workers
            )
            self._served[tag, flow] = found
        return found

    def state_of(self, record: WorkerRecord) -> str:
        """Return how a worker is: one that was not seen for long is DISCONNECTED."""
        is_silent = time.time() + self._ahead - record.last_seen_at > self._timeout
        return "DISCONNECTED" if record.state in _ALIVE and is_silent else record.state

    def forget(self) -> None:
        """Have the registry read again for the next question."""
        self._read_at = min(self._read_at, time.monotonic() - _FRESH)

    async def _refresh(self) -> None:
        if time.monotonic() - self._read_at < _FRESH:
            return
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done)
        await asyncio.shield(self._reading)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()  # whoever asked is told; nobody may have waited to the end

    async def _read(self) -> None:
        self._workers = await self._registry.workers()
        self._served.clear()
        self._ahead = await self._registry.now() - time.time()
        self._read_at = time.monotonic()

    def _show(self, record: WorkerRecord, hidden: bool) -> dict[str, Any]:  # noqa: FBT001 - a pair as the registry gives it
        return {
            "worker_id": record.worker_id,
            "instance_id": record.instance_id,
            "state": self.state_of(record),
            "hidden": hidden,
            "tags": list(record.tags),
            "last_seen_at": record.last_seen_at,
            "last_heartbeat_at": record.last_heartbeat_at,
            "heartbeat_at": record.last_heartbeat_at,
            "current_run_id": record.current_run_id,
            "last_run_id": record.last_run_id,
            "last_run_status": record.last_run_status,
            "last_run_started_at": record.last_run_started_at,
            "last_run_finished_at": record.last_run_finished_at,
            "stopped_at": record.stopped_at,
            "stop_reason": record.stop_reason,
            "updated_at": record.updated_at or record.last_seen_at,
            "wheel_sync": record.wheel_sync or _NO_SYNC,
            "current_run_ids": list(record.current_run_ids),
            "flows": list(record.flows),
            "concurrency": record.concurrency,
            "host": record.host,
            "pid": record.pid,
            "version": record.version,
            "started_at": record.started_at,
            "runs_done": record.runs_done,
            "spooled": record.spooled,
        }
