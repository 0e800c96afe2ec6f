"""Asking before something is done that cannot be undone."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from tailrace.cli.refusal import Refusal
from tailrace.cli.session import current_session

NOT_CONFIRMED = "TR340"


def confirm(plan: Sequence[str], *, yes: bool) -> None:
    """Show what would be done, on standard error; return when it is wanted.

    Raises:
        Refusal: there is no terminal to ask at, and no ``--yes`` (TR340).
        Abort: the answer was no.
    """
    terminal = current_session().err
    terminal.lines(plan)
    if yes:
        return
    if not (terminal.is_tty and sys.stdin.isatty()):
        raise Refusal(
            "nothing was done: there is no terminal to ask at",
            code=NOT_CONFIRMED,
            hint="look at the plan above; the same command with --yes carries it out",
        )
    click.confirm("go on?", abort=True, err=True)
