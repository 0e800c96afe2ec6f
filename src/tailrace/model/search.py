"""What a TraceQL query found."""

from __future__ import annotations

from msgspec import Struct, field

from tailrace.model.ids import RunId, SpanId
from tailrace.model.states import SpanStatus

Value = str | int | float | bool
"""A field's value: durations are nanoseconds, a status or kind is its name."""


class FoundSpan(Struct, frozen=True, kw_only=True):
    """A span that a query matched."""

    span_id: SpanId
    name: str
    service: str
    start_ns: int
    duration_ns: int
    status: SpanStatus
    values: dict[str, Value] = field(default_factory=dict)
    """The fields that the query names or selects, as far as the span has them."""


class FoundSet(Struct, frozen=True, kw_only=True):
    """One spanset of a trace: those of one value of ``by()``, or all that matched."""

    matched: int
    """Spans in the set; ``spans`` may hold fewer."""
    spans: list[FoundSpan]
    values: dict[str, Value] = field(default_factory=dict)
    """What ``by()`` and the aggregates say of the set, by what was written."""


class FoundTrace(Struct, frozen=True, kw_only=True):
    """A trace that a query matched."""

    trace_id: RunId
    root_name: str
    root_service: str
    start_ns: int
    duration_ns: int
    """From the start of its first span to the end of its last."""
    spans: int
    errors: int
    matched: int
    """Spans that matched, each once."""
    sets: list[FoundSet]
    is_run: bool
    """Whether it is a run of this store rather than a trace that came from elsewhere."""


class SearchResult(Struct, frozen=True, kw_only=True):
    """Traces, newest first."""

    traces: list[FoundTrace]
    complete: bool = True
    """False: the time or the row budget ended before all that was asked for had been read."""
    reason: str = ""
    """Why it is not complete, and what to do."""
    inspected_traces: int = 0
    inspected_spans: int = 0

    def _repr_html_(self) -> str:
        from tailrace.model.notebook import search_html  # noqa: PLC0415 - only in notebooks

        return search_html(self)


class Exemplar(Struct, frozen=True, kw_only=True):
    """A span that stands for one point of a series."""

    trace_id: RunId
    span_id: SpanId
    time_ns: int
    value: float


class MetricSeries(Struct, frozen=True, kw_only=True):
    """Points of one set of labels. ``values[i]`` belongs to ``MetricsResult.times[i]``."""

    labels: dict[str, Value | None]
    values: list[float | None]
    """None: there is no point."""
    exemplars: list[Exemplar] = field(default_factory=list)


class MetricsResult(Struct, frozen=True, kw_only=True):
    """Series over time; each point is stamped with the end of its step."""

    times: list[int]
    """Nanoseconds since the epoch, ascending; one for an instant query."""
    step_ns: int
    series: list[MetricSeries]
    complete: bool = True
    reason: str = ""
    inspected_spans: int = 0

    def _repr_html_(self) -> str:
        from tailrace.model.notebook import metrics_html  # noqa: PLC0415 - only in notebooks

        return metrics_html(self)
