"""``AsyncClient``: a Tailrace server, called from asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from tailrace.client import calls
from tailrace.client.calls import Call, ListOptions, SubmitOptions, WorkflowOptions
from tailrace.client.patience import Patience
from tailrace.client.session import Clock, Connection, Tries, demand_stream, read, refusal
from tailrace.client.shapes import Page, Run, RunEvent, Submitted, Tasks, Worker
from tailrace.client.target import find_target
from tailrace.client.watching import SILENCE, Following
from tailrace.errors import TransportError

T = TypeVar("T")


class AsyncClient:
    """A Tailrace server. One event loop uses it; close it, or use it in ``async with``.

    Requests that do no harm when they are sent twice are sent again while the server does not
    answer; a submission is one of them, as each has an idempotency key.

    Args:
        server: address, such as ``http://127.0.0.1:8000``; found as the command line finds it.
        api_key: key for it, where it asks for one.
        context: name of a saved context, instead of ``server``.
        timeout: seconds that the server has for an answer.
        retry_for: seconds for which a request is sent again; 0: it is sent once.
        unheard: the same for a server that refuses connections and has not answered this client
            before; None: there is no difference.

    Raises:
        SettingsError: there is no such context, or the address is none.
    """

    def __init__(
        self,
        server: str = "",
        *,
        api_key: str = "",
        context: str = "",
        timeout: float = 30.0,
        retry_for: float = 10.0,
        unheard: float | None = None,
    ) -> None:
        self.target = find_target(server, context=context, api_key=api_key)
        self._connection = Connection(
            target=self.target,
            timeout=timeout,
            patience=Patience(seconds=retry_for),
            unheard=unheard,
        )
        self._http = self._connection.made(httpx.AsyncClient)
        self._is_heard = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Return the answer to a request.

        Raises:
            TransportError: the server does not answer, or cannot do its work.
            NotAllowed: a key is missing, wrong, or has too low a role.
            NotFound: what is asked for is not there.
            Conflict: somebody else was first.
            DefinitionError: the request is not valid; the message says what to change.
        """
        tries = self._tries(may_repeat=call.may_repeat)
        while True:
            try:
                return read(call, await self._send(call))
            except TransportError as error:
                await asyncio.sleep(tries.after(error))

    async def _send(self, call: Call[Any]) -> httpx.Response:
        try:
            answer = await self._http.request(
                call.method,
                call.path,
                params=call.query,
                content=call.body,
                headers=call.headers,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._connection.trouble(error, call.asked) from error
        self._is_heard = True
        return answer

    def _tries(self, *, may_repeat: bool = True) -> Tries:
        return Tries(self._connection, may_repeat=may_repeat, is_heard=self._is_heard)

    async def submit(
        self, flow: str, params: Mapping[str, Any] | None = None, **options: Unpack[SubmitOptions]
    ) -> Submitted:
        """Queue a run of a flow that workers know; when this returns, it will be executed."""
        return await self.send(calls.submit(flow, params, options))

    async def submit_yaml(
        self,
        workflow: str | bytes,
        flow: str,
        params: Mapping[str, Any] | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> Submitted:
        """Queue a run of the text of a ``flow.yaml``; ``params`` go over the flow's defaults."""
        return await self.send(calls.submit_yaml(workflow, flow, params, options))

    async def get(self, run_id: str, *, records: bool = False) -> Run:
        """Return a run as it stands, with the records of its tasks where that is asked for."""
        return await self.send(calls.get(run_id, records=records))

    async def tasks(self, run_id: str) -> Tasks:
        """Return the tasks of a run with their records."""
        return await self.send(calls.tasks(run_id))

    async def list_runs(self, **options: Unpack[ListOptions]) -> Page:
        """Return a page of runs, the last changed first."""
        return await self.send(calls.list_runs(options))

    async def runs(self, **options: Unpack[ListOptions]) -> AsyncIterator[Run]:
        """Yield runs, page after page, the last changed first."""
        while True:
            page = await self.list_runs(**options)
            for run in page.items:
                yield run
            if not page.next_cursor:
                return
            options["cursor"] = page.next_cursor

    async def cancel(self, run_id: str, *, reason: str = "", requested_by: str = "") -> Run:
        """Have a run cancelled, and return it as it stands; one that is over stays as it is."""
        return await self.send(calls.cancel(run_id, reason=reason, requested_by=requested_by))

    async def watch(
        self,
        run_id: str,
        *,
        records: bool = False,
        timeout: float | None = None,
        last_event_id: str = "",
    ) -> AsyncIterator[RunEvent]:
        """Yield a run whenever it changes, until it is over.

        Breaks of the connection are mended without a gap: what has changed meanwhile comes first.

        Args:
            run_id: the run.
            records: with the records of its tasks.
            timeout: seconds after which to stop, whatever the run does; None: never.
            last_event_id: go on from there.

        Raises:
            TransportError: the server has not answered for as long as requests are sent again.
            NotFound: there is no such run.
        """
        following = Following(run_id, records=records, last_event_id=last_event_id)
        clock, asked = Clock(timeout), f"GET {following.path}"
        tries = self._tries()
        while not following.is_over and clock.left > 0:
            try:
                async with self._http.stream(
                    "GET",
                    following.path,
                    params=following.query(clock.left),
                    headers=following.headers(),
                    timeout=httpx.Timeout(self._connection.timeout, read=SILENCE),
                ) as response:
                    if response.status_code != httpx.codes.OK:
                        raise refusal(response, await response.aread(), asked)
                    demand_stream(response, asked)
                    self._is_heard = True
                    tries = self._tries()
                    async for piece in response.aiter_bytes():
                        for event in following.feed(piece):
                            yield event
                        if following.is_over or clock.left <= 0:
                            return
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                await asyncio.sleep(
                    min(tries.after(self._connection.trouble(error, asked)), clock.left)
                )
            except TransportError as error:
                await asyncio.sleep(min(tries.after(error), clock.left))

    async def wait(self, run_id: str, *, timeout: float | None = None) -> Run:
        """Return a run, with its records, as soon as it is over.

        Raises:
            TimeoutError: it is not over after ``timeout`` seconds.
        """
        async for event in self.watch(run_id, timeout=timeout):
            if event.run.is_terminal:
                return await self.get(run_id, records=True)
        raise TimeoutError(f"run {run_id} is not over after {timeout:g} s")

    async def run(
        self,
        flow: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Run:
        """Submit a run and return it as soon as it is over; ``raise_for_status`` checks it.

        Raises:
            TimeoutError: it is not over after ``timeout`` seconds; it goes on.
        """
        submitted = await self.submit(flow, params, **options)
        return await self.wait(submitted.run_id, timeout=timeout)

    async def workers(
        self,
        *,
        scope: str = "active",
        state: str = "",
        include_hidden: bool = False,
        limit: int = 100,
    ) -> list[Worker]:
        """Return workers, the last seen first: those that are ``active``, or ``all``."""
        return await self.send(
            calls.workers(scope=scope, state=state, include_hidden=include_hidden, limit=limit)
        )

    async def hide_worker(self, worker_id: str, *, hidden: bool = True) -> None:
        """Hide a worker from lists, or show it again; that outlives its restarts."""
        await self.send(calls.hide_worker(worker_id, hidden=hidden))

    async def ready(self) -> dict[str, Any]:
        """Return what the server says of itself when it can do its work.

        Raises:
            TransportError: it cannot, or is not there.
        """
        return await self.send(calls.ready())
