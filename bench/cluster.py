"""The processes that are measured: nats-server, gateways, workers, and clients of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tailrace.jetstream.address import Address
from tailrace.jetstream.link import Link

HERE = Path(__file__).resolve().parent
_PATIENCE = 30.0
_ADDRESS = re.compile(r"http://[\d.]+:\d+")


@contextmanager
def process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for as long as the block lasts; what it says goes into a file."""
    with log.open("wb") as file:
        child = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT, cwd=HERE)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def nats_server(folder: Path, sync_interval: str) -> Iterator[str]:
    """Run nats-server and yield its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\n'
        f'jetstream {{ store_dir: "{folder / "store"}", sync_interval: {sync_interval} }}\n'
    )
    beside = Path(sys.executable).parent / "nats-server"
    binary = str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"
    with process([binary, "-c", str(config)], folder / "nats.log"):
        _until(lambda: _answers(port), "nats-server answers")
        yield f"nats://127.0.0.1:{port}"


@contextmanager
def gateway(folder: Path, nats: str) -> Iterator[str]:
    """Run a gateway and yield its address once it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "gateway.log"
    command = ["server", "up", "--port", "0", "--nats-url", nats, "--data-dir", str(folder)]
    with process(tailrace(*command), log):
        _until(lambda: _ADDRESS.search(log.read_text()), f"a gateway listens ({log})")
        found = _ADDRESS.search(log.read_text())
        address = found[0] if found else ""
        _until(lambda: asyncio.run(_is_ready(address)), f"a gateway is ready ({log})")
        yield address


@contextmanager
def worker(folder: Path, nats: str, name: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with the flows of the measurements."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["worker", "start", "--worker-id", name, "--flows", "remote_flows", "--nats-url"]
    command += [nats, "--data-dir", str(folder), *options]
    log = folder / f"{name}.log"
    with process(tailrace(*command), log) as child:
        yield child


def tailrace(*arguments: str) -> list[str]:
    """Return the command line of a command of ours."""
    return [sys.executable, "-m", "tailrace", *arguments]


def free_port() -> int:
    """Return a port of the loopback that nobody listens to."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), 1)) as one:
            return one.recv(4).startswith(b"INFO")
    except OSError:
        return False


async def _is_ready(address: str) -> bool:
    try:
        client = await Client.connect(address)
    except OSError:
        return False
    status, _ = await client.ask("GET", "/readyz")
    client.close()
    return status == 200


def _until(condition: Any, what: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain until {what}")
        time.sleep(0.02)


async def connected(url: str) -> Link:
    """Return a connection to NATS."""
    link = Link(Address(urls=(url,)), timeout=20)
    await link.open(wait=10)
    return link


class Client:
    """One kept connection to a gateway; costs little, so that the gateway is what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: str) -> Client:
        """Connect."""
        host, _, port = address.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=1 << 24))

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Send a request and return status and body of its answer."""
        self.send(method, path, body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        return int(head[9:12]), await self.reader.readexactly(size)

    def send(self, method: str, path: str, body: Any = None) -> None:
        """Send a request."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


def kill(child: subprocess.Popen[bytes]) -> None:
    """End a process with SIGKILL, and all it has started."""
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
