"""Letting old runs go after a run, where the settings say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tailrace.settings import RetentionSettings

if TYPE_CHECKING:
    import threading

_NOTHING = RetentionSettings()


def retain(writer: object, settings: RetentionSettings) -> threading.Thread | None:
    """Prune the store of a run as the settings say, beside whatever comes next, once a day.

    Costs nothing without such settings. The process ends when that is done, or after some seconds.
    """
    path = getattr(writer, "path", None)
    if settings == _NOTHING or not isinstance(path, Path):
        return None
    from tailrace.store import Retention, prune_when_due  # noqa: PLC0415 - few projects have rules

    rules = Retention(
        keep_days=settings.keep_days,
        keep_runs=settings.keep_runs,
        max_size=settings.max_size,
        keep_errors_days=settings.keep_errors_days,
    )
    return prune_when_due(path, rules)
