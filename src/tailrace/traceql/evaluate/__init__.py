"""TraceQL over blocks of traces.

``evaluate`` gives the spansets of a chain, ``field_values`` what a field is at a span.
"""

from tailrace.traceql.evaluate.run import evaluate, field_values, matched_spans, shown_fields
from tailrace.traceql.evaluate.spanset import Spanset

__all__ = ["Spanset", "evaluate", "field_values", "matched_spans", "shown_fields"]
