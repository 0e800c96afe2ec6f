"""What an output stream can show: width, colour, Unicode."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TextIO

PIPE_WIDTH = 160
"""Cells of a line where no terminal sets them."""

_SGR = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


class Marks(NamedTuple):
    """The signs of a tree, one cell each."""

    done: str
    failed: str
    timeout: str
    skipped: str
    cancelled: str
    running: str
    pending: str
    interrupted: str
    tee: str
    corner: str
    bar: str
    full: str
    empty: str
    dot: str
    ellipsis: str


_UNICODE = Marks(
    done="✔", failed="✘", timeout="⏱", skipped="⏭", cancelled="⊘", running="●", pending="○",
    interrupted="↯", tee="├─ ", corner="└─ ", bar="│  ", full="█", empty="·", dot="·",
    ellipsis="…",
)  # fmt: skip
_ASCII = Marks(
    done="+", failed="x", timeout="t", skipped="-", cancelled="c", running="*", pending="o",
    interrupted="!", tee="|- ", corner="`- ", bar="|  ", full="#", empty=".", dot="-",
    ellipsis="...",
)  # fmt: skip


class Terminal(NamedTuple):
    """One output stream and what it can show."""

    stream: TextIO
    width: int = PIPE_WIDTH
    """Cells per line."""
    height: int = 24
    color: bool = False
    unicode: bool = True
    is_tty: bool = False

    @property
    def marks(self) -> Marks:
        """Signs this stream's encoding can carry."""
        return _UNICODE if self.unicode else _ASCII

    def style(self, text: str, styles: str) -> str:
        """Return ``text`` in the styles named (``"bold red"``), or as it is without colour."""
        if not self.color or not styles or not text:
            return text
        codes = ";".join(_SGR[name] for name in styles.split())
        return f"\x1b[{codes}m{text}\x1b[0m"

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines, each with its end."""
        self.stream.write("".join(f"{line}\n" for line in lines))


def inspect_stream(
    stream: TextIO, *, color: bool | None = None, environ: Mapping[str, str] = os.environ
) -> Terminal:
    """Return what ``stream`` can show; ``color`` False comes from ``--no-color``."""
    is_tty = _is_tty(stream)
    width, height = _size(stream, is_tty=is_tty, environ=environ)
    return Terminal(
        stream=stream,
        width=width,
        height=height,
        color=color if color is not None else _wants_color(is_tty=is_tty, environ=environ),
        unicode=_carries_unicode(stream),
        is_tty=is_tty,
    )


def _is_tty(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False


def _wants_color(*, is_tty: bool, environ: Mapping[str, str]) -> bool:
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return is_tty and environ.get("TERM") != "dumb"


def _carries_unicode(stream: TextIO) -> bool:
    try:
        "✔⏱├█·…".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _size(stream: TextIO, *, is_tty: bool, environ: Mapping[str, str]) -> tuple[int, int]:
    columns = environ.get("COLUMNS", "")
    wished = int(columns) if columns.isdecimal() and columns.isascii() and int(columns) > 0 else 0
    if not is_tty:
        return wished or PIPE_WIDTH, 24
    try:
        actual = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return wished or 80, 24
    return wished or actual.columns or 80, actual.lines or 24


def tolerate_encoding() -> None:
    """Let the standard streams spell out what their encoding lacks instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
