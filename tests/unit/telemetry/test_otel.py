"""Failures in OpenTelemetry, read back from its own exporters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from tailrace.failures import capture_snapshot
from tailrace.failures.telemetry import OTelFailureTelemetry
from tailrace.model import FailureSnapshot, Frame

Make = Callable[..., FailureSnapshot]


@dataclass
class Lab:
    """A sink with exporters in memory behind it."""

    provider: LoggerProvider
    logs: InMemoryLogRecordExporter
    spans: InMemorySpanExporter
    tracer: TracerProvider

    @property
    def sink(self) -> OTelFailureTelemetry:
        return OTelFailureTelemetry(self.provider)


@pytest.fixture
def lab() -> Lab:
    logs: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped upstream
    spans = InMemorySpanExporter()
    provider, tracer = LoggerProvider(), TracerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    tracer.add_span_processor(SimpleSpanProcessor(spans))
    return Lab(provider, logs, spans, tracer)


def test_one_record_named_exception_with_type_message_and_the_ids_of_its_span(
    make: Make, lab: Lab
) -> None:
    trace_id, span_id = "0197d6a4c7f87e1ab0c9d2e3f4a5b6c7", "00f067aa0ba902b7"
    lab.sink.on_failure(
        make(
            trace_id=trace_id,
            span_id=span_id,
            run_id=trace_id,
            node_id="each[3].load",
            attempt=2,
            tags=(("component", "http"),),
            frames=(Frame("orders", "load", "orders.py", 17, in_app=True),),
        )
    )
    (found,) = lab.logs.get_finished_logs()
    record = found.log_record
    assert record.event_name == "exception"
    assert record.trace_id is not None
    assert record.span_id is not None
    assert format_trace_id(record.trace_id) == trace_id
    assert format_span_id(record.span_id) == span_id
    assert record.severity_text == "ERROR"
    assert record.timestamp == 1_790_000_000_000_000_000
    attributes = dict(record.attributes or {})
    assert attributes["exception.type"] == attributes["error.type"] == "ValueError"
    assert attributes["exception.message"] == "no number"
    assert attributes["tailrace.node.path"] == "each[3].load"
    assert attributes["tailrace.failure.fingerprint"] == "v1:" + "a" * 32
    assert attributes["tailrace.tag.component"] == "http"
    assert 'File "orders.py", line 17, in load' in str(attributes["exception.stacktrace"])
    assert "tailrace.worker.id" not in attributes  # what is not known is left out


def test_the_span_of_the_failures_trace_is_set_to_error_without_a_span_event(
    make: Make, lab: Lab
) -> None:
    with lab.tracer.get_tracer("test").start_as_current_span("work") as span:
        context = span.get_span_context()
        lab.sink.on_failure(
            make(
                trace_id=format_trace_id(context.trace_id),
                span_id=format_span_id(context.span_id),
            )
        )
    (ended,) = lab.spans.get_finished_spans()
    assert ended.status.status_code is StatusCode.ERROR
    assert ended.status.description == "no number"
    assert list(ended.events) == []


def test_a_failure_from_outside_of_runs_takes_the_ids_of_the_current_span(
    make: Make, lab: Lab
) -> None:
    with lab.tracer.get_tracer("test").start_as_current_span("work") as span:
        lab.sink.on_failure(make())
    (found,) = lab.logs.get_finished_logs()
    assert found.log_record.span_id == span.get_span_context().span_id
    assert lab.spans.get_finished_spans()[0].status.status_code is StatusCode.ERROR


def test_a_span_of_another_trace_is_left_as_it_is(make: Make, lab: Lab) -> None:
    with lab.tracer.get_tracer("test").start_as_current_span("work"):
        lab.sink.on_failure(make(trace_id="f" * 32, span_id="f" * 16))
    assert lab.spans.get_finished_spans()[0].status.status_code is StatusCode.UNSET


def test_stacks_can_be_left_out_and_the_provider_is_flushed(make: Make, lab: Lab) -> None:
    sink = OTelFailureTelemetry(lab.provider, stacks=False)
    sink.on_failure(make(frames=(Frame("orders", "load", "orders.py", 17, in_app=True),)))
    assert sink.flush(1.0)
    (found,) = lab.logs.get_finished_logs()
    assert "exception.stacktrace" not in (found.log_record.attributes or {})


def test_a_secret_in_the_message_is_not_exported(lab: Lab) -> None:
    error = RuntimeError("login failed: password=hunter2hunter2")
    lab.sink.on_failure(capture_snapshot(error, source="thread"))
    (found,) = lab.logs.get_finished_logs()
    assert "hunter2" not in repr((found.log_record.body, dict(found.log_record.attributes or {})))
