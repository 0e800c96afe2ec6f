"""Links of spans: how they travel among a span's attributes, and how they are read off them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import SpanLink
from tailrace.tracing.attributes import attribute, text

LINKS = "otel.links"
"""The attribute that holds links which a program has set; readers do not show it as one."""
TRACESTATE = "tailrace.tracestate"
"""The attribute of a run's span that holds what other systems want passed on; likewise."""
MOST = 128
"""Links that a span keeps, as in OpenTelemetry's SDK."""
_LINKED = (
    ("tailrace.resumed_from", "tailrace.resumed_from_span", ""),
    ("tailrace.caller.trace_id", "tailrace.caller.span_id", "tailrace.caller.tracestate"),
)
"""Attributes of a run by which it is linked to a span: trace, span, ``tracestate``."""


class _Kept(msgspec.Struct, array_like=True, omit_defaults=True):
    trace_id: str
    span_id: str
    attributes: dict[str, Any] = {}
    trace_state: str = ""


_decode = msgspec.json.Decoder(list[_Kept]).decode


def encode_links(links: Iterable[SpanLink]) -> str:
    """Return links as the text of one attribute; those beyond ``MOST`` are left out."""
    kept = [
        _Kept(
            link.trace_id,
            link.span_id,
            {text(str(key)): attribute(value) for key, value in link.attributes.items()},
            text(link.trace_state),
        )
        for link in links
    ]
    return msgspec.json.encode(kept[:MOST]).decode()


def links_of(attributes: dict[str, Any]) -> list[SpanLink]:
    """Return the links that a program has set, and take them out of the attributes."""
    given = attributes.get(LINKS)
    if given is None:
        return []
    try:
        kept = _decode(given)
    except (msgspec.MsgspecError, TypeError):  # an attribute of a user's that has this name
        return []
    del attributes[LINKS]
    return [
        SpanLink(
            trace_id=RunId(one.trace_id),
            span_id=SpanId(one.span_id),
            attributes=one.attributes,
            trace_state=one.trace_state,
        )
        for one in kept
        if _is_id(one.trace_id, 32) and _is_id(one.span_id, 16)
    ]


def links_of_run(attributes: dict[str, Any]) -> list[SpanLink]:
    """Return the links to the run that this one goes on with, and to the span that asked for it."""
    return [
        SpanLink(
            trace_id=RunId(attributes[trace]),
            span_id=SpanId(attributes[span]),
            trace_state=str(attributes.get(state, "")),
        )
        for trace, span, state in _LINKED
        if span in attributes
    ]


def _is_id(value: str, digits: int) -> bool:
    try:
        return len(bytes.fromhex(value)) * 2 == digits
    except ValueError:
        return False
