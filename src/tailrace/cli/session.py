"""What one invocation of the command line knows: its flags and its streams."""

from __future__ import annotations

import sys

import click

from tailrace.cli.terminal import Terminal, inspect_stream


class Session:
    """Flags that hold for the whole invocation, and its outcome so far."""

    def __init__(self) -> None:
        self.no_color = False
        self.debug = False
        self.outcome = 0
        """Exit code that is already certain; kept when the reader of stdout goes away."""

    @property
    def out(self) -> Terminal:
        """Standard output: data and nothing else."""
        return inspect_stream(sys.stdout, color=False if self.no_color else None)

    @property
    def err(self) -> Terminal:
        """Standard error: progress, warnings, errors."""
        return inspect_stream(sys.stderr, color=False if self.no_color else None)


def current_session() -> Session:
    """Return the session of the command that is running."""
    return click.get_current_context().ensure_object(Session)


def finish(code: int) -> int:
    """Note an exit code before its output is written, and return it."""
    current_session().outcome = code
    return code
