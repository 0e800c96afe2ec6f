"""What happens in one run, and how its spans stand, as it is told to clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec

from tailrace.gateway.events import HEARTBEAT, frame
from tailrace.gateway.problems import encode_json
from tailrace.store.follow_one import OneRunFollower, Step
from tailrace.tracing.state import SpanState

_PAUSE = 0.1
"""Seconds between looks."""
_PART = 1_000
"""Spans, and events of spans, in one event of a stream."""


async def steps_of(follower: OneRunFollower, seconds: float) -> AsyncIterator[bytes]:
    """Yield what happens in a run as events of a stream, until it is over or the time is.

    The follower is closed at the end.
    """
    end = time.monotonic() + seconds
    said = time.monotonic()
    try:
        yield frame("heartbeat", b'{"ts":%.6f}' % time.time())
        while time.monotonic() < end:
            step = await asyncio.to_thread(follower.look)
            if step.spans or step.said or step.is_over:
                for body in _parts(step):
                    yield frame("step", body)
            elif time.monotonic() - said > HEARTBEAT:
                yield frame("heartbeat", b'{"ts":%.6f}' % time.time())
            else:
                await asyncio.sleep(_PAUSE)
                continue
            if step.is_over:
                return
            said = time.monotonic()
            await asyncio.sleep(_PAUSE)
    finally:
        await asyncio.to_thread(follower.close)


def _parts(step: Step) -> Iterator[bytes]:
    """Yield a step as events of a size that every client takes."""
    count = max(1, -(-max(len(step.spans), len(step.said)) // _PART))
    for number in range(count):
        part = slice(number * _PART, (number + 1) * _PART)
        is_last = number + 1 == count
        yield encode_json(
            {
                "spans": step.spans[part],
                "said": step.said[part],
                "is_behind": not is_last,
                "is_over": is_last and step.is_over,
            }
        )


def states_told(states: Iterable[SpanState]) -> dict[str, Any]:
    """Return spans as the projection keeps them; each shape, which many share, is told once."""
    shapes: dict[int, int] = {}
    told: list[dict[str, Any]] = []
    spans: list[dict[str, Any]] = []
    for state in states:
        place = shapes.setdefault(id(state.shape), len(shapes))
        if place == len(told):
            shape = state.shape
            told.append(
                {
                    "type": shape.type,
                    "construct": shape.construct,
                    "task": shape.task,
                    "attributes": shape.attributes,
                }
            )
        spans.append(msgspec.structs.asdict(state) | {"shape": place})
    return {"shapes": told, "spans": spans}
