"""What telemetry of failures consists of, as Protocols of few methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from msgspec import Struct

from tailrace.failures.telemetry.event import FailureEvent
from tailrace.model.failure import FailureSnapshot, Hop


class FailureTelemetry(Protocol):
    """An observer of failures. It cannot change what becomes of one.

    What it raises never reaches the run. It must not block; one that does sets ``blocking = True``
    on itself and is called from a thread of its own.
    """

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Take a failure: exactly once for each, at its final disposition; from any thread."""
        ...


@runtime_checkable
class HopTelemetry(Protocol):
    """What telemetry may have besides; each method is called where it exists."""

    def on_hop(self, snapshot: FailureSnapshot, hop: Hop, /) -> None:
        """Take a failure's arrival at a scope; called with ``events="hops"`` only."""
        ...

    def flush(self, timeout: float, /) -> bool:
        """Hand on what waits, within ``timeout`` seconds; return whether all of it is."""
        ...


@runtime_checkable
class CountTelemetry(Protocol):
    """What telemetry has that counts every failure, those beyond the flood limit too."""

    def on_suppressed(self, snapshot: FailureSnapshot, /) -> None:
        """Count a failure of which ``on_failure`` is not told."""
        ...


@runtime_checkable
class EventListener(Protocol):
    """Takes every ``FailureEvent``; must not block. ``FailureEventStream`` is one."""

    def on_event(self, event: FailureEvent, /) -> None:
        """Take an event; from any thread."""
        ...


class FailureInfo(Struct, frozen=True):
    """What an event handler is given."""

    snapshot: FailureSnapshot
    error: BaseException | None = None
    """The live exception where there is one in this process; keep no reference to it."""


EventHandler = Callable[[FailureInfo], object]
"""One synchronous hook in the process; what it returns is ignored."""


def sink_name(sink: object) -> str:
    """Return the name under which a sink is counted: its ``name``, else that of its class."""
    name = getattr(sink, "name", "")
    return name if isinstance(name, str) and name else type(sink).__name__
