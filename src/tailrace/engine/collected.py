"""What can be read once is read: what a task gives is a value that lasts, not one to be used up."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from tailrace.model import CallKind

_ONCE = frozenset({GeneratorType, enumerate, filter, map, reversed, zip})


def collected(function: Callable[..., Any], kind: CallKind) -> Callable[..., Any]:
    """Return the function to call: a generator that it is, or returns, becomes a list; so do maps.

    What it returns may be awaitable, also where the function itself is not.
    """
    if kind is CallKind.GENERATOR:
        return lambda *args, **kwargs: list(function(*args, **kwargs))
    if kind is CallKind.ASYNC_GENERATOR:
        return partial(_of_stream, function)
    if kind is CallKind.ASYNC:
        return partial(_of_async, function)

    def call(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        kind: type = type(value)
        if kind in _ONCE:
            return list(value)
        return collect(value) if kind is AsyncGeneratorType else value

    return call


async def collect(stream: AsyncGenerator[Any, Any]) -> list[Any]:
    """Return all that an asynchronous generator gives."""
    return [item async for item in stream]


async def _of_stream(function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    return await collect(function(*args, **kwargs))


async def _of_async(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    value = await function(*args, **kwargs)
    kind: type = type(value)
    if kind in _ONCE:
        return list(value)
    return await collect(value) if kind is AsyncGeneratorType else value
