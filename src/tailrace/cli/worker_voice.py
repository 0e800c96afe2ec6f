"""What a worker says while it works: one line per run, for people or for programs."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean

if TYPE_CHECKING:
    from tailrace.model.remote import RunState
    from tailrace.settings import Settings
    from tailrace.worker.catalogue import Catalogue

_STYLES = {"COMPLETED": "green", "FAILED": "red", "CANCELLED": "yellow"}
_PAUSE = 0.05
"""Seconds between two writes of lines of which there are many."""
_encode = msgspec.json.Encoder().encode


class Voice(logging.Handler):
    """Writes lines; also takes what the worker logs."""

    def __init__(self, terminal: Terminal, *, as_json: bool, worker_id: str) -> None:
        super().__init__(logging.INFO)
        self._terminal = terminal
        self._as_json = as_json
        self._worker_id = worker_id
        self._lines: list[str] = []
        self._later: asyncio.TimerHandle | None = None
        self._wrote_at = 0.0

    def listen(self) -> None:
        """Take what ``tailrace`` logs from now on."""
        logger = logging.getLogger("tailrace.worker")
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log line."""
        self.say(record.getMessage(), level=record.levelname.lower())

    def say(self, message: str, *, level: str = "info", **data: Any) -> None:
        """Write a line."""
        if self._as_json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = {"timestamp": now, "level": level, "worker_id": self._worker_id}
            text = _encode({**line, "message": message, **data}).decode()
        else:
            sign = "" if level == "info" else self._terminal.style(f"{level}: ", "bold yellow")
            text = f"{time.strftime('%H:%M:%S')} {sign}{clean(message)}"
        self._lines.append(text)
        self.flush()

    def _write(self, line: str) -> None:
        """Write a line at once, or soon where there are many: each write lets others in."""
        self._lines.append(line)
        if self._later is not None:
            return
        if time.monotonic() - self._wrote_at > _PAUSE:
            self.flush()
        else:
            self._later = asyncio.get_running_loop().call_later(_PAUSE, self.flush)

    def flush(self) -> None:
        """Write what is left to be written."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        lines, self._lines = self._lines, []
        if lines:
            self._wrote_at = time.monotonic()
            self._terminal.stream.write("\n".join([*lines, ""]))
            self._terminal.stream.flush()

    def serves(self, settings: Settings, catalogue: Catalogue) -> None:
        """Say what the worker takes."""
        worker = settings.worker
        names = ", ".join(catalogue.names) or "none of its own; it takes runs that bring theirs"
        runs = "run" if worker.concurrency == 1 else "runs"
        self.say(
            f"worker {self._worker_id} serves tags {', '.join(worker.tags)},"
            f" {worker.concurrency} {runs} at a time; flows: {names}",
            event="ready",
            tags=worker.tags,
            flows=catalogue.names,
            concurrency=worker.concurrency,
        )

    def ended(self, state: RunState) -> None:
        """Say how a run ended."""
        seconds = None
        if state.start_time is not None and state.end_time is not None:
            seconds = round(state.end_time - state.start_time, 6)
        if self._as_json:
            self.say(
                f"run {state.job.run_id} {state.status}",
                level="info" if state.status != "FAILED" else "error",
                event="run",
                run_id=state.job.run_id,
                flow=state.job.flow_name,
                status=state.status,
                seconds=seconds,
                claims=state.claims,
                error=state.error,
                letter=state.letter or None,
            )
            return
        status = self._terminal.style(state.status, _STYLES.get(state.status, ""))
        took = "" if seconds is None else f" in {_duration(seconds)}"
        why = f": {state.error.splitlines()[0]}" if state.error else ""
        left = f" ({state.letter})" if state.letter else ""
        text = f"run {state.job.run_id} {clean(state.job.flow_name)} {status}{took}"
        self._write(f"{time.strftime('%H:%M:%S')} {text}{clean(why + left)}")

    def stopped(self) -> None:
        """Say that all is over."""
        self.say("stopped", event="stopped")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
