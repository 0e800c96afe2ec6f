"""What the numbers in OTLP stand for."""

from __future__ import annotations

from tailrace.model.states import SpanKind, SpanStatus

KINDS = tuple(SpanKind)
"""Span kinds by the number that OTLP gives them."""
STATUSES = (SpanStatus.UNSET, SpanStatus.OK, SpanStatus.ERROR)
"""Statuses by the number that OTLP gives them."""
