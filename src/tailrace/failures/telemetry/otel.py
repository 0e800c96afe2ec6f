"""Failures as log records of OpenTelemetry.

A record named ``exception``, correlated with its span, is what the conventions ask for; events of
spans are on their way out and cost many times as much.
https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
"""

from __future__ import annotations

from typing import Any

from tailrace.failures.telemetry.extra import load_extra
from tailrace.failures.telemetry.stack_text import stack_text
from tailrace.model.failure import FailureSnapshot

_PACKAGE = "opentelemetry-api"
_SCOPE = "tailrace.failures"


class OTelFailureTelemetry:
    """Emits one log record per failure, with its trace and span ids, and marks the span.

    The span that is current is set to ERROR when it belongs to the failure's trace, or when the
    failure has none; then the record takes its ids. No span event is added.

    Args:
        logger_provider: of ``opentelemetry._logs``; None: the global one.
        stacks: put the frames into ``exception.stacktrace``.

    Raises:
        SettingsError: ``opentelemetry-api`` is not installed (TR331).
    """

    def __init__(self, logger_provider: Any = None, *, stacks: bool = True) -> None:
        name = type(self).__name__
        self._logs = load_extra("opentelemetry._logs", _PACKAGE, name)
        self._trace = load_extra("opentelemetry.trace", _PACKAGE, name)
        self._logger = self._logs.get_logger(_SCOPE, logger_provider=logger_provider)
        self._provider = logger_provider
        self._stacks = stacks

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Emit the record and mark the span."""
        self._mark_span(snapshot)
        severity = self._logs.SeverityNumber.ERROR
        self._logger.emit(
            self._logs.LogRecord(
                timestamp=snapshot.captured_ns,
                context=self._context(snapshot),
                severity_number=severity,
                severity_text=severity.name,
                body=f"{snapshot.type}: {snapshot.message}",
                attributes=self._attributes(snapshot),
                event_name="exception",
            )
        )

    def flush(self, timeout: float, /) -> bool:
        """Flush the provider that was given, within ``timeout`` seconds."""
        force = getattr(self._provider, "force_flush", None)
        return force is None or force(int(timeout * 1000)) is not False

    def _context(self, snapshot: FailureSnapshot) -> Any:
        """Return the context whose span the record belongs to; None: the current one."""
        if not snapshot.trace_id or not snapshot.span_id:
            return None
        trace = self._trace
        span = trace.SpanContext(
            int(snapshot.trace_id, 16),
            int(snapshot.span_id, 16),
            is_remote=False,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        return trace.set_span_in_context(trace.NonRecordingSpan(span))

    def _mark_span(self, snapshot: FailureSnapshot) -> None:
        span = self._trace.get_current_span()
        if not span.is_recording():
            return
        trace_id = self._trace.format_trace_id(span.get_span_context().trace_id)
        if snapshot.trace_id in ("", trace_id):
            status = self._trace.Status(self._trace.StatusCode.ERROR, snapshot.message)
            span.set_status(status)

    def _attributes(self, snapshot: FailureSnapshot) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "exception.type": snapshot.type,
            "exception.message": snapshot.message,
            "error.type": snapshot.type,
            "tailrace.failure.id": snapshot.failure_id,
            "tailrace.failure.category": snapshot.category,
            "tailrace.failure.class": snapshot.class_,
            "tailrace.failure.rule": snapshot.rule,
            "tailrace.failure.fingerprint": snapshot.fp_site,
            "tailrace.failure.hops": snapshot.stage.hops(),
            "tailrace.failure.source": snapshot.origin.source,
            "tailrace.failure.location": snapshot.location,
            "tailrace.run.id": snapshot.run_id,
            "tailrace.flow.name": snapshot.flow,
            "tailrace.node.path": snapshot.node_id,
            "tailrace.attempt": snapshot.attempt,
            "tailrace.worker.id": snapshot.worker_id,
        }
        attributes |= {f"tailrace.tag.{key}": value for key, value in snapshot.tags}
        if self._stacks:
            attributes["exception.stacktrace"] = stack_text(snapshot)
        return {key: value for key, value in attributes.items() if value not in ("", None)}
