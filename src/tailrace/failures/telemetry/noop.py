"""Telemetry that does nothing, for those who say so."""

from __future__ import annotations

from tailrace.model.failure import FailureSnapshot


class _Single(type):
    """Makes one object of a class, however often it is called."""

    _one: NoopFailureTelemetry | None = None

    def __call__(cls) -> NoopFailureTelemetry:
        if cls._one is None:
            cls._one = super().__call__()
        return cls._one


class NoopFailureTelemetry(metaclass=_Single):
    """Takes failures and forgets them. There is one of it, and it is never the default."""

    __slots__ = ()

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Do nothing."""
