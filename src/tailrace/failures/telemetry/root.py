"""The last stop of a failure that no scope has handled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from tailrace.failures.telemetry.guard import DEFAULT
from tailrace.failures.telemetry.hub import FailureHub
from tailrace.failures.telemetry.observation import FailureTelemetryObservationConfig
from tailrace.failures.telemetry.protocol import EventHandler, EventListener, FailureTelemetry
from tailrace.model.failure import FailureSnapshot
from tailrace.ports import FailureLog


class RootEscalationSink:
    """Takes what has reached the root and hands it to a hub."""

    def __init__(
        self,
        telemetry: FailureTelemetry | None = None,
        *,
        store: FailureLog | None = None,
        observation: FailureTelemetryObservationConfig = DEFAULT,
        event_handler: EventHandler | None = None,
        event_listeners: Iterable[EventListener] = (),
    ) -> None:
        """Make a hub of these parts; see ``FailureHub``."""
        self.hub = FailureHub(
            telemetry,
            store=store,
            observation=observation,
            handler=event_handler,
            listeners=event_listeners,
        )

    @classmethod
    def of(cls, hub: FailureHub) -> Self:
        """Return the sink in front of a hub that stands already."""
        sink = cls()
        sink.hub = hub
        return sink

    def accept(self, snapshot: FailureSnapshot, error: BaseException | None = None) -> None:
        """Take a failure from outside of runs; each is handed on once. Never raises.

        ``error`` is the live exception, for the event handler; it is not kept.
        """
        self.hub.escalated(snapshot, error)
