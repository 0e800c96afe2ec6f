"""W3C trace context: which span a piece of work belongs to, from one program to the next.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from msgspec import Struct

from tailrace.model.ids import RunId, SpanId

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1
_MAX_STATE = 512
"""Characters of a ``tracestate`` that are passed on."""


class TraceContext(Struct, frozen=True, kw_only=True):
    """A span as other programs refer to it."""

    trace_id: RunId
    span_id: SpanId
    sampled: bool = True
    state: str = ""
    """``tracestate``: what other systems want passed on, as it came."""

    @property
    def traceparent(self) -> str:
        """The text of the header ``traceparent``."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def parse_traceparent(text: str, state: str = "") -> TraceContext | None:
    """Return the context that the headers carry; None: they carry none.

    A header of a later version is read as far as this one knows it; a wrong one counts as none, as
    the specification asks.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(
        trace_id=RunId(trace_id),
        span_id=SpanId(span_id),
        sampled=bool(int(flags, 16) & _SAMPLED),
        state=state.strip() if len(state) <= _MAX_STATE else "",
    )


def inject(headers: MutableMapping[str, str], context: TraceContext | None) -> None:
    """Write a context into headers of HTTP or NATS; nothing is written for None."""
    if context is None:
        return
    headers[TRACEPARENT] = context.traceparent
    if context.state:
        headers[TRACESTATE] = context.state


def extract(headers: Mapping[str, Any] | Iterable[tuple[str | bytes, Any]]) -> TraceContext | None:
    """Return the context that headers of HTTP or NATS carry; None: they carry none.

    Names count in any case. Values may be texts, bytes, or lists of them; ``traceparent`` must be
    there once, lines of ``tracestate`` are joined.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    parents: list[str] = []
    states: list[str] = []
    for name, value in pairs:
        key = _text(name).lower()
        if key == TRACEPARENT:
            parents += _texts(value)
        elif key == TRACESTATE:
            states += _texts(value)
    if len(parents) != 1:
        return None
    return parse_traceparent(parents[0], ",".join(states))


def from_environment(environ: Mapping[str, str]) -> TraceContext | None:
    """Return the context in the variables ``TRACEPARENT`` and ``TRACESTATE``; None: there is none.

    https://opentelemetry.io/docs/specs/otel/context/env-carriers/
    """
    parent = environ.get("TRACEPARENT")
    if not parent:
        return None
    return parse_traceparent(parent, environ.get("TRACESTATE", ""))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str | bytes):
        return [_text(value)]
    return [_text(item) for item in value] if isinstance(value, Sequence) else []


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
