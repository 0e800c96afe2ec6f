"""Ctrl-C while a batch runs: the letter in hand is finished, the next is not begun."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopWatch:
    """While entered, the first signal sets ``received``; the second is a KeyboardInterrupt.

    Only in the main thread, and only where nobody else handles the signal. ``on_first`` is called
    in the signal handler: it may interrupt anything, a print to the same stream included.
    """

    def __init__(self, on_first: Callable[[], None] | None = None) -> None:
        self.received = False
        self._on_first = on_first
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                present = signal.getsignal(number)
                if present in {signal.default_int_handler, signal.SIG_DFL}:
                    self._previous[number] = present
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt(f"received {signal.Signals(number).name} twice")
        self.received = True
        if self._on_first is not None:
            self._on_first()
