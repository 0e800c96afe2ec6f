"""Failures as lines of Python's logging."""

from __future__ import annotations

import logging

from tailrace.failures.telemetry.fields import MESSAGE, log_arguments, log_fields
from tailrace.model.failure import FailureSnapshot

LOGGER_NAME = "tailrace.failures"

# A failed run already says so to whoever runs it; without this, logging would print it once more
# on stderr in programs that configure no handler.
logging.getLogger(LOGGER_NAME).addHandler(logging.NullHandler())


class LoggingFailureTelemetry:
    """Logs each failure as ERROR: a constant message, and the facts as ``extra``.

    The logger is ``tailrace.failures`` unless another is given. It has no handler of its own: lines
    go where the program's handlers send them, and nowhere when it has configured none.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.ERROR) -> None:
        self.logger = logger if logger is not None else logging.getLogger(LOGGER_NAME)
        self._level = level

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Log the failure."""
        if self.logger.isEnabledFor(self._level):
            self.logger.log(
                self._level, MESSAGE, *log_arguments(snapshot), extra=log_fields(snapshot)
            )
