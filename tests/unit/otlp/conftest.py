"""A span to change."""

from __future__ import annotations

import pytest

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanType


@pytest.fixture
def a_span() -> Span:
    return Span(
        trace_id=RunId("0123456789abcdef" * 2),
        span_id=SpanId("00000000000000a1"),
        parent_id=None,
        name="GET /",
        type=SpanType.FOREIGN,
        start_ns=1_700_000_000_000_000_000,
        end_ns=1_700_000_000_001_000_000,
        resource={"service.name": "shop"},
    )
