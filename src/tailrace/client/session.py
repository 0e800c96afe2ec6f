"""What both clients share: settings of the connection, and what its troubles mean."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
from msgspec import Struct

from tailrace.client.calls import Call
from tailrace.client.patience import Patience
from tailrace.client.refusals import error_of, not_ours, unreachable
from tailrace.client.target import Target
from tailrace.errors import SettingsError, TransportError

T = TypeVar("T")
C = TypeVar("C")
STREAM = "text/event-stream"
_CONNECT = 5.0
_ERRNO = re.compile(r"\[Errno -?\d+\] ?")
_rng = random.Random()  # noqa: S311 - spreads requests, guards nothing


def _demand_ascii(key: str) -> None:
    if not key.isascii() or not key.isprintable():
        raise SettingsError(
            "the API key has characters that no key has",
            code="TR192",
            hint="check TAILRACE_API_KEY, or the context; a key is ASCII, as it was shown once",
        )


class Connection(Struct, frozen=True, kw_only=True):
    """How a server is spoken to."""

    target: Target
    timeout: float = 30.0
    """Seconds that the server has for an answer."""
    patience: Patience = Patience()
    unheard: float | None = None
    """Seconds for which a server is asked that nobody has heard of yet; None: as any other."""
    user_agent: str = "tailrace"

    def options(self) -> dict[str, Any]:
        """Return the arguments of httpx's client."""
        target = self.target
        headers = {"User-Agent": self.user_agent, "Accept": "application/json"}
        if target.api_key:
            _demand_ascii(target.api_key)
            headers[target.api_key_header] = target.api_key
        return {
            "base_url": target.server,
            "headers": headers,
            "timeout": httpx.Timeout(self.timeout, connect=min(_CONNECT, self.timeout)),
            "trust_env": not target.is_loopback,
            "follow_redirects": False,
        }

    def made(self, kind: Callable[..., C]) -> C:
        """Return a client of httpx.

        Raises:
            SettingsError: it cannot use the proxy that the environment names (TR192).
        """
        try:
            return kind(**self.options())
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            name = proxy_for(self.target.server) or "the environment"
            why = "SOCKS needs the package socksio" if isinstance(error, ImportError) else error
            raise SettingsError(
                f"the proxy that {name} names cannot be used: {why}",
                code="TR192",
                hint=f"mend or unset {name}, or name the server in NO_PROXY",
            ) from error

    def trouble(self, error: Exception, asked: str) -> TransportError:
        """Return what an error of httpx means."""
        server = self.target.server
        match error:
            case httpx.ConnectTimeout() | httpx.ConnectError() | httpx.PoolTimeout():
                why, hint = _reason(error), ""
                if "wrong_version_number" in why:
                    why, hint = "it does not speak TLS", f"write http:// rather than {server[:8]}"
                elif "certificate" in why:
                    hint = "SSL_CERT_FILE names the certificate of an authority of your own"
                name = "" if self.target.is_loopback else proxy_for(server)
                if name:
                    why += f" (asked through the proxy that {name} names)"
                return unreachable(server, why, was_sent=False, hint=hint)
            case httpx.TimeoutException():
                return unreachable(server, f"{asked} took longer than {self.timeout:g} s")
            case httpx.DecodingError() | httpx.RemoteProtocolError():
                return unreachable(server, f"the connection broke at {asked}")
            case httpx.TransportError():
                return unreachable(server, _reason(error))
            case _:
                return not_ours(asked, _reason(error))


def proxy_for(server: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the variable that names the proxy for a server; empty: none does."""
    scheme = server.partition(":")[0]
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((name for name in names if environ.get(name)), "")


def _reason(error: Exception) -> str:
    return _ERRNO.sub("", str(error)).lower() or type(error).__name__


class Tries:
    """The tries of one request: whether there is another one, and when."""

    def __init__(self, connection: Connection, *, may_repeat: bool, is_heard: bool) -> None:
        """Begin; ``is_heard`` says whether the server has ever said anything."""
        self._may_repeat = may_repeat
        self._patience = connection.patience
        self._unheard = None if is_heard else connection.unheard
        self._begun = time.monotonic()
        self._count = 0

    def after(self, error: TransportError) -> float:
        """Return the seconds until the next try.

        Raises:
            TransportError: ``error``, when there is none.
        """
        self._count += 1
        elapsed = time.monotonic() - self._begun
        patience = self._patience
        if error.details.get("was_sent") is not False:
            self._unheard = None
        if self._unheard is not None:
            patience = Patience(seconds=min(self._unheard, patience.seconds))
        may = self._may_repeat or error.details.get("was_sent") is False
        delay = patience.delay(error, attempt=self._count, elapsed=elapsed, rng=_rng)
        if not may or delay is None:
            raise error
        return delay


def demand_stream(response: httpx.Response, asked: str) -> None:
    """Refuse an answer that is no stream of events and no error.

    Raises:
        TransportError: it is something else (TR407).
    """
    kind = response.headers.get("content-type", "")
    if not kind.startswith(STREAM):
        raise not_ours(asked, f"it answered {kind or 'nothing'} rather than events")


def refusal(response: httpx.Response, body: bytes, asked: str) -> Exception:
    """Return the error that an answer means."""
    return error_of(response.status_code, response.headers, body, asked=asked)


def read(call: Call[T], response: httpx.Response) -> T:
    """Return what an answer says."""
    headers: Mapping[str, str] = response.headers
    return call.read(response.status_code, headers, response.content)


class Clock:
    """Seconds that are left of a time; None: for ever."""

    def __init__(self, seconds: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = None if seconds is None else now() + seconds

    @property
    def left(self) -> float:
        """Seconds to go; never below 0."""
        return float("inf") if self._end is None else max(0.0, self._end - self._now())
