"""Asking the store: what the commands that take TraceQL share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from tailrace.cli.database import database_to_read
from tailrace.cli.listing import say
from tailrace.cli.options import instant
from tailrace.cli.session import current_session, finish
from tailrace.model.states import RunStatus

if TYPE_CHECKING:
    from tailrace.cli.options import Store
    from tailrace.client.traces import RemoteSearch
    from tailrace.store import SqliteSearch
    from tailrace.traceql import CheckedQuery

STATUS_WORDS = {"OK": "COMPLETED", "ERROR": "FAILED"}
STATUSES = (*STATUS_WORDS, *(status.value for status in RunStatus))
CUT_OFF = 6
"""Exit code of an answer that is not complete."""
EVERYTHING = "{ }"
_MOST = 1_000_000


class Wanted(Struct, frozen=True, kw_only=True):
    """Which runs and traces are meant at all."""

    status: str | None = None
    """A value of ``RunStatus``."""
    flow: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def options(self) -> dict[str, Any]:
        """Return them by the names that stores give them."""
        return {
            "status": self.status,
            "flow": self.flow,
            "since_ns": self.since_ns,
            "until_ns": self.until_ns,
        }


def wanted_options(*, status: bool = True) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add ``--flow --since --until`` and ``--status``; the function gets one ``Wanted``."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def filled(**given: Any) -> int:
            wanted = Wanted(
                status=status_of(given.pop("status", None)),
                flow=given.pop("flow"),
                since_ns=given.pop("since"),
                until_ns=given.pop("until"),
            )
            return function(wanted=wanted, **given)

        shown: Callable[..., int] = filled
        for option in reversed([*([_STATUS] if status else []), _FLOW, _SINCE, _UNTIL]):
            shown = option(shown)
        return shown

    return decorate


_STATUS = click.option(
    "--status",
    type=click.Choice(STATUSES, case_sensitive=False),
    help="Only runs that stand so; OK is COMPLETED, ERROR is FAILED.",
)
_FLOW = click.option("--flow", help="Only runs of this flow, or traces of this service.")
_SINCE = click.option(
    "--since",
    metavar="WHEN",
    callback=instant(),
    help="Only what started since (2h, 7d, 2026-11-21).",
)
_UNTIL = click.option(
    "--until", metavar="WHEN", callback=instant(end_of_day=True), help="Only what started until."
)


def status_of(word: str | None) -> str | None:
    """Return the value of ``RunStatus`` that an option means."""
    return None if word is None else STATUS_WORDS.get(word.upper(), word.upper())


def query_text(given: str) -> str:
    """Return a query as it was given; ``-`` is standard input, one line end at its end aside."""
    if given != "-":
        return given
    data = sys.stdin.buffer.read(_MOST)
    return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


def checked(query: str) -> CheckedQuery:
    """Return a query that can be answered.

    Raises:
        QueryError: it cannot.
    """
    from tailrace.traceql import check, parse  # noqa: PLC0415 - not for --help

    return check(parse(query))


def limit_for(query: CheckedQuery, limit: int) -> int:
    """Return how many traces are wanted: an option that was given goes before the query's own."""
    source = click.get_current_context().get_parameter_source("limit")
    if query.source.limit is None or source is click.core.ParameterSource.COMMANDLINE:
        return limit
    return query.source.limit


@contextmanager
def open_search(db: Store) -> Iterator[SqliteSearch | RemoteSearch]:
    """Open the database, or the traces of a server, for queries.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
        TransportError: the server does not answer.
    """
    if not isinstance(db, Path | None):
        from tailrace.cli.remote import open_client  # noqa: PLC0415 - most ask a database
        from tailrace.client.traces import RemoteSearch  # noqa: PLC0415 - likewise

        remote = RemoteSearch(open_client(db))
        try:
            yield remote
        finally:
            remote.close()
        return
    with open_local_search(db) as search:
        yield search


@contextmanager
def open_local_search(db: Path | None) -> Iterator[SqliteSearch]:
    """Open the database for queries.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store import SqliteSearch  # noqa: PLC0415 - not for --help

    search = SqliteSearch(database_to_read(db))
    try:
        yield search
    finally:
        search.close()


def end(*, complete: bool, reason: str) -> int:
    """Say why an answer is not complete, and return the exit code."""
    if complete:
        return 0
    terminal = current_session().err
    terminal.lines([terminal.style(reason, "yellow")])
    return finish(CUT_OFF)


def tell_dialect(query: CheckedQuery) -> None:
    """Say what a query in the older short form stands for."""
    from tailrace.traceql import Dialect, render  # noqa: PLC0415 - not for --help

    if query.source.dialect is Dialect.SHORT:
        say(f"read as {render(query.source)}")


def tell_ignored(query: CheckedQuery) -> None:
    """Say which hints of a query mean nothing here."""
    if query.ignored_hints:
        say(f"ignored hints: {', '.join(query.ignored_hints)}")
