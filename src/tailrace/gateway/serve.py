"""Running a gateway under uvicorn, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol

from tailrace.gateway.app import create_app
from tailrace.gateway.express import Express
from tailrace.gateway.index import SqliteRunIndex
from tailrace.gateway.joined import joined
from tailrace.gateway.service import Gateway
from tailrace.gateway.stored_traces import StoredTraces
from tailrace.jetstream.access import limits_of
from tailrace.jetstream.loops import fast_loop
from tailrace.settings import Settings

INDEX = "index.db"
"""The index's database, in the data folder."""
_GRACE = 5
"""Seconds that requests have to end when the gateway stops."""
_KEEP_ALIVE = 75
_SWITCH = 0.0005
"""Seconds for which a request may have to wait for the thread that makes the index."""


class _Server(uvicorn.Server):
    """A server that ends event streams when it stops: they would keep it waiting."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order on SIGINT and SIGTERM; that is how it is meant to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._gateway.end_streams()
        await super().shutdown(sockets)


def serve(
    settings: Settings,
    bound: socket.socket,
    *,
    data_dir: Path,
    insecure: bool = False,
    listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: of the gateway and of NATS.
        bound: a socket that listens; closed at the end.
        data_dir: where its index lies.
        insecure: let everybody in, from everywhere, without keys.
        listening: told the address as soon as requests are taken.
    """
    sys.setswitchinterval(_SWITCH)
    with bound, asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(_serve(settings, bound, data_dir, insecure=insecure, listening=listening))


def _protocol(gateway: Gateway) -> type[Any]:
    """Return the protocol of connections; the short way is known to the faster one only."""
    chosen: type[Any] = AutoHTTPProtocol
    if chosen is H11Protocol:
        return joined(chosen)
    from tailrace.gateway.lane import Lane  # noqa: PLC0415 - needs httptools

    return cast("type[Any]", partial(Lane, Express(gateway)))


async def _serve(
    settings: Settings,
    bound: socket.socket,
    data_dir: Path,
    *,
    insecure: bool,
    listening: Callable[[str], None],
) -> None:
    index, limits = data_dir / INDEX, limits_of(settings.nats)
    gateway = Gateway(
        settings,
        make_index=lambda link, names: SqliteRunIndex(index, link, names, limits),
        traces=StoredTraces(index),
        insecure=insecure,
    )
    config = uvicorn.Config(
        create_app(gateway),
        http=_protocol(gateway),
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=_KEEP_ALIVE,
        server_header=False,
        proxy_headers=False,
    )
    server = _Server(config, gateway)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    gc.collect()
    gc.set_threshold(20_000, 20, 50)  # runs come and go by the thousand; none is a circle
    gc.freeze()  # what is there now stays; later looks for garbage need not go through it
    listening(f"http://{shown}:{port}")
    await server.serve(sockets=[bound])
