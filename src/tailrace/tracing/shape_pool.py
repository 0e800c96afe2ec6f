"""Shapes that the spans of many runs have in common."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.model.states import SpanType
from tailrace.tracing.attributes import engine, text
from tailrace.tracing.state import Shape

_MOST = 4_096
"""Shapes of one kind that are kept before all are forgotten."""
_encode = msgspec.msgpack.Encoder().encode


class ShapePool:
    """Makes each shape once for all projections that are given it. One thread uses it."""

    def __init__(self) -> None:
        self.common: dict[tuple[SpanType, str], Shape] = {}
        self.attempts: dict[tuple[int, int], Shape] = {}
        self._nodes: dict[bytes, Shape] = {}
        self._runs: dict[bytes, Shape] = {}

    def node(self, task: str, attributes: dict[str, Any]) -> Shape:
        """Return the shape of nodes of a task; the attributes are those of a record."""
        self._bound(self._nodes)
        key = _encode((task, attributes))
        known = self._nodes.get(key)
        if known is None:
            known = self._nodes[key] = node_shape(task, attributes)
        return known

    def run(self, attributes: dict[str, Any]) -> Shape:
        """Return the shape of runs that share these attributes."""
        self._bound(self._runs)
        key = _encode(attributes)
        known = self._runs.get(key)
        if known is None:
            known = self._runs[key] = Shape(SpanType.RUN, attributes=attributes)
        return known

    def _bound(self, shapes: dict[bytes, Shape]) -> None:
        if len(shapes) >= _MOST:
            shapes.clear()
        if len(self.attempts) >= _MOST:
            self.attempts.clear()


def node_shape(task: str, attributes: dict[str, Any]) -> Shape:
    """Return the shape of nodes of a task."""
    name = text(task)
    return Shape(SpanType.NODE, "", name, {"tailrace.task": name, **engine(attributes)})
