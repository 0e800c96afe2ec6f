"""The bridge itself. Imported only where OpenTelemetry's API is."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextvars import Token
from functools import partial
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Tracer, TracerProvider
from opentelemetry.util._decorator import _AgnosticContextManager

from tailrace.tracing.bridge.current import CurrentSpan
from tailrace.tracing.bridge.recorder import ATTEMPT, Inner, Recorder
from tailrace.tracing.bridge.spans import PlacedSpan, open_span, place_of
from tailrace.tracing.bridge.watch import Current

_PLACE = context_api.create_key("tailrace-attempt")
_SINCE = context_api.create_key("tailrace-since")
"""Number of the innermost span by other means when a context was attached, which is further in."""
_CONFIGURED = "OTEL_PYTHON_TRACER_PROVIDER"


def install(current: Current) -> AttemptContext:
    """Make attempts the current spans, and have the spans opened in them recorded.

    A program without a tracer provider gets one that records spans inside attempts and nothing
    else; it may still set its own, which then gets a span processor of ours.
    """
    providers = _Providers(current)
    module: Any = context_api
    context = AttemptContext(module._RUNTIME_CONTEXT, current, providers)  # noqa: SLF001 - the API has no other place for it
    module._RUNTIME_CONTEXT = context  # noqa: SLF001 - as above
    providers.look()
    return context


class _Providers:
    """The tracer provider of the program, which may be set at any time."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._ours = JournalProvider(current, self)
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._last: object = None
        self._lock = threading.Lock()
        self._module: Any = trace

    def look(self) -> None:
        """Give a provider that is new a processor of ours; set ours where there is none."""
        present = self._module._TRACER_PROVIDER  # noqa: SLF001 - ``get_tracer_provider`` hides None
        if present is self._last and present is not None:
            return
        with self._lock:
            if present is None and not os.environ.get(_CONFIGURED):
                # Not by set_tracer_provider: it lets the program set its own no more.
                present = self._module._TRACER_PROVIDER = self._ours  # noqa: SLF001 - as above
            elif present is None:
                present = trace.get_tracer_provider()
            self._last = present
            if present is not self._ours and present not in self._known:
                self._known.add(present)
                self._join(present)

    def other(self) -> TracerProvider | None:
        """Return the program's own provider; None: it has none."""
        self.look()
        last = self._last
        return None if last is self._ours else last  # type: ignore[return-value]  # what was set

    def _join(self, provider: Any) -> None:
        if hasattr(provider, "add_span_processor"):
            from tailrace.tracing.bridge.sdk import join  # noqa: PLC0415 - imports the SDK

            join(provider, self._current)


class AttemptContext:
    """A runtime context in which the attempt that is running is the current span.

    Nothing is set when an attempt starts, or a span by other means than OpenTelemetry's; it is put
    into the context when someone looks.
    """

    def __init__(self, inner: Any, current: Current, providers: _Providers) -> None:
        self._inner = inner
        self._current = current
        self._providers = providers
        variable = getattr(inner, "_current_context", None)  # asked without a call of Python's
        self.attached: Callable[[], Context] = getattr(variable, "get", inner.get_current)
        """Gives the context as it was attached."""

    def get_current(self) -> Context:
        """Return the context, with the attempt's span where the task has set no other."""
        present = self.attached()
        recorder = self._current()
        if recorder is None:
            return present
        self._providers.look()
        inner = recorder.inner()
        if _is_further_in(present, recorder, inner):
            return present
        holder = recorder if inner is None else inner
        made = holder.made
        if made is not None and made[0] is present:
            found: Context = made[1]
            return found
        number = ATTEMPT if inner is None else inner.number
        marked = Context({**present, _PLACE: recorder, _SINCE: number})
        found = trace.set_span_in_context(PlacedSpan(recorder, number, holder), marked)
        holder.made = present, found
        return found

    def innermost(self, recorder: Recorder) -> int:
        """Return the number of the attempt's span that is current here."""
        present, inner = self.attached(), recorder.inner()
        if not _is_further_in(present, recorder, inner):
            return ATTEMPT if inner is None else inner.number
        place = place_of(trace.get_current_span(present))
        return ATTEMPT if place is None or place[0] is not recorder else place[1]

    def attach(self, context: Context) -> Token[Context]:
        """Make a context the current one; inside an attempt it is marked as set there."""
        recorder = self._current()
        if recorder is not None:
            inner = recorder.inner()
            if not _is_further_in(context, recorder, inner):
                number = ATTEMPT if inner is None else inner.number
                context = Context({**context, _PLACE: recorder, _SINCE: number})
        token: Token[Context] = self._inner.attach(context)
        return token

    def detach(self, token: Token[Context]) -> None:
        """Return to the context before."""
        self._inner.detach(token)


def _is_further_in(context: Context, recorder: Recorder, inner: Inner | None) -> bool:
    """Tell whether a context was attached in the attempt, and within its span by other means."""
    if context.get(_PLACE) is not recorder:
        return False
    return inner is None or inner.number <= context[_SINCE]  # type: ignore[operator]  # a number


class JournalProvider(TracerProvider):
    """Records spans inside attempts, in the trace of the run; all others count for nothing."""

    def __init__(self, current: Current, providers: _Providers) -> None:
        self._current = current
        self._providers = providers

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> Tracer:
        """Return a tracer."""
        given = (instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        return JournalTracer(self._current, self._providers, given)


class JournalTracer(Tracer):
    """Opens spans under the attempt; goes to the program's own provider once there is one."""

    def __init__(self, current: Current, providers: _Providers, given: tuple[Any, ...]) -> None:
        self._current = current
        self._providers = providers
        self._given = given
        self._other: tuple[TracerProvider, Tracer] | None = None

    def start_span(  # noqa: PLR0917 - the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 - the API's signature
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 - the API's signature
    ) -> Span:
        """Open a span; outside of attempts it is one that records nothing."""
        other = self._providers.other()
        if other is not None:
            return self._tracer_of(other).start_span(
                name,
                context,
                kind,
                attributes,
                links,
                start_time,
                record_exception,
                set_status_on_exception,
            )
        around = trace.get_current_span(context)
        recorder, parent = place_of(around) or (self._current(), ATTEMPT)
        if recorder is None or not recorder.is_open:
            return NonRecordingSpan(around.get_span_context())
        library = self._given[0] or "", self._given[1]
        return open_span(
            recorder, parent, name, kind, attributes, start_time, library=library, links=links
        )

    def _tracer_of(self, provider: TracerProvider) -> Tracer:
        """Return the provider's own tracer; it is asked for once."""
        known = self._other
        if known is None or known[0] is not provider:
            known = self._other = provider, provider.get_tracer(*self._given)
        return known[1]

    def start_as_current_span(  # noqa: PLR0913, PLR0917 - the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 - the API's signature
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 - the API's signature
        end_on_exit: bool = True,  # noqa: FBT001, FBT002 - the API's signature
    ) -> _AgnosticContextManager[Span]:
        """Open a span and make it the current one."""
        given = name, context, kind, attributes, links, start_time
        return CurrentSpan(
            partial(self.start_span, *given),
            record_exception=record_exception,
            set_status=set_status_on_exception,
            end=end_on_exit,
        )
