"""Spans of runs to any OpenTelemetry backend, through the official exporter."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tailrace.errors import SettingsError
from tailrace.model.ids import RunId
from tailrace.model.span import Span
from tailrace.model.states import SpanType

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_log = logging.getLogger(__name__)
QUEUE = 8_192
"""Ended spans that wait to be sent; more are dropped and counted."""
BATCH = 512
"""Spans of one request."""
DELAY = 1.0
"""Seconds after which spans are sent though they fill no request."""
PATIENCE = 5.0
"""Seconds that the end of the process waits for what has not been sent yet."""
_SHORT = 0.5
"""Seconds that the exporter has to give up after it was told to."""
_STEP = 0.05


class OtelTracer:
    """Sends each span of a run when it has ended, with its own ids and times.

    A thread of its own sends them in batches. A backend that is slow or gone costs the run
    nothing: what does not fit into the queue is dropped and counted, and the trouble is logged
    once. One tracer serves any number of runs, also at the same time.

    Args:
        exporter: any exporter of the OpenTelemetry SDK; None: OTLP over HTTP, set up by the
            variables ``OTEL_EXPORTER_OTLP_*``.
        endpoint: where OTLP goes, such as ``http://localhost:4318/v1/traces``.
        headers: of each request.
        queue: spans that may wait.

    Raises:
        SettingsError: the packages of the extra ``otlp`` are not installed (TR196).
    """

    def __init__(
        self,
        exporter: SpanExporter | None = None,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        queue: int = QUEUE,
    ) -> None:
        self._export = _Export(exporter or _official(endpoint, headers))
        self._queue: deque[tuple[Span, str]] = deque()
        self._most = queue
        self._flows: dict[RunId, str] = {}
        self._lock = threading.Condition()
        self._busy = False
        self._hurried = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Spans that were not sent: the queue was full, or the other side did not take them."""
        self.sent = 0
        """Spans that the other side has taken."""
        _OPEN.add(self)

    def on_start(self, span: Span) -> None:
        """Remember the flow of a run."""
        if span.type is SpanType.RUN:
            self._flows[span.trace_id] = str(span.attributes.get("tailrace.flow.name", ""))

    def on_end(self, span: Span) -> None:
        """Put the span where the sending thread finds it."""
        flow = self._flows.get(span.trace_id, "")
        if span.type is SpanType.RUN:
            self._flows.pop(span.trace_id, None)
        with self._lock:
            if len(self._queue) >= self._most:
                self._drop(1)
                return
            self._queue.append((span, flow))
            if self._thread is None:
                self._start()
            elif len(self._queue) == BATCH:
                self._lock.notify_all()

    def close(self) -> None:
        """Have what waits sent now; nothing waits for that but the end of the process."""
        with self._lock:
            self._hurried = True
            self._lock.notify_all()

    def flush(self, timeout: float = PATIENCE) -> bool:
        """Wait until all that had ended is sent or dropped; False: it took longer than that.

        Args:
            timeout: seconds.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            self._hurried = True
            self._lock.notify_all()
            while self._queue or self._busy:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._lock.wait(left)
        return True

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="tailrace-otlp", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._export.quiet():
            while True:
                with self._lock:
                    if not self._queue:
                        self._hurried = False
                        self._lock.wait()
                    elif len(self._queue) < BATCH and not self._hurried:
                        self._lock.wait(DELAY)
                    count = min(BATCH, len(self._queue))
                    batch = [self._queue.popleft() for _ in range(count)]
                    self._busy = bool(batch)
                if batch:
                    self._send(batch)

    def _send(self, batch: list[tuple[Span, str]]) -> None:
        done = self._export.send(batch)
        with self._lock:
            if done:
                self.sent += len(batch)
            else:
                self._drop(len(batch), reported=True)
            self._busy = False
            self._lock.notify_all()

    def _drop(self, count: int, *, reported: bool = False) -> None:
        if not self.dropped and not reported:
            _log.warning(
                "spans are dropped: %d wait to be sent to %s", self._most, self._export.target
            )
        self.dropped += count

    def forget(self) -> None:
        """Leave what waits to the process that this one was forked from."""
        self._lock = threading.Condition()
        self._queue.clear()
        self._thread, self._busy = None, False

    def end(self) -> None:
        """Send what waits, for as long as the end of a process may take, and let go."""
        if self._thread is None:
            return
        deadline = time.monotonic() + PATIENCE
        while not self.flush(_STEP) and time.monotonic() < deadline:
            if self._export.has_failed:
                break
        self._export.shutdown()
        self.flush(_SHORT)


class _Export:
    """One exporter, with what it has to say about a backend that is gone told once."""

    def __init__(self, exporter: SpanExporter) -> None:
        # All is imported here: at the end of a process, when the last spans go, much cannot be.
        from tailrace.tracing.otlp import sdk_spans  # noqa: PLC0415 - an extra

        self._sdk = sdk_spans
        self._process = sdk_spans.resource_of_process()
        self._exporter = exporter
        self._resources: dict[str, Any] = {}
        self.said: list[str] = []
        self._reported = False
        self._is_shut = False
        self.has_failed = False
        """Whether the other side has not taken the last request, or takes long over this one."""

    @property
    def target(self) -> str:
        """Where spans go, as far as the exporter tells."""
        return str(getattr(self._exporter, "_endpoint", type(self._exporter).__name__))

    def quiet(self) -> _Quiet:
        """Return the guard under which the sending thread works."""
        return _Quiet(self)

    def send(self, batch: list[tuple[Span, str]]) -> bool:
        """Send spans; False: they were not taken."""
        reason = ""
        try:
            for flow in {flow for _, flow in batch} - self._resources.keys():
                self._resources[flow] = self._sdk.resource_of(flow, self._process)
            spans = [self._sdk.sdk_span(span, self._resources[flow]) for span, flow in batch]
            taken = self._exporter.export(spans) is self._sdk.SUCCESS
        except Exception as error:  # noqa: BLE001 - an exporter may raise anything
            taken, reason = False, repr(error)
        self.has_failed = not taken
        if not taken and not self._reported:
            self._reported = True
            reason = reason or _why(self.said)
            _log.warning("spans cannot be sent to %s: %s", self.target, reason)
        self.said.clear()
        return taken

    def shutdown(self) -> None:
        """Let the exporter go."""
        if self._is_shut:
            return
        self._is_shut = True
        try:
            self._exporter.shutdown()
        except Exception as error:  # noqa: BLE001 - an exporter may raise anything
            _log.debug("an exporter failed to shut down", extra={"error": repr(error)})


def _why(said: Sequence[str]) -> str:
    """Return the last word on the trouble; that the end of the process ends the tries is none."""
    last = next((one for one in reversed(said) if not one.startswith("Shutdown")), "")
    return last or "it does not say why"


class _Quiet:
    """Takes what the exporter logs on this thread, and has its own requests not traced."""

    def __init__(self, export: _Export) -> None:
        self._export = export
        self._loggers = [logging.getLogger(name) for name in _NOISY]
        self._thread = 0
        self._token: Any = None

    def __enter__(self) -> None:
        from opentelemetry import context  # noqa: PLC0415 - an extra

        self._thread = threading.get_ident()
        for logger in self._loggers:
            logger.addFilter(self._take)
        key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
        self._token = context.attach(context.set_value(key, True))  # noqa: FBT003 - its signature

    def __exit__(self, *_: object) -> None:
        for logger in self._loggers:
            logger.removeFilter(self._take)

    def _take(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        if record.levelno >= logging.WARNING:
            self._export.has_failed = True
            if len(self._export.said) < _KEPT:
                self._export.said.append(record.getMessage())
        return False


_KEPT = 100
_NOISY = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.attributes",
    "urllib3.connectionpool",
)


def _official(endpoint: str | None, headers: Mapping[str, str] | None) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
    except ImportError as error:
        raise SettingsError(
            f"sending spans over OTLP needs a package that cannot be imported: {error}",
            code="TR196",
            hint="pip install 'tailrace[otlp]'",
            details={"package": "opentelemetry-exporter-otlp-proto-http"},
        ) from error
    return OTLPSpanExporter(endpoint=endpoint, headers=None if headers is None else dict(headers))


_OPEN: weakref.WeakSet[OtelTracer] = weakref.WeakSet()


@atexit.register
def _end() -> None:
    for tracer in [*_OPEN]:
        tracer.end()


def _forked() -> None:
    for tracer in [*_OPEN]:
        tracer.forget()


os.register_at_fork(after_in_child=_forked)
