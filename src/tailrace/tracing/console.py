"""Spans as lines on a terminal, while they happen."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from tailrace.model.ids import SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanStatus


class ConsoleTracer:
    """Writes one line per ended span, indented by its depth; failures say why."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._depths: dict[SpanId, int] = {}
        self._lock = threading.Lock()

    def on_start(self, span: Span) -> None:
        """Remember how deep the span stands."""
        above = -1 if span.parent_id is None else self._depths.get(span.parent_id, -1)
        self._depths[span.span_id] = above + 1

    def on_end(self, span: Span) -> None:
        """Write the span's line."""
        depth = self._depths.pop(span.span_id, 0)
        failed = span.status is SpanStatus.ERROR
        mark = "x" if failed else "."
        reason = f"  {_one_line(span.message)}" if failed and span.message else ""
        milliseconds = (span.duration_ns or 0) / 1e6
        line = f"{'  ' * depth}{mark} {_one_line(span.name)}  {milliseconds:.1f} ms{reason}\n"
        with self._lock:
            stream = self._stream if self._stream is not None else sys.stderr
            stream.write(line)

    def close(self) -> None:
        """Flush."""
        (self._stream if self._stream is not None else sys.stderr).flush()


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
