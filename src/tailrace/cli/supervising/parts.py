"""The parts of ``tailrace up``: nats-server, gateway, workers; how each starts and is ready."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from tailrace.cli.supervising.child import Part
from tailrace.jetstream.server import LocalServer

_PATIENCE = 60.0
_OK = 200


class Wishes(Struct, frozen=True, kw_only=True):
    """What was asked for, beside the settings that the parts read themselves."""

    data_dir: Path
    host: str
    port: int
    workers: int
    tags: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    flows_dir: tuple[str, ...] = ()
    allow_modules: tuple[str, ...] = ()
    concurrency: int | None = None
    ack_wait: float | None = None
    drain: float
    """Seconds that a worker has for its runs when it is told to end."""

    @property
    def server(self) -> str:
        """Address of the gateway as this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - read, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def worker_ids(self) -> list[str]:
        """Names of the workers."""
        return [f"local-{number}" for number in range(1, self.workers + 1)]


def nats_part(server: LocalServer) -> Part:
    """Return the NATS server."""
    return Part(
        name="nats",
        command=server.command,
        environ=dict(os.environ),
        is_ready=server.is_ready,
        patience=_PATIENCE,
    )


def gateway_part(wishes: Wishes, server: LocalServer) -> Part:
    """Return the gateway."""
    command = ["tailrace", "server", "up", "--host", wishes.host, "--port", str(wishes.port)]
    command += ["--data-dir", str(wishes.data_dir)]
    return Part(
        name="gateway",
        command=command,
        environ=_environ(server, wishes),
        is_ready=lambda: _answers(wishes),
        patience=_PATIENCE,
    )


def worker_part(wishes: Wishes, server: LocalServer, worker_id: str) -> Part:
    """Return a worker."""
    command = ["tailrace", "worker", "start", "--worker-id", worker_id]
    command += ["--data-dir", str(wishes.data_dir)]
    if wishes.tags:
        command += ["--tags", ",".join(wishes.tags)]
    if wishes.concurrency is not None:
        command += ["--concurrency", str(wishes.concurrency)]
    for option, values in (
        ("--flows", wishes.flows),
        ("--flows-dir", wishes.flows_dir),
        ("--allow-modules", wishes.allow_modules),
    ):
        command += [word for value in values for word in (option, value)]
    begun = time.time()
    return Part(
        name=worker_id,
        command=command,
        environ=_environ(server, wishes),
        is_ready=lambda: _reports(server, worker_id, begun),
        patience=_PATIENCE,
        grace=wishes.drain + 10.0,
    )


def parts(wishes: Wishes, server: LocalServer) -> Sequence[Part]:
    """Return all parts in the order in which they start."""
    workers = [worker_part(wishes, server, worker_id) for worker_id in wishes.worker_ids]
    return [nats_part(server), gateway_part(wishes, server), *workers]


def _environ(server: LocalServer, wishes: Wishes) -> Mapping[str, str]:
    more = {
        "TAILRACE_NATS_URL": server.url,
        "TAILRACE_NATS_TOKEN": server.token,
        "PYTHONUNBUFFERED": "1",
    }
    if wishes.ack_wait is not None:
        more["TAILRACE_NATS_ACK_WAIT"] = f"{wishes.ack_wait:g}"
    return os.environ | more


def _answers(wishes: Wishes) -> bool:
    """Whether the gateway is ready for requests."""
    host = wishes.server.removeprefix("http://").rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, wishes.port, timeout=1.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _reports(server: LocalServer, worker_id: str, begun: float) -> bool:
    """Whether a worker has shown itself since it was started."""
    import asyncio  # noqa: PLC0415 - only while workers start

    from tailrace.cli.supervising.registry import seen_at  # noqa: PLC0415 - likewise

    return asyncio.run(seen_at(server, worker_id)) >= begun
