"""What commands share that speak to a server: the options, the client, the names of runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

if TYPE_CHECKING:
    from tailrace.client.sync import Client

F = TypeVar("F", bound=Callable[..., Any])
LAST, LAST_FAILED = "@last", "@last-failed"
_READING = 2.0
"""Seconds for which a command that only looks asks again."""
_UNHEARD = 4.0
"""Seconds for which a server is asked that refuses connections: it may be starting again."""


class Server(Struct, frozen=True, kw_only=True):
    """The server that the options name; empty: the one that is found."""

    address: str = ""
    context: str = ""


def server_options(function: F) -> F:
    """Add ``--server`` and ``--context``; the function gets both as ``server``."""
    from functools import wraps  # noqa: PLC0415 - beside its only use

    @click.option("--server", metavar="URL", help="Address of the server; also TAILRACE_SERVER.")
    @click.option("--context", metavar="NAME", help="A saved context; also TAILRACE_CONTEXT.")
    @wraps(function)
    def with_server(*args: Any, server: str | None, context: str | None, **given: Any) -> Any:
        if server and context:
            raise click.UsageError("--server and --context exclude each other")
        named = Server(address=server or "", context=context or "")
        return function(*args, server=named, **given)

    decorated: Any = with_server
    return decorated  # type: ignore[no-any-return]


def open_client(server: Server, *, retry_for: float = _READING) -> Client:
    """Return a client of the server that is meant; use it in ``with``.

    Raises:
        SettingsError: a package is missing, the address is none, or there is no such context.
    """
    from tailrace.cli.needs import demand_client  # noqa: PLC0415 - help needs none of it

    demand_client("speaking to a server")
    _without_httpx_command()
    from tailrace.client.sync import Client  # noqa: PLC0415 - likewise

    return Client(server.address, context=server.context, retry_for=retry_for, unheard=_UNHEARD)


def _without_httpx_command() -> None:
    """Keep httpx from loading its own command line, and rich with it: a third of a second."""
    import sys  # noqa: PLC0415 - beside its only use

    if "httpx" not in sys.modules:
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def find_run(client: Client, run: str) -> str:
    """Return the id of a run; ``@last`` and ``@last-failed`` are the last changed ones.

    Raises:
        NotFound: there is none yet.
    """
    if run not in (LAST, LAST_FAILED):
        return run
    status = "FAILED" if run == LAST_FAILED else ""
    found = client.list_runs(limit=1, status=status).items
    if found:
        return found[0].run_id
    from tailrace.errors import NotFound  # noqa: PLC0415 - only where there is none

    raise NotFound(f"the server has no {'failed ' if status else ''}run yet")
