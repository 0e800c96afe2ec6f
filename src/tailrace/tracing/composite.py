"""Several tracers as one."""

from __future__ import annotations

from tailrace.model.span import Span
from tailrace.ports import Tracer
from tailrace.tracing.observe import Guarded


class CompositeTracer:
    """Shows spans to several tracers in turn; a fault of one does not reach the others.

    A tracer that fails again and again is switched off; the first failure is logged.
    """

    def __init__(self, *tracers: Tracer) -> None:
        self._tracers = [Guarded(tracer) for tracer in tracers]

    def on_start(self, span: Span) -> None:
        """Tell all of them."""
        for guarded in self._tracers:
            guarded.call(guarded.tracer.on_start, span)

    def on_end(self, span: Span) -> None:
        """Tell all of them."""
        for guarded in self._tracers:
            guarded.call(guarded.tracer.on_end, span)

    def close(self) -> None:
        """Close all of them."""
        for guarded in self._tracers:
            guarded.close()
