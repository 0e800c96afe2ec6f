"""Options that several commands share, and what their values may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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


def letter_server_option(function: F) -> F:
    """Add ``--server URL`` to a command that reads the database here otherwise."""
    return click.option(
        "--server", metavar="URL", help="Of this server, rather than of the database here."
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
