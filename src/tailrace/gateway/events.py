"""Server-sent events: frames, and an answer that ends with its client, its run or its gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tailrace.gateway.problems import Problem

if TYPE_CHECKING:
    from tailrace.gateway.service import Gateway

HEARTBEAT = 1.5
"""Seconds of silence after which a sign of life is sent; an older client gives up after 5."""
_STUCK = 60.0
"""Seconds for which a client may take nothing of what is sent."""
STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "connection": "keep-alive",
    "x-accel-buffering": "no",
}


def frame(event: str, data: bytes, *, event_id: str = "") -> bytes:
    """Return an event. ``data`` is JSON on one line."""
    head = f"event: {event}\n" + (f"id: {event_id}\n" if event_id else "")
    return head.encode() + b"data: " + data + b"\n\n"


def demand_room(gateway: Gateway) -> None:
    """Refuse one more event stream where too many are open.

    Raises:
        Problem: 503.
    """
    if len(gateway.streams) >= gateway.settings.max_watchers:
        raise Problem(
            503,
            "too many watchers",
            code="TR431",
            message=f"{len(gateway.streams):,} event streams are open; no more are taken",
            hint="Raise gateway.max_watchers, or watch fewer runs.",
            headers={"Retry-After": "5"},
        )


class EventStream(Response):
    """An answer whose body comes as it happens.

    Args:
        gateway: whose end ends the stream, too.
        frames: what is sent.

    Raises:
        Problem: 503, too many streams are open.
    """

    def __init__(self, gateway: Gateway, frames: AsyncIterator[bytes]) -> None:
        demand_room(gateway)
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._gateway = gateway
        self._frames = frames

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI
        """Send frames until there are no more, or nobody is left to take them."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        pump = asyncio.create_task(self._pump(send))
        left = asyncio.create_task(gone(receive))
        self._gateway.streams.add(pump)
        self._gateway.counters.watchers.inc()
        try:
            await asyncio.wait({pump, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._gateway.streams.discard(pump)
            self._gateway.counters.watchers.dec()
            has_client = not left.done()
            for task in (pump, left):
                task.cancel()
                with suppress(asyncio.CancelledError, TimeoutError):
                    await task
        if has_client:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Any) -> None:
        try:
            async for body in self._frames:
                async with asyncio.timeout(_STUCK):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            close = getattr(self._frames, "aclose", None)
            if close is not None:
                await close()


async def gone(receive: Any) -> None:
    """Return when the client has left."""
    while True:
        message: MutableMapping[str, Any] = await receive()
        if message["type"] == "http.disconnect":
            return
