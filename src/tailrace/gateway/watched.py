"""``GET /runs/{run_id}/watch`` as an answer: it lasts as long as its client, its run, its time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from starlette.responses import Response

from tailrace.gateway.events import STREAM_HEADERS, demand_room, gone
from tailrace.gateway.known import KnownRun
from tailrace.gateway.seat import Seat
from tailrace.gateway.service import Gateway
from tailrace.gateway.watching import Wish


class Watching(Response):
    """A run as it changes. On a connection of ours no task beside the request's own is needed.

    Raises:
        Problem: 503, too many streams are open.
    """

    def __init__(self, gateway: Gateway, run: KnownRun, wish: Wish) -> None:
        demand_room(gateway)
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._gateway = gateway
        self._run = run
        self._wish = wish

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send events until there are no more, or nobody is left to take them."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        line = scope.get("state", {}).get("line")
        seat, beside = Seat(line), list[asyncio.Task[None]]()
        if line is None:
            beside.append(asyncio.create_task(_left(receive, seat)))
            beside.append(asyncio.create_task(seat.pump(send)))
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - somebody awaits this
        self._gateway.streams.add(task)
        self._gateway.counters.watchers.inc()
        try:
            has_client = await self._watch(seat, send)
        except asyncio.CancelledError:
            task.uncancel()  # the gateway stops; the answer ends as it should
            has_client = True
            for one in beside:
                one.cancel()
        except TimeoutError:
            return  # it takes nothing: the server disconnects it
        finally:
            self._gateway.streams.discard(task)
            self._gateway.counters.watchers.dec()
            seat.end()
            seat.close()
            for one in beside[:1]:
                one.cancel()
            for one in beside:  # what is left to be sent is sent
                with suppress(asyncio.CancelledError, TimeoutError):
                    await one
        if has_client:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, seat: Seat, send: Any) -> bool:
        """Show the run; return whether there is still somebody to show it to."""
        async with self._gateway.shows.seated(seat, self._run, self._wish) as show:
            try:
                async with asyncio.timeout(self._wish.timeout):
                    has_client = await asyncio.shield(seat.over)
            except TimeoutError:
                seat.put(show.heartbeat())
                return True
            if has_client:
                await seat.drain(send)
            return has_client


async def _left(receive: Any, seat: Seat) -> None:
    await gone(receive)
    seat.left()
