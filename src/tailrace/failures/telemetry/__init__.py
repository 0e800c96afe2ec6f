"""What is told of failures, to whom, and how it is kept from harming the run.

Sinks for OpenTelemetry, Sentry and structlog import their packages when they are made.
"""

from tailrace.failures.telemetry.background import BackgroundTelemetry
from tailrace.failures.telemetry.composite import CompositeFailureTelemetry
from tailrace.failures.telemetry.context import Extensions, TelemetryBuilder, TelemetryContext
from tailrace.failures.telemetry.durable import StoreFailureTelemetry
from tailrace.failures.telemetry.event import FailureEvent, FailureEventKind
from tailrace.failures.telemetry.filter import FilterTelemetry, SampleTelemetry
from tailrace.failures.telemetry.health import HubHealth, SinkHealth
from tailrace.failures.telemetry.hub import FailureHub
from tailrace.failures.telemetry.listener import (
    FailureEventStream,
    FailureEventSubscription,
    ListenerAdapter,
)
from tailrace.failures.telemetry.log import LoggingFailureTelemetry
from tailrace.failures.telemetry.metrics import MetricsFailureTelemetry, MetricsSnapshot
from tailrace.failures.telemetry.noop import NoopFailureTelemetry
from tailrace.failures.telemetry.observation import (
    FailureTelemetryObservationConfig,
    MetricsEvent,
    MetricsSink,
    TelemetryInvoked,
    TelemetryLatencyNanos,
)
from tailrace.failures.telemetry.otel import OTelFailureTelemetry
from tailrace.failures.telemetry.protocol import (
    CountTelemetry,
    EventHandler,
    EventListener,
    FailureInfo,
    FailureTelemetry,
    HopTelemetry,
)
from tailrace.failures.telemetry.ring import RingBufferFailureTelemetry
from tailrace.failures.telemetry.root import RootEscalationSink
from tailrace.failures.telemetry.sentry import SentryFailureTelemetry
from tailrace.failures.telemetry.structured import StructlogFailureTelemetry
from tailrace.failures.telemetry.watch import RunWatch

__all__ = [
    "BackgroundTelemetry",
    "CompositeFailureTelemetry",
    "CountTelemetry",
    "EventHandler",
    "EventListener",
    "Extensions",
    "FailureEvent",
    "FailureEventKind",
    "FailureEventStream",
    "FailureEventSubscription",
    "FailureHub",
    "FailureInfo",
    "FailureTelemetry",
    "FailureTelemetryObservationConfig",
    "FilterTelemetry",
    "HopTelemetry",
    "HubHealth",
    "ListenerAdapter",
    "LoggingFailureTelemetry",
    "MetricsEvent",
    "MetricsFailureTelemetry",
    "MetricsSink",
    "MetricsSnapshot",
    "NoopFailureTelemetry",
    "OTelFailureTelemetry",
    "RingBufferFailureTelemetry",
    "RootEscalationSink",
    "RunWatch",
    "SampleTelemetry",
    "SentryFailureTelemetry",
    "SinkHealth",
    "StoreFailureTelemetry",
    "StructlogFailureTelemetry",
    "TelemetryBuilder",
    "TelemetryContext",
    "TelemetryInvoked",
    "TelemetryLatencyNanos",
]
