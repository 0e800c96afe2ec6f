"""Taking what tasks print and log, for the span they run in."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from typing import Any, Self, TextIO

from tailrace.engine.attempt import CURRENT
from tailrace.engine.context import LOGGER_NAME
from tailrace.engine.recorder import inner_span


class _Tee(io.TextIOBase):
    """A standard stream that also gives each attempt its own output."""

    def __init__(self, name: str, original: TextIO) -> None:
        self.tee_name = name
        self.original = original

    def write(self, text: str) -> int:
        attempt = CURRENT.get()
        if attempt is None:
            return self.original.write(text)
        if text:
            attempt.run.echo(self.tee_name, text)
            attempt.output(self.tee_name, text, inner_span(attempt))
        return len(text)

    def flush(self) -> None:
        self.original.flush()

    def isatty(self) -> bool:
        return self.original.isatty()

    def fileno(self) -> int:
        return self.original.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute upstream
        return self.original.encoding

    def __getattr__(self, name: str) -> Any:
        if name == "original":  # taken apart at the interpreter's end: nothing is beneath
            raise AttributeError(name)
        return getattr(self.original, name)

    def __del__(self) -> None:
        """Leave the stream beneath alone; by default a stream flushes and closes itself here."""


class _SpanHandler(logging.Handler):
    """Turns log lines into events of the attempt they come from."""

    def emit(self, record: logging.LogRecord) -> None:
        attempt = CURRENT.get()
        if attempt is None:
            _say_as_before(record)
            return
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the user's arguments may not fit the text
            message = str(record.msg)
        attributes = {"message": message, "level": record.levelname, "logger": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            attributes["error.type"] = record.exc_info[0].__name__
        attempt.event("log", attributes, span=inner_span(attempt))
        attempt.run.echo("log", f"{record.levelname} {attempt.path}: {message}\n")


def _say_as_before(record: logging.LogRecord) -> None:
    """Do what Python does for a record that no handler takes."""
    last = logging.lastResort
    if last is not None and record.levelno >= last.level and not _is_taken(record):
        last.handle(record)


def _is_taken(record: logging.LogRecord) -> bool:
    """Tell whether any handler but that of spans gets the record."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(not isinstance(handler, _SpanHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


class OutputCapture:
    """Installed while at least one run of the process is active."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._handler: _SpanHandler | None = None
        self._tees: tuple[_Tee, _Tee] | None = None
        # Never freed: ``print`` holds the stream by a borrowed reference while it writes to it, and
        # a thread that a task has started may be doing just that when the capture ends.
        self._kept: tuple[_Tee, _Tee] | None = None

    def __enter__(self) -> Self:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._install()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._users:
                self._users -= 1
            if self._users == 0:
                self._remove()

    def originals(self) -> tuple[TextIO, TextIO]:
        """Return the streams beneath: (stdout, stderr)."""
        tees = self._tees
        if tees is None:
            return sys.stdout, sys.stderr
        return tees[0].original, tees[1].original

    def pass_on(self, stream: str, text: str) -> None:
        """Write what a task wrote to where it meant it; log lines have handlers of their own."""
        if stream != "log":
            out, err = self.originals()
            (out if stream == "stdout" else err).write(text)

    def let_go(self) -> None:
        """In a forked child, whose attempts are the parent's: output goes where it did before."""
        self._lock = threading.Lock()
        self._users = 0
        self._remove()
        attempt = CURRENT.get()
        if attempt is not None:
            attempt.open = False

    def _install(self) -> None:
        self._handler = _SpanHandler()
        logging.getLogger().addHandler(self._handler)
        logging.getLogger(LOGGER_NAME).setLevel(logging.DEBUG)
        if self._kept is None:
            self._kept = (_Tee("stdout", sys.stdout), _Tee("stderr", sys.stderr))
        out, err = self._tees = self._kept
        if sys.stdout is not out:
            out.original = sys.stdout
        if sys.stderr is not err:
            err.original = sys.stderr
        sys.stdout, sys.stderr = out, err

    def _remove(self) -> None:
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            self._handler = None
        if self._tees is not None:
            out, err = self._tees
            if sys.stdout is out:
                sys.stdout = out.original
            if sys.stderr is err:
                sys.stderr = err.original
            self._tees = None


OUTPUT = OutputCapture()
"""The one capture of this process."""
os.register_at_fork(after_in_child=OUTPUT.let_go)
