"""Waiting for what other threads and processes bring about."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from subprocess import Popen
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    what: str,
    *,
    process: Popen[str] | None = None,
    seconds: float = 60.0,
) -> T:
    """Return what the condition gives as soon as that is true.

    Args:
        condition: looked at again and again; cheap, without effects.
        what: what is waited for, as the message of a failed test says it.
        process: who brings it about; when it has ended without, there is nothing to wait for.
        seconds: the longest wait.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        has_ended = process is not None and process.poll() is not None
        if seen := condition():
            return seen
        if has_ended and process is not None:
            out, err = process.communicate()
            raise AssertionError(f"the process ended before {what}:\n{out or ''}{err or ''}")
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain until {what}")
        pause.wait(0.005)
