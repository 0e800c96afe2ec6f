"""TraceQL over blocks of traces.

``evaluate`` gives the spansets of a chain, ``field_values`` what a field is at a span,
``Witnesses`` what it is at the event or link for which the span was found.
"""

from tailrace.traceql.evaluate.run import evaluate, field_values, matched_spans, shown_fields
from tailrace.traceql.evaluate.spanset import Spanset
from tailrace.traceql.evaluate.witness import Witnesses, is_witnessed

__all__ = [
    "Spanset",
    "Witnesses",
    "evaluate",
    "field_values",
    "is_witnessed",
    "matched_spans",
    "shown_fields",
]
