"""Programs that set up OpenTelemetry's SDK: their spans inside attempts are recorded, too."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import StatusCode

from tailrace.tracing.attributes import RENAMED_SPAN
from tailrace.tracing.bridge.recorder import ATTEMPT, UNKNOWN, Recorder
from tailrace.tracing.bridge.spans import JOINED, MARKED, links_to, place_of, with_origin
from tailrace.tracing.bridge.watch import Current
from tailrace.tracing.links import LINKS, encode_links

_KEPT = 65_536
"""Numbers of spans that are remembered; beyond that the oldest are taken for lost."""


def join(provider: Any, current: Current) -> None:
    """Have a provider record what is opened inside attempts, under the ids that its run gives.

    The ids of spans are taken from the attempt, so that a span is the same one here, in the
    program's own backend, and for whoever is called with its ``traceparent``.
    """
    processor = JournalProcessor(current)
    _give_ids(provider, processor)
    provider.add_span_processor(processor)


def _give_ids(provider: Any, processor: JournalProcessor) -> None:
    generator = getattr(provider, "id_generator", None)
    original = getattr(generator, "generate_span_id", None)
    if original is None:
        return

    def generate_span_id() -> int:
        found = processor.reserve()
        return int(original() if found is None else found)

    try:
        generator.generate_span_id = generate_span_id  # type: ignore[union-attr]  # tried
    except AttributeError:
        return


class JournalProcessor(SpanProcessor):
    """Writes spans that open inside an attempt into the trace of its run."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._lock = threading.Lock()

    def reserve(self) -> int | None:
        """Return an id of the attempt that is running; None: there is none."""
        recorder = self._current()
        if recorder is None or not recorder.is_open:
            return None
        number, span_id = recorder.reserve()
        self._keep((recorder.trace_id, span_id), (recorder, number))
        return span_id

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Write down that a span opened."""
        ids = span.get_span_context()
        known = JOINED.get((ids.trace_id, ids.span_id))
        if known is None:
            recorder = self._current()
            if recorder is None or not recorder.is_open:
                return
            known = recorder, recorder.reserve()[0]
            self._keep((ids.trace_id, ids.span_id), known)
        recorder, number = known
        around = place_of(trace.get_current_span(parent_context))
        parent = ATTEMPT if around is None or around[0] is not recorder else around[1]
        scope = span.instrumentation_scope
        library = ("", None) if scope is None else (scope.name, scope.version)
        attributes = with_origin(_plain(span.attributes), span.kind, *library)
        if span.links:
            attributes[LINKS] = encode_links(links_to(span.links))
        recorder.open_span(number, parent, span.name, attributes, span.start_time)

    def on_end(self, span: ReadableSpan) -> None:
        """Write down how it ended."""
        ids = span.get_span_context()
        if ids is None:
            return
        with self._lock:
            known = JOINED.pop((ids.trace_id, ids.span_id), None)
        if known is None:
            return
        recorder, number = known
        failure = _failure(span)
        for event in span.events:
            if failure is None or event.name != "exception":
                recorder.add_event(number, event.name, _plain(event.attributes), event.timestamp)
        attributes = _plain(span.attributes) | {RENAMED_SPAN: span.name}
        if span.links:
            attributes[LINKS] = encode_links(links_to(span.links))
        recorder.close_span(number, attributes, failure, span.end_time)

    def shutdown(self) -> None:
        """Do nothing: what is open is closed by its run."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing waits here."""
        return True

    def _keep(self, ids: tuple[int, int], place: tuple[Recorder, int]) -> None:
        with self._lock:
            if len(JOINED) >= _KEPT:
                JOINED.pop(next(iter(JOINED)))
            JOINED[ids] = place


def _failure(span: ReadableSpan) -> tuple[str, str] | None:
    if span.status.status_code is not StatusCode.ERROR:
        return None
    for event in reversed(span.events):
        if event.name == "exception":
            told = _plain(event.attributes)
            return str(told.get("exception.type", UNKNOWN)), str(told.get("exception.message", ""))
    return UNKNOWN, span.status.description or MARKED


def _plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(attributes or {})
