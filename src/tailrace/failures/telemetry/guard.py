"""Keeps the trouble of a callee away from its caller."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tailrace.failures.telemetry.health import SinkHealth
from tailrace.failures.telemetry.observation import FailureTelemetryObservationConfig
from tailrace.failures.telemetry.tally import Tally
from tailrace.failures.types import type_name
from tailrace.model.secret import redact_text

_log = logging.getLogger("tailrace.telemetry")
"""Not below ``tailrace.failures``, which is silent unless configured: a sink that is broken is
something to see."""
_MAX_TEXT = 300
GuardedCall = Callable[[int, Any], int]
"""Takes the present and the argument; returns the instant of the end, or the one it was given when
the call was left out. So of several calls in a row each begins where the one before ended."""
DEFAULT = FailureTelemetryObservationConfig()


class Guard:
    """Isolates one callee. After too many errors in a row it is left out for a while.

    Thread-safe. The first call after the pause decides whether it is over. Instants are readings
    of ``timer``, in nanoseconds.
    """

    __slots__ = (
        "_config",
        "_errors",
        "_lock",
        "_off_until",
        "_row",
        "_skipped",
        "_slow",
        "_slow_ns",
        "_threshold",
        "_timer",
        "name",
    )

    def __init__(
        self,
        name: str,
        config: FailureTelemetryObservationConfig = DEFAULT,
        *,
        breaks: bool = True,
        timer: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self.name = name
        self._config = config
        self._threshold = config.breaker_threshold if breaks else 0
        self._slow_ns = config.slow_call_ns
        self._timer = timer
        self._lock = threading.Lock()
        self._row = 0
        self._off_until = 0
        self._errors, self._skipped, self._slow = Tally(), Tally(), Tally()

    def around(self, function: Callable[[Any], object], *, timed: bool = True) -> GuardedCall:
        """Return the function of one argument with this guard around it.

        Reading the clock costs as much as the fastest sinks do, so these are not ``timed``: the
        next call's time begins before them.
        """
        timer, slow_ns = self._timer, self._slow_ns

        def call(start: int, argument: object) -> int:
            if start < self._off_until:
                self._skipped.bump()
                return start
            try:
                function(argument)
            except Exception as error:  # noqa: BLE001 - a sink may raise anything
                self._failed(error)
            else:
                if self._row:
                    self._recovered()
            if not timed:
                return start
            end = timer()
            if end - start > slow_ns:
                self._slow.bump()
            return end

        return call

    def health(self) -> SinkHealth:
        """Return the counts so far."""
        return SinkHealth(
            name=self.name,
            errors=self._errors.read(),
            skipped=self._skipped.read(),
            slow=self._slow.read(),
            is_off=self.is_off,
        )

    @property
    def is_off(self) -> bool:
        """True while calls are left out."""
        return self._timer() < self._off_until

    def _recovered(self) -> None:
        with self._lock:
            self._row = 0

    def _failed(self, error: Exception) -> None:
        self._errors.bump()
        with self._lock:
            self._row += 1
            row, threshold = self._row, self._threshold
            if threshold and row >= threshold:
                pause = int(self._config.breaker_cooldown_s * 1e9)
                self._off_until = self._timer() + pause
        if row == (threshold or 1):
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        extra = {"sink": self.name, "error_type": type_name(type(error))}
        if self._threshold:
            _log.warning(
                "failure telemetry: %s is left out for %g s after %d errors in a row, the last: %s",
                self.name,
                self._config.breaker_cooldown_s,
                self._threshold,
                _described(error),
                extra=extra,
            )
        else:
            _log.warning(
                "failure telemetry: %s raised %s", self.name, _described(error), extra=extra
            )


def _described(error: Exception) -> str:
    """Return type, message and place of an error in one line."""
    try:
        message = redact_text(str(error))[:_MAX_TEXT].replace("\n", " ")
    except Exception:  # noqa: BLE001 - __str__ of a foreign exception
        message = "(no message: its __str__ raises)"
    traceback = error.__traceback__
    place = ""
    while traceback is not None:
        place = f" ({traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return f"{type_name(type(error))}: {message}{place}"
