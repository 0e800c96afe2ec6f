"""What every request passes: where it comes from, who asks, how large it is, how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import TailraceError
from tailrace.gateway.caller import ANYBODY
from tailrace.gateway.problems import Problem, answer_to
from tailrace.gateway.service import Gateway

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Response]]
FastRoutes = Callable[[str, str, bool], tuple[str, Handler] | None]
"""Given method, path and whether there is a query, returns template and handler of a route that is
asked often."""

MOST_WORKFLOW = 262_144
"""Bytes of a workflow that comes with a run."""
OPEN = frozenset({"/health", "/livez", "/readyz"})
"""What answers without a key."""
_FORM = 1024 * 1024
"""Bytes of a form beside its workflow: the other fields."""
_DRAINED = 64 * 1024 * 1024
"""Bytes that are read and thrown away so that a client that only sends hears the refusal."""
_DRAIN_SECONDS = 5.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]", ""})
_UNAVAILABLE = 503
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SUBMITS = frozenset({"/runs", "/runs/yaml", "/v1/traces"})
_log = logging.getLogger(__name__)
_access = logging.getLogger("tailrace.gateway.access")


def role_for(method: str, path: str) -> str:
    """Return the role that a request needs."""
    if method in _SAFE:
        return "read"
    if path in _SUBMITS or (path.startswith("/runs/") and path.endswith("/cancel")):
        return "submit"
    return "admin" if path.startswith("/wheels") else "operate"


class Gate:
    """Stands before all routes. The routes that are asked most often are called from here.

    Authentication comes before the body is read.
    """

    def __init__(self, app: App, gateway: Gateway, fast: FastRoutes) -> None:
        self._app = app
        self._gateway = gateway
        self._fast = fast
        self._counted: dict[tuple[str, str, str], Counter] = {}
        self._header = gateway.settings.api_key_header.lower().encode()
        self._needs_key = gateway.settings.auth == "api_key"
        self._is_guarded = not self._needs_key and not gateway.insecure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._most(scope["path"]))
        try:
            answer = await self._answer(scope, exchange)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            self._log(error, scope)
            answer = None if exchange.status else answer_to(error)
            if answer is not None:
                await exchange.drain()
        if answer is not None:
            await answer(scope, exchange.receive, exchange.send)
        self._count(scope, exchange)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> Response | None:
        """Return the answer; None: the routes have given it already."""
        method, path = scope["method"], scope["path"]
        if path not in OPEN:
            headers = scope["headers"]
            if self._is_guarded:
                demand_own(headers, method)
            caller = ANYBODY
            if self._needs_key:
                caller = await self._gateway.keys.caller(_value(headers, self._header))
                role = role_for(method, path)
                if not caller.may(role):
                    raise Problem(
                        403,
                        "forbidden",
                        code="TR423",
                        message=f"this needs the role {role!r}; the key has {caller.role!r}",
                        hint="Use a key with a higher role.",
                    )
            scope.setdefault("state", {})["caller"] = caller
        exchange.demand_small()
        fast = self._fast(method, path, bool(scope["query_string"]))
        if fast is not None:
            scope["app"] = self._app
            exchange.template, handler = fast
            return await handler(Request(scope, exchange.receive, exchange.send))
        await self._app(scope, exchange.receive, exchange.send)
        return None

    def _most(self, path: str) -> int:
        return MOST_WORKFLOW + _FORM if path == "/runs/yaml" else self._gateway.settings.max_body

    def _log(self, error: Exception, scope: Scope) -> None:
        """Log what is our fault."""
        if not isinstance(error, Problem | TailraceError):
            extra = {"method": scope["method"], "path": scope["path"]}
            _log.error("a request failed", exc_info=error, extra=extra)

    def _count(self, scope: Scope, exchange: _Exchange) -> None:
        template = exchange.template or getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (method, template, str(exchange.status))
        counter = self._counted.get(key)
        if counter is None:
            counter = self._counted[key] = self._gateway.counters.requests.labels(*key)
        counter.inc()
        if exchange.status == _UNAVAILABLE:
            self._gateway.counters.unavailable.inc()
        if self._gateway.settings.access_log:
            _access.info(
                "request",
                extra={
                    "method": method,
                    "path": scope["path"],
                    "status": exchange.status,
                    "seconds": round(time.monotonic() - exchange.began, 6),
                    "client": (scope.get("client") or ("", 0))[0],
                    "key_id": getattr(scope.get("state", {}).get("caller"), "key_id", None),
                },
            )


_METHODS = _SAFE | {"POST", "PUT", "PATCH", "DELETE"}


def _value(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def demand_own(headers: list[tuple[bytes, bytes]], method: str) -> None:
    """Refuse what a web page makes a browser send: without keys, being here is all that counts.

    Raises:
        Problem: 403.
    """
    host = origin = site = ""
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"sec-fetch-site":
            site = value.decode("latin-1")
    named = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    if named.lower() not in _LOOPBACK:
        raise _foreign(f"the request names the host {named[:100]!r}")
    if method in _SAFE:
        return
    if site in {"cross-site", "same-site"} or (origin and origin.partition("://")[2] != host):
        raise _foreign(f"the request comes from a web page of {(origin or site)[:100]!r}")


def _foreign(why: str) -> Problem:
    return Problem(
        403,
        "forbidden",
        code="TR427",
        message=f"{why}; without keys only this machine may ask",
        hint="Use http://127.0.0.1, or start the gateway with --auth api_key.",
    )


class TooLarge(Problem):
    """The body is larger than is allowed."""

    def __init__(self, most: int, *, is_workflow: bool) -> None:
        super().__init__(
            413,
            "workflow too large" if is_workflow else "request too large",
            code="TR425",
            message=f"the request is larger than {most:,} bytes",
            hint="Pass a path or an address instead of the data itself.",
            headers={"Connection": "close"},
        )


class _Exchange:
    """A request's body, which is counted, and its answer, whose status is kept."""

    __slots__ = (
        "_most", "_receive", "_scope", "_seen", "_send", "began", "ended", "status", "template",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._most = most
        self._seen = 0
        self.ended = False
        self.status = 0
        self.template = ""
        """Path of the route, where it was chosen here."""
        self.began = time.monotonic()

    def _too_large(self) -> TooLarge:
        return TooLarge(self._most, is_workflow=self._scope["path"] == "/runs/yaml")

    def demand_small(self) -> None:
        """Refuse a body that says that it is too large.

        Raises:
            TooLarge: it does.
        """
        length = _value(self._scope["headers"], b"content-length")
        if length.isdigit() and int(length) > self._most:
            raise self._too_large()

    async def receive(self) -> Message:
        """Return the next piece of the body.

        Raises:
            TooLarge: there were more bytes than are allowed.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            self.ended = not message.get("more_body", False)
            if self._seen > self._most:
                raise self._too_large()
        else:
            self.ended = True
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def drain(self) -> None:
        """Read what the client still sends, up to a bound: it listens only when it is done."""
        length = _value(self._scope["headers"], b"content-length")
        is_chunked = bool(_value(self._scope["headers"], b"transfer-encoding"))
        if self.ended or not (is_chunked or (length.isdigit() and int(length) > 0)):
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._seen < _DRAINED:
                    message = await self._receive()
                    self._seen += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return
