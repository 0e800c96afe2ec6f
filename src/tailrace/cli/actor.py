"""Who does something: for the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def actor_option(function: F) -> F:
    """Add ``--actor NAME``, the login name otherwise."""
    return click.option(
        "--actor",
        metavar="NAME",
        callback=_actor,
        help="Who does it, for the audit trail; the login name otherwise.",
    )(function)


def _actor(_: click.Context, __: click.Parameter, value: str | None) -> str:
    return value or login_name()


def login_name() -> str:
    """Return the user's login name, ``uid 1000`` where the system knows none."""
    import getpass  # noqa: PLC0415 - only where something is changed
    import os  # noqa: PLC0415 - likewise

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}"
