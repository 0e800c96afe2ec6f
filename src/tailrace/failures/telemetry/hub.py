"""Where failures arrive: from here they go to the store, telemetry, metrics, handler, listeners."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Any

import msgspec

from tailrace.failures.telemetry.composite import flatten
from tailrace.failures.telemetry.event import FailureEvent, FailureEventKind
from tailrace.failures.telemetry.flood import FloodGate, SeenIds
from tailrace.failures.telemetry.guard import DEFAULT, Guard
from tailrace.failures.telemetry.health import HubHealth, SinkHealth, health_text
from tailrace.failures.telemetry.inside import Inside
from tailrace.failures.telemetry.isolated import IsolatedSinks
from tailrace.failures.telemetry.listener import hop_event
from tailrace.failures.telemetry.observation import (
    FailureTelemetryObservationConfig,
    TelemetryInvoked,
    TelemetryLatencyNanos,
)
from tailrace.failures.telemetry.protocol import (
    EventHandler,
    EventListener,
    FailureInfo,
    FailureTelemetry,
    sink_name,
)
from tailrace.failures.telemetry.ring import RingBufferFailureTelemetry
from tailrace.failures.telemetry.tally import Tally
from tailrace.model.failure import Disposition, FailureSnapshot, Hop
from tailrace.ports import FailureLog

_OPEN = Disposition.OPEN.value
_TERMINAL = Disposition.TERMINAL.value


class FailureHub:
    """Takes each failure once and hands it on, each step isolated from the others.

    The order is: durable store, telemetry, measurements, event handler, event listeners.
    Thread-safe; what the callees raise never comes back, and a failure inside of them is counted,
    not reported again.
    """

    def __init__(
        self,
        telemetry: FailureTelemetry | None = None,
        *,
        store: FailureLog | None = None,
        observation: FailureTelemetryObservationConfig = DEFAULT,
        handler: EventHandler | None = None,
        listeners: Iterable[EventListener] = (),
        ring: RingBufferFailureTelemetry | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            telemetry: one sink, or a composite; None: none.
            store: where failures from outside of runs are recorded.
            observation: how sinks are watched and measured.
            handler: told of terminal failures, with the live exception.
            listeners: told of every event.
            ring: the ring that telemetry writes to, for those who ask the hub for it.
        """
        self.observation = observation
        self.ring = ring
        self._flood_limit = observation.flood_limit
        sinks = [] if telemetry is None else flatten(telemetry)
        self._sinks = IsolatedSinks(sinks, observation)
        self._failure_calls = self._sinks.failure_calls
        self._store = None if store is None else _Step("store", _recorder(store), observation)
        sink = observation.metrics_sink
        self._metrics = None if sink is None else _Step("metrics", sink.emit, observation)
        self._handler = None if handler is None else _Step("handler", handler, observation)
        self._listeners = [
            _Step(f"listener {sink_name(each)}", each.on_event, observation) for each in listeners
        ]
        self._seen = SeenIds()
        self._failures = FloodGate()
        self._hops = FloodGate()
        self._suppressed = Tally()
        self._inside = Inside()
        self._ticks = itertools.count()

    @property
    def wants_hops(self) -> bool:
        """False when ``hop`` and ``publish`` would tell nobody."""
        return bool(self._listeners) or self.observation.events == "hops"

    def escalated(
        self, snapshot: FailureSnapshot, error: BaseException | None = None, *, stored: bool = False
    ) -> None:
        """Take a failure that has come to its end unhandled; later calls with its id do nothing.

        Args:
            snapshot: as it is now. Handled, retried and cancelled failures are none of these.
            error: the live exception, for the handler; it is not kept.
            stored: it is durable already, through the journal.
        """
        if snapshot.disposition != _TERMINAL:
            if snapshot.disposition != _OPEN:
                return
            snapshot = msgspec.structs.replace(snapshot, disposition=_TERMINAL)
        inside, thread = self._inside, get_ident()  # as in Inside.enter, without its call
        if thread in inside.threads:
            inside.reentries.bump()
            return
        inside.threads.add(thread)
        try:
            self._escalate(snapshot, error, None if stored else self._store)
        finally:
            inside.leave(thread)

    def hop(self, snapshot: FailureSnapshot, hop: Hop) -> None:
        """Take a failure's arrival at a scope; the first one says that it was captured, too.

        Beyond the flood limit hops of a fingerprint are left out.
        """
        if self.wants_hops and (thread := self._inside.enter()):
            try:
                self._tell_hop(snapshot, hop)
            finally:
                self._inside.leave(thread)

    def publish(self, event: FailureEvent) -> None:
        """Tell the listeners of an event."""
        if self._listeners and (thread := self._inside.enter()):
            try:
                self._tell(event)
            finally:
                self._inside.leave(thread)

    def flush(self, timeout: float = 1.0) -> bool:
        """Flush every sink, within ``timeout`` seconds in all; return whether nothing waits."""
        return self._sinks.flush(timeout)

    def health(self) -> HubHealth:
        """Return the counts so far."""
        around = [self._store], [self._metrics, self._handler, *self._listeners]
        before, after = ([step.health() for step in steps if step is not None] for steps in around)
        return HubHealth(
            escalated=self._seen.new,
            repeated=self._seen.repeated,
            suppressed=self._suppressed.read(),
            reentries=self._inside.reentries.read(),
            sinks=(*before, *self._sinks.health(), *after),
        )

    def prometheus_text(self) -> str:
        """Return the counts so far in Prometheus' text format."""
        return health_text(self.health())

    def _escalate(
        self, snapshot: FailureSnapshot, error: BaseException | None, store: _Step | None
    ) -> None:
        now = time.perf_counter_ns()
        if not self._seen.is_new(snapshot.failure_id, now):
            return
        if store is not None:
            now = store.call(snapshot)
        limit = self._flood_limit
        position = self._failures.position(snapshot.fp_site or snapshot.type, now) if limit else 0
        if position > limit:
            self._suppress(snapshot)
        else:
            start = now
            for call in self._failure_calls:  # as IsolatedSinks.on_failure does
                now = call(now, snapshot)
            if self._metrics is not None:
                self._measure(self._metrics, time.perf_counter_ns() - start)
        if self._handler is not None:
            self._handler.call(FailureInfo(snapshot, error))
        if self._listeners:
            self._tell_end(snapshot, position - limit)

    def _measure(self, metrics: _Step, nanos: int) -> None:
        config = self.observation
        metrics.call(TelemetryInvoked(sinks=self._sinks.on_duty))
        if config.record_timing and next(self._ticks) % config.sample_every == 0:
            metrics.call(TelemetryLatencyNanos(nanos=nanos))

    def _suppress(self, snapshot: FailureSnapshot) -> None:
        self._suppressed.bump()
        self._sinks.on_suppressed(snapshot)

    def _tell_end(self, snapshot: FailureSnapshot, beyond: int) -> None:
        if beyond <= 0:
            kind, data = FailureEventKind.ROOT_ESCALATED, {}
        elif beyond == 1:
            kind, data = FailureEventKind.SUPPRESSED, {"what": "failures", **self._limit()}
        else:
            return
        self._tell(FailureEvent(kind=kind, at_ns=time.time_ns(), snapshot=snapshot, data=data))

    def _tell_hop(self, snapshot: FailureSnapshot, hop: Hop) -> None:
        limit = self._flood_limit
        now, key = time.perf_counter_ns(), snapshot.fp_site or snapshot.type
        beyond = self._hops.position(key, now) - limit if limit else 0
        if beyond > 1:
            return
        if beyond == 1:
            data = {"what": "hops", **self._limit()}
            kind = FailureEventKind.SUPPRESSED
            self._tell(FailureEvent(kind=kind, at_ns=hop.at_ns, snapshot=snapshot, data=data))
            return
        if self.observation.events == "hops":
            self._sinks.on_hop(snapshot, hop)
        if snapshot.trail[:1] == (hop,):
            at, kind = snapshot.captured_ns, FailureEventKind.CAPTURED
            self._tell(FailureEvent(kind=kind, at_ns=at, snapshot=snapshot))
        self._tell(hop_event(snapshot, hop))

    def _limit(self) -> dict[str, Any]:
        return {"flood_limit": self.observation.flood_limit}

    def _tell(self, event: FailureEvent) -> None:
        for listener in self._listeners:
            listener.call(event)


class _Step:
    """A callee other than telemetry: isolated, but never left out."""

    __slots__ = ("_call", "health")

    def __init__(
        self,
        name: str,
        function: Callable[[Any], object],
        config: FailureTelemetryObservationConfig,
    ) -> None:
        guard = Guard(name, config, breaks=False)
        self._call = guard.around(function)
        self.health: Callable[[], SinkHealth] = guard.health

    def call(self, argument: object) -> int:
        """Call it; what it raises is counted. Return the instant of its end in nanoseconds."""
        return self._call(time.perf_counter_ns(), argument)


def _recorder(store: FailureLog) -> Callable[[FailureSnapshot], None]:
    def record(snapshot: FailureSnapshot) -> None:
        store.record([snapshot])

    return record
