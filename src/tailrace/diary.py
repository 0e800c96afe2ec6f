"""The execution diary: one JSON line per finished run in ``runtime_execution.log``.

Any number of processes may append at once: each entry is a single write to a file opened for
appending. A line that was torn by a crash or a full disk is passed over when reading, and never
swallows the next one. Empty lines mean nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tailrace.model.report import RuntimeExecutionReport

FILE_NAME = "runtime_execution.log"
_BLOCK = 64 * 1024
_LOOK_BACK = 16 * 1024 * 1024
"""Bytes from the end that are searched for an entry."""
_MAX_LINE = 1024 * 1024
_DECIDED = frozenset({"COMPLETED", "FAILED"})
_LOG = logging.getLogger(__name__)


def append_entry(
    folder: Path,
    *,
    flow: str,
    trace_id: str,
    status: str,
    report: RuntimeExecutionReport | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> bool:
    """Append the entry of a finished run to the diary in ``folder``, which is made if need be.

    ``inputs`` are summaries of the run's params. A diary that cannot be written costs a warning in
    the log, never the run: then the answer is False.
    """
    entry: dict[str, Any] = {
        "time": datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
        "trace_id": trace_id,
        "flow": flow,
        "status": status,
        "params": dict(inputs or {}),
    }
    if report is not None:
        known = report.to_dict()
        entry |= {
            "failed_node": known["node_path"] or known["failed_node_id"],
            "summary": known["summary"],
            "policy_snapshot": known["policy_snapshot"],
            "input_summary": known["input_summary"],
        }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _append(folder / FILE_NAME, _line(entry))
    except OSError as error:
        _LOG.warning("the diary could not be written: %s", error)
        return False
    return True


def last_failure(folder: Path, flow: str) -> dict[str, Any] | None:
    """Return the entry of the flow's newest run if that run failed, else None.

    Cancelled runs are passed over: they say nothing about the flow. Only the end of the file is
    read, at most 16 MiB of it.
    """
    wanted = msgspec.json.encode(flow)
    try:
        for line in _lines_from_end(folder / FILE_NAME):
            if wanted in line:
                entry = _entry(line)
                if entry.get("flow") == flow and entry.get("status") in _DECIDED:
                    return entry if entry["status"] == "FAILED" else None
    except OSError:
        return None
    return None


def _line(entry: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(entry) + b"\n"
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError):
        import json  # noqa: PLC0415 - only for texts that UTF-8 cannot hold

        return json.dumps(entry, default=str).encode("ascii") + b"\n"


def _append(path: Path, line: bytes) -> None:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # a torn line ends here
        if os.write(descriptor, line) != len(line):
            raise OSError(f"only a part of the entry fitted into {path}")
    finally:
        os.close(descriptor)


def _lines_from_end(path: Path) -> Iterator[bytes]:
    """Yield lines, last first; a line longer than 1 MiB is cut."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        oldest = max(0, position - _LOOK_BACK)
        rest = b""
        while position > oldest:
            size = min(_BLOCK, position - oldest)
            position -= size
            file.seek(position)
            first, *lines = (file.read(size) + rest).split(b"\n")
            yield from reversed(lines)
            rest = first[:_MAX_LINE]
        yield rest


def _entry(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
