"""What the parts say, with their names before it, on standard error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean

_NATS = re.compile(r"\[\d+\] \[([A-Z]{3})\] (.*)")
_COLORS = ("cyan", "magenta", "green", "blue", "yellow")


class NamedLines:
    """Lines of several parts in one stream."""

    def __init__(self, terminal: Terminal, names: Sequence[str]) -> None:
        self._terminal = terminal
        self._width = max([len(name) for name in names], default=0)
        self._styles = {name: _COLORS[place % len(_COLORS)] for place, name in enumerate(names)}

    def said(self, name: str, line: str) -> None:
        """Write a line of a part; of what a NATS server says, what is worth a look."""
        found = _NATS.match(line) if name == "nats" else None
        if found is not None:
            if found[1] == "INF":
                return
            line = found[2]
        head = self._terminal.style(f"{name:<{self._width}} |", self._styles.get(name, "dim"))
        self._write(f"{head} {clean(line)}")

    def note(self, text: str) -> None:
        """Write a line of our own."""
        self._write(self._terminal.style(clean(text), "bold"))

    def _write(self, line: str) -> None:
        with suppress(OSError, ValueError):  # who no longer reads does not end the parts
            self._terminal.lines([line.rstrip()])
            self._terminal.stream.flush()
