"""What a run returned, as those who ask for the run are given it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from tailrace.errors import TransportError
from tailrace.model.remote import RunState
from tailrace.ports import Objects
from tailrace.tracing.attributes import text
from tailrace.tracing.json_value import json_value
from tailrace.tracing.summary import summarize

_log = logging.getLogger("tailrace.worker")
_INLINE = 32 * 1024
"""Bytes of an output that travels in the state; larger ones are kept beside it."""
_encode = msgspec.msgpack.Encoder().encode
Insist = Callable[[Callable[[], Awaitable[str]]], Awaitable[str]]
"""Calls until there is an answer."""


class Outcome(Struct):
    """The output of a run that has completed."""

    value: Any
    """As JSON has it; a summary where it is kept beside the state."""
    object_name: str = ""
    size: int = 0
    """Bytes of the JSON text that is kept beside; 0: nothing is."""

    def show(self, state: RunState) -> None:
        """Put it into the state of its run."""
        state.output, state.output_object = self.value, self.object_name
        state.output_bytes = self.size


class OutcomeKeeper:
    """Makes outcomes on engine threads; the loop that talks to NATS stores the large ones."""

    def __init__(self, objects: Objects, insist: Insist) -> None:
        self._objects = objects
        self._insist = insist
        self._loop = asyncio.get_running_loop()

    def outcome(self, run_id: str, output: Any) -> Outcome:
        """Return the outcome; waits until a large one is stored, for as long as NATS is away."""
        try:
            value = _readable(json_value(output))
        except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
            _log.warning("the output of run %s cannot be read: %r", run_id, error)
            return Outcome(summarize(output))
        if _fits(value):
            return Outcome(value)
        body = msgspec.json.encode(value)
        kept = asyncio.run_coroutine_threadsafe(self._keep(body), self._loop)
        try:
            name = kept.result()
        except TransportError as error:
            _log.warning("the output of run %s is not kept: %s", run_id, error)
            name = ""
        return Outcome(summarize(output), name, len(body))

    async def _keep(self, body: bytes) -> str:
        return await self._insist(lambda: self._objects.put(body))


def _fits(value: Any) -> bool:
    """Whether a message can hold it: not what is large, and no integer of more than 64 bits."""
    try:
        return len(_encode(value)) <= _INLINE
    except OverflowError:
        return False


def _readable(value: Any) -> Any:
    """Return a value with its lone surrogates spelled out, which UTF-8 cannot hold."""
    match value:
        case str():
            return text(value)
        case list():
            return [_readable(item) for item in value]
        case dict():
            return {text(key): _readable(item) for key, item in value.items()}
        case _:
            return value
