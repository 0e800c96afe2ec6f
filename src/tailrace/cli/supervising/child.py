"""One child process: its command, its output, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

_LEASH = "tailrace.cli.supervising.leash"
_LAST_WORDS = 20
_LONGEST_LINE = 16_384
_READ = 65_536


class Part(Struct, frozen=True, kw_only=True):
    """What is to run as a child."""

    name: str
    command: Sequence[str]
    """A path and its arguments, or ``tailrace`` and those of our command line."""
    environ: Mapping[str, str]
    is_ready: Callable[[], bool]
    """Asked again and again while it starts; takes at most a second."""
    patience: float = 30.0
    """Seconds it may take to start."""
    grace: float = 10.0
    """Seconds it may take to end once told so."""


class Child:
    """A part while it runs. The main thread makes it: to the kernel, that thread is the parent."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.is_silent = False
        """Whether nobody can write any more."""
        self._rest = b""
        reading, self._leash = os.pipe()
        head = [sys.executable, "-P", "-m", _LEASH, str(os.getpid()), str(reading)]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own parts
                [*head, *part.command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(part.environ),
                pass_fds=(reading,),
                start_new_session=True,  # Ctrl-C is for the parent, which ends its parts in order
            )
        finally:
            os.close(reading)
        assert self.process.stdout is not None  # noqa: S101 - asked for above
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def read(self) -> Iterator[str]:
        """Yield the lines that it has written meanwhile."""
        while True:
            try:
                part = os.read(self.output, _READ)
            except BlockingIOError:
                return
            if not part:
                self.is_silent = True
                break
            *lines, self._rest = (self._rest + part).split(b"\n")
            if len(self._rest) > _LONGEST_LINE:
                lines, self._rest = [*lines, self._rest], b""
            yield from map(self._line, lines)
        if self._rest:
            yield self._line(self._rest)
            self._rest = b""

    def _line(self, raw: bytes) -> str:
        line = raw[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
        self.last_words.append(line)
        return line

    def end(self, *, at_once: bool = False) -> None:
        """Tell the process to end, or end it."""
        if not self.has_ended:
            self.process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def close(self) -> None:
        """Give back what the operating system holds for a process that is gone."""
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1


def how_it_ended(code: int) -> str:
    """Return such as ``exit 1`` or ``SIGKILL``."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
