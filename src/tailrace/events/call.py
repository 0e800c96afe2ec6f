"""Calling an action once: its value or its error, and an end to it at its deadline."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import itertools
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from tailrace.events.action import Action

_NUMBERS = itertools.count(1)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call."""

    value: Any = None
    error: BaseException | None = None
    timed_out: bool = False
    """True when the deadline ended it; there is no error then."""
    abandoned: str = ""
    """Name of the thread that goes on with it; empty when nothing does."""


class NotAwaitedError(TypeError):
    """A synchronous call gave an awaitable, which nothing would await."""


def call(action: Action, timeout: float) -> Outcome:
    """Call an action in this thread, or in one of its own when ``timeout`` (seconds) is not 0.

    A thread cannot be stopped: at the deadline it is left to itself, and its result is dropped.
    Never raises for what the action does, ``KeyboardInterrupt`` included.
    """
    if timeout <= 0:
        return _called(action.call)
    done = threading.Event()
    found: list[Outcome] = []
    thread = _start(action, lambda: found.append(_called(action.call)), done.set)
    try:
        in_time = done.wait(timeout)
    except BaseException as error:  # noqa: BLE001 - an interrupt is the outcome
        return Outcome(error=error, abandoned=thread.name)
    return found[0] if in_time else Outcome(timed_out=True, abandoned=thread.name)


async def call_async(action: Action, timeout: float) -> Outcome:
    """Call an action without blocking the event loop.

    A coroutine runs in the loop and is cancelled at the deadline; what is synchronous runs in a
    thread, which is left to itself then. A cancel of the caller is an outcome, too.
    """
    thread = ""
    try:
        async with asyncio.timeout(timeout or None) as deadline:
            if action.is_async:
                return Outcome(value=await action.call())
            loop = asyncio.get_running_loop()
            future: asyncio.Future[Outcome] = loop.create_future()
            thread = _start_for(action, loop, future)
            outcome = await future
            thread = ""
            if outcome.error is None and inspect.isawaitable(outcome.value):
                return Outcome(value=await outcome.value)
            return outcome
    except BaseException as error:  # noqa: BLE001 - the action may raise anything
        if deadline.expired() and isinstance(error, TimeoutError):
            return Outcome(timed_out=True, abandoned=thread)
        return Outcome(error=error, abandoned=thread)


def _start_for(
    action: Action, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Outcome]
) -> str:
    """Start a thread that hands its outcome to a future of the loop, and return its name."""

    def deliver(outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    def work() -> None:
        outcome = _called(action.call, may_await=True)
        try:
            loop.call_soon_threadsafe(deliver, outcome)
        except RuntimeError:  # the loop is closed: nobody waits for this any more
            return

    return _start(action, work, lambda: None).name


def _start(
    action: Action, work: Callable[[], None], finish: Callable[[], None]
) -> threading.Thread:
    context = contextvars.copy_context()

    def run() -> None:
        try:
            context.run(work)
        finally:
            finish()

    name = f"tailrace-event-{next(_NUMBERS)} {action.name}"
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def _called(function: Callable[[], Any], *, may_await: bool = False) -> Outcome:
    try:
        value = function()
    except BaseException as error:  # noqa: BLE001 - the action may raise anything
        return Outcome(error=error)
    if may_await or not inspect.isawaitable(value):
        return Outcome(value=value)
    if inspect.iscoroutine(value):
        value.close()
    message = f"it returned a {type(value).__name__}, which only aemit_with_retry awaits"
    return Outcome(error=NotAwaitedError(message))
