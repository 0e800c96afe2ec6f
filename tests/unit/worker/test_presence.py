"""What a worker thinks of another one of its name."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from tailrace.model.remote import WorkerRecord
from tailrace.worker.presence import Presence


class Registry:
    """Holds one record."""

    def __init__(self, record: WorkerRecord | None) -> None:
        self.record = record

    async def put_worker(self, record: WorkerRecord) -> int:
        self.record = record
        return 1

    async def worker(self, worker_id: str) -> WorkerRecord | None:
        return self.record if self.record and self.record.worker_id == worker_id else None


def dead() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(60)
    return process.pid


def warnings(caplog: pytest.LogCaptureFixture, **record: Any) -> list[str]:
    """Return what a worker says that finds this record under its name."""
    host = os.uname().nodename
    given = {"host": host, "last_heartbeat_at": time.time(), **record}
    registry = Registry(WorkerRecord(worker_id="w1", instance_id="other", **given))
    presence = Presence(registry, worker_id="w1", tags=(), flows=(), concurrency=1, version="1")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "tailrace.worker"):
        asyncio.run(presence.appear())
    return caplog.messages


def test_a_living_worker_of_the_same_name_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    (said,) = warnings(caplog, pid=os.getpid())
    assert f"pid {os.getpid()}" in said
    assert "give each an id of its own" in said
    assert warnings(caplog, pid=dead(), host="elsewhere")  # nothing is known of processes there


def test_one_that_was_killed_or_has_stopped_or_is_silent_is_no_twin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert warnings(caplog, pid=dead()) == []
    assert warnings(caplog, pid=os.getpid(), stopped_at=time.time()) == []
    assert warnings(caplog, pid=os.getpid(), last_heartbeat_at=time.time() - 60) == []
