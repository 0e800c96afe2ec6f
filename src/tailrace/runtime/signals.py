"""Ctrl-C and SIGTERM as a cancel of the run."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

from tailrace.engine import InlineAbandoned, Run


class SignalWatch:
    """While entered, the first signal asks the run to stop and the second stops it at once.

    A task that runs inline in the main thread and does not look at ``ctx.is_cancelled`` gets
    ``InlineAbandoned`` raised into it after the grace time, or at the second signal.
    """

    def __init__(self, run: Run, signals: tuple[signal.Signals, ...]) -> None:
        self._run = run
        self._signals = signals if threading.current_thread() is threading.main_thread() else ()
        self._previous: dict[signal.Signals, Any] = {}
        self._timer: threading.Timer | None = None
        self._over = False
        self.received: signal.Signals | None = None

    def __enter__(self) -> Self:
        for number in self._signals:
            present = signal.getsignal(number)
            if present in {signal.default_int_handler, signal.SIG_DFL}:
                self._previous[number] = present
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def follow(self, run: Run) -> None:
        """Ask this run from now on; what was asked of the one before is asked of it, too."""
        self._run = run
        if self.received is not None:
            run.request_cancel(f"received {self.received.name}")

    def _handle(self, number: int, _: FrameType | None) -> None:
        first, self.received = self.received is None, signal.Signals(number)
        if first:
            self._run.request_cancel(f"received {self.received.name}")
            self._start_timer(number)
            return
        self._run.hurry_up()
        if self._run.inline is not None:
            raise InlineAbandoned

    def _start_timer(self, number: int) -> None:
        def remind() -> None:
            if self._run.inline is not None:
                os.kill(os.getpid(), number)

        self._timer = threading.Timer(self._run.grace, remind)
        self._timer.daemon = True
        self._timer.start()
