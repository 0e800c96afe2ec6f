"""Options that several commands share, and what their values may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

if TYPE_CHECKING:
    from tailrace.cli.remote import Server

Store: TypeAlias = "Path | Server | None"
"""A database, a server, or (None) the database that is found."""
F = TypeVar("F", bound=Callable[..., Any])


def format_option(*formats: str) -> Callable[[F], F]:
    """Add ``-o/--format`` with these values (the first is for people) and ``--json``."""

    def decorate(function: F) -> F:
        function = click.option(
            "--json",
            "output",
            flag_value="json",
            help="Same as --format json.",
        )(function)
        return click.option(
            "-o",
            "--format",
            "output",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="How to show the result.",
        )(function)

    return decorate


def db_option(function: F) -> F:
    """Add ``--db PATH``."""
    return click.option(
        "--db",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Database file; .tailrace/tailrace.db, looked for upwards, otherwise.",
    )(function)


def store_option(function: F) -> F:
    """Add ``--db``, ``--server`` and ``--context``; the function gets what is meant as ``db``."""
    from functools import wraps  # noqa: PLC0415 - beside its only use

    @db_option
    @click.option("--server", metavar="URL", help="Of this server, rather than of a database here.")
    @click.option("--context", metavar="NAME", help="Of the server of this saved context.")
    @wraps(function)
    def with_store(
        *args: Any, db: Path | None, server: str | None, context: str | None, **given: Any
    ) -> Any:
        return function(*args, db=store_meant(db, server, context), **given)

    decorated: Any = with_store
    return decorated  # type: ignore[no-any-return]


def store_meant(db: Path | None, server: str | None, context: str | None) -> Store:
    """Return what ``--db``, ``--server`` and ``--context`` name together.

    Raises:
        UsageError: more than one of them.
    """
    given = {"--db": db, "--server": server, "--context": context}
    named = [name for name, one in given.items() if one is not None]
    if len(named) > 1:
        raise click.UsageError(f"{named[0]} and {named[1]} exclude each other")
    if server is None and context is None:
        return db
    if not (server or context):
        raise click.UsageError(f"{named[0]} names nothing")
    from tailrace.cli.remote import Server  # noqa: PLC0415 - most ask a database

    return Server(address=server or "", context=context or "")


def store_flags(db: Store) -> str:
    """Return the options that name the same store in another command; with a space before them."""
    import shlex  # noqa: PLC0415 - beside its only use

    if db is None:
        return ""
    if isinstance(db, Path):
        return f" --db {shlex.quote(str(db))}"
    name = f"--server {shlex.quote(db.address)}" if db.address else ""
    return f" {name or '--context ' + shlex.quote(db.context)}"


def steps_for(db: Store, *steps: str) -> str:
    """Return commands to type next, each with the options that name the same store."""
    flags = store_flags(db)
    return " · ".join(f"{step}{flags}" for step in steps)


def budget_option(function: F) -> F:
    """Add ``--seconds N``, which comes as ``budget``: what a query may take."""
    return click.option(
        "--seconds",
        "budget",
        type=click.FloatRange(0.01, 3600),
        default=30.0,
        show_default=True,
        help="Give up a query after this long, with what was found.",
    )(function)


def limit_option(function: F) -> F:
    """Add ``--limit N``."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 500),
        default=50,
        show_default=True,
        help="Rows to show.",
    )(function)


Callback = Callable[[click.Context, click.Parameter, str | None], Any]


def instant(*, end_of_day: bool = False) -> Callback:
    """Return the reader of an option such as ``--since``: ns since the epoch."""

    def read(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
        from datetime import datetime  # noqa: PLC0415 - only where a time is given

        from tailrace.model.when import parse_instant  # noqa: PLC0415 - likewise

        if value is None:
            return None
        try:
            now = datetime.now().astimezone()
            return parse_instant(value, now=now, end_of_day=end_of_day)
        except (ValueError, OverflowError):
            allowed = (
                "write how long ago (30s, 15m, 2h, 7d), a date (2026-11-21)"
                " or a date and time (2026-11-21T08:00)"
            )
            message = f"{value!r} is no time; {allowed}"
            raise click.BadParameter(message, context, parameter) from None

    return read


def seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Read a duration option such as ``--timeout``: a number of seconds, or ``250ms``, ``1.5m``."""
    if value is None:
        return None
    from tailrace.policy import parse_duration  # noqa: PLC0415 - only where one is given

    try:
        return parse_duration(_number(value))
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
