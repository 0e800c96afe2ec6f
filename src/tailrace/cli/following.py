"""Showing what comes, as it comes, until Ctrl-C."""

from __future__ import annotations

import io
import select
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from tailrace.cli.session import current_session

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_LONGEST = 3_600


def follow_options(what: str, *, interval: float, least: float) -> Callable[[F], F]:
    """Add ``--interval`` and ``--count`` to a command that follows ``what``.

    ``interval`` is the default and ``least`` the lower bound of the seconds between two looks.
    """

    def decorate(function: F) -> F:
        count = click.option(
            "--count", type=click.IntRange(min=1), help=f"End after this many {what}."
        )
        pause = click.option(
            "--interval",
            type=click.FloatRange(least, _LONGEST),
            default=interval,
            show_default=True,
            help="Seconds between looks.",
        )
        return pause(count(function))

    return decorate


def wait_for_look(seconds: float) -> None:
    """Wait until it is time for the next look.

    Raises:
        BrokenPipeError: whoever reads the output has gone, as ``head`` does.
    """
    try:
        output = current_session().out.stream.fileno()
    except io.UnsupportedOperation:
        output = None
    if output is None or not hasattr(select, "poll"):
        time.sleep(seconds)
        return
    poll = select.poll()
    poll.register(output, 0)  # that nobody reads any more is told unasked
    if poll.poll(seconds * 1000):
        raise BrokenPipeError


def show_each(items: Iterable[T], line: Callable[[T], str], *, count: int | None) -> int:
    """Print each item at once, ``count`` of them at most, and return the exit code."""
    terminal = current_session().out
    for seen, item in enumerate(items, 1):
        terminal.lines([line(item)])
        terminal.stream.flush()
        if seen == count:
            break
    return 0
