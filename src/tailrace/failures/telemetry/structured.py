"""Failures as lines of structlog."""

from __future__ import annotations

from typing import Any

from tailrace.failures.telemetry.extra import load_extra
from tailrace.failures.telemetry.fields import log_fields
from tailrace.failures.telemetry.log import LOGGER_NAME
from tailrace.model.failure import FailureSnapshot


class StructlogFailureTelemetry:
    """Logs each failure as the event ``failure`` with its facts as keys.

    Args:
        logger: a structlog logger; None: ``structlog.get_logger("tailrace.failures")``.

    Raises:
        SettingsError: no logger is given and structlog is not installed (TR331).
    """

    def __init__(self, logger: Any = None) -> None:
        if logger is None:
            structlog = load_extra("structlog", "structlog", type(self).__name__)
            logger = structlog.get_logger(LOGGER_NAME)
        self._logger = logger

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Log the failure."""
        self._logger.error("failure", **log_fields(snapshot))
