"""Metrics: series over time of the spans that a query finds in blocks."""

from tailrace.traceql.measure.label import series_name
from tailrace.traceql.measure.measurement import Measurement
from tailrace.traceql.measure.steps import MAX_STEPS, Steps, default_step

__all__ = ["MAX_STEPS", "Measurement", "Steps", "default_step", "series_name"]
