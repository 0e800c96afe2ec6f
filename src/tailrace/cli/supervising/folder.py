"""The data folder of ``tailrace up``: who uses it, and what is remembered in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tailrace.client.local import LOCK, Running, running_in
from tailrace.errors import SettingsError
from tailrace.jetstream.server import LocalServer, free_port, is_port_free, new_token

LAYOUT = 1
"""Version of what ``up.json`` says and of where things are."""
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_MEMORY = "up.json"
_LOOKS = 5


class DataFolder:
    """A folder that this process alone uses, for as long as it lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Keep everybody else out.

        Raises:
            SettingsError: somebody is in (TR198), or the folder cannot be used (TR198, TR199).
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            self._wait_for_a_look()
        except BlockingIOError:
            self._leave()
            raise _in_use(self.path, running_in(self.path)) from None
        except OSError as error:
            self._leave()
            reason = error.strerror or str(error)
            raise SettingsError(
                f"{self.path} cannot be used: {reason}",
                code="TR198",
                hint="name a folder on a local disk with --data-dir",
            ) from error
        try:
            self.announce("")
            yield
        finally:
            os.ftruncate(self._lock, 0)
            self._leave()

    def _wait_for_a_look(self) -> None:
        """Lock; ``running_in`` of another process may have the lock for a moment."""
        assert self._lock is not None  # noqa: S101 - opened by the only caller
        for _ in range(_LOOKS):
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(0.02)
        return fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _leave(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def announce(self, server: str) -> None:
        """Let other commands find the gateway."""
        assert self._lock is not None  # noqa: S101 - only within ``taken``
        said = json.dumps({"pid": os.getpid(), "server": server}).encode()
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, said, 0)

    def local_server(
        self, program: Path, version: tuple[int, int, int], profile: str
    ) -> LocalServer:
        """Return the NATS server of the folder, at the port of the last time if that is free.

        Raises:
            SettingsError: a newer Tailrace or nats-server has written the folder (TR199).
        """
        memory = self._remembered(version)
        port = memory.get("nats_port")
        if not isinstance(port, int) or not is_port_free("127.0.0.1", port):
            port = free_port()
        token = str(memory.get("nats_token") or new_token())
        self._remember(
            {
                "layout": LAYOUT,
                "nats_port": port,
                "nats_token": token,
                "nats_version": list(version),
            }
        )
        return LocalServer(
            program=program,
            folder=self.path / "nats",
            port=port,
            token=token,
            name=f"tailrace-{secrets.token_hex(4)}",
            profile=profile,
        )

    def _remembered(self, version: tuple[int, int, int]) -> dict[str, Any]:
        file = self.path / _MEMORY
        try:
            found = json.loads(file.read_bytes())
        except FileNotFoundError:
            found = {}
        except (OSError, ValueError) as error:
            raise _unusable(file, f"cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise _unusable(file, "is not what tailrace up has written")
        layout = found.get("layout", LAYOUT)
        if not isinstance(layout, int) or layout > LAYOUT:
            raise _newer(self.path, f"its layout is {layout}, this tailrace knows {LAYOUT}")
        wrote = found.get("nats_version") or [0]
        if list(wrote[:2]) > list(version[:2]):
            names = [".".join(map(str, one)) for one in (wrote, version)]
            raise _newer(self.path, f"nats-server {names[0]} wrote it, here is {names[1]}")
        return found

    def _remember(self, memory: dict[str, Any]) -> None:
        file, new = self.path / _MEMORY, self.path / f"{_MEMORY}.new"
        with os.fdopen(os.open(new, _ANEW, 0o600), "w") as out:
            json.dump(memory, out, indent=2)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)


def _in_use(path: Path, running: Running | None) -> SettingsError:
    if running is None:
        return SettingsError(f"another process uses {path}", code="TR198", hint=_OTHER)
    at = f", at {running.server}" if running.server else ""
    return SettingsError(
        f"tailrace up runs already in {path}: process {running.pid}{at}",
        code="TR198",
        hint=f"use that one, or end it (kill {running.pid}), or {_OTHER}",
        details={"pid": running.pid, "server": running.server},
    )


_OTHER = "name another folder with --data-dir"


def _newer(path: Path, why: str) -> SettingsError:
    hint = "upgrade with pip install --upgrade 'tailrace[distributed]', or " + _OTHER
    return SettingsError(f"{path} is from a newer version: {why}", code="TR199", hint=hint)


def _unusable(file: Path, why: str) -> SettingsError:
    hint = f"restore it, or {_OTHER}; the runs are in nats/store beside it"
    return SettingsError(f"{file} {why}", code="TR199", hint=hint)
