"""A run of a server as it goes on, span by span, over breaks of the connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from tailrace.client.refusals import not_ours
from tailrace.client.traces import pairs
from tailrace.model.ids import SpanId
from tailrace.model.span import Span, SpanEvent

if TYPE_CHECKING:
    from tailrace.client.sync import Client

_LONGEST = 600


class Said(Struct, frozen=True, kw_only=True):
    """An event and the span it belongs to."""

    number: int
    """Of the run's events, from 0 on."""
    span_id: SpanId
    event: SpanEvent


class Step(Struct, kw_only=True):
    """What has happened in a run since the step before."""

    spans: list[Span] = field(default_factory=list)
    """Those that are new, have other attributes, or have ended, as they stand."""
    said: list[Said] = field(default_factory=list)
    is_behind: bool = False
    """Whether more that happened meanwhile follows at once."""
    is_over: bool = False


def steps_of(client: Client, run_id: str) -> Iterator[Step]:
    """Yield what happens in a run from its beginning on, until it is over.

    After a break of the connection all comes again from the beginning. A step without anything
    is a sign of life.

    Raises:
        TransportError: the server does not answer for longer than the client is patient.
        NotAllowed: the key is missing, wrong, or may not.
        NotFound: there is no such run.
    """
    path = f"/api/runs/{quote(run_id, safe='')}/tail"
    whole = Step()
    for event in client.events(path, pairs(timeout_sec=_LONGEST)):
        if event.kind != "step":
            whole = Step()
            yield whole
            continue
        try:
            part = msgspec.json.decode(event.data, type=Step)
        except (msgspec.DecodeError, RecursionError) as error:
            raise not_ours(f"GET {path}", str(error)) from error
        whole.spans += part.spans
        whole.said += part.said
        if part.is_behind:
            continue
        whole.is_over = part.is_over
        yield whole
        if whole.is_over:
            return
        whole = Step()
