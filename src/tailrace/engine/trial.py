"""Running one attempt where its isolation says, under its deadline."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tailrace.engine.attempt import CURRENT, Attempt, within
from tailrace.engine.cancel import CancelScope
from tailrace.engine.process import ChildDied, ChildFailure
from tailrace.engine.waiting import Woken, wait_for
from tailrace.model import CallKind, FailureRecord, Isolation, TaskSpec

if TYPE_CHECKING:
    from tailrace.engine.run import Run


@dataclass(slots=True)
class Tried:
    """The end of an attempt: a value, an exception, a failure from a child, or why it stopped."""

    value: Any = None
    error: BaseException | None = None
    failure: FailureRecord | None = None
    stopped: Woken | None = None
    """TIMEOUT or CANCELLED when the engine ended it."""
    abandoned: str = ""
    """What was left behind still running, such as a thread."""


class InlineAbandoned(BaseException):
    """Raised into an inline task whose grace time after a cancel is over."""


def call_inline(attempt: Attempt, function: Callable[[], Any]) -> Tried:
    """Run a synchronous function right here."""
    run = attempt.run
    run.inline = attempt
    token = CURRENT.set(attempt)
    try:
        return Tried(function())
    except InlineAbandoned:
        return Tried(stopped=Woken.CANCELLED)
    except BaseException as error:  # noqa: BLE001 - a task may raise anything
        return Tried(error=error)
    finally:
        CURRENT.reset(token)
        run.inline = None


def collected(spec: TaskSpec, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function to call: generators are read to their end into a list."""
    if spec.kind is CallKind.GENERATOR:
        return lambda *args, **kwargs: list(function(*args, **kwargs))
    if spec.kind is CallKind.ASYNC_GENERATOR:
        return partial(_collect_async, function)
    return function


async def _collect_async(function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    return [item async for item in function(*args, **kwargs)]


async def try_async(
    attempt: Attempt, function: Callable[[], Any], *, timeout: float | None, cancel: CancelScope
) -> Tried:
    """Run an asynchronous function as an asyncio task of its own."""
    context = contextvars.copy_context()
    context.run(CURRENT.set, attempt)
    task = asyncio.get_running_loop().create_task(_awaited(function), context=context)
    woken = await wait_for(task, timeout=timeout, cancel=cancel)
    if woken is Woken.DONE:
        return _result_of(task)
    attempt.cancelled = True
    task.cancel()
    if await _settles(attempt.run, task):
        return Tried(stopped=woken)
    task.add_done_callback(_swallow)
    return Tried(stopped=woken, abandoned="task")


async def _awaited(function: Callable[[], Any]) -> Tried:
    try:
        return Tried(await function())
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - a task may raise anything
        return Tried(error=error)


def _result_of(task: asyncio.Task[Tried]) -> Tried:
    if task.cancelled():
        return Tried(error=asyncio.CancelledError("the task cancelled itself"))
    return task.result()


def _swallow(task: asyncio.Task[Tried]) -> None:
    if not task.cancelled():
        task.exception()


async def _settles(run: Run, future: asyncio.Future[Any]) -> bool:
    """Give what was asked to stop its grace time; tell whether it has stopped."""
    hurry = asyncio.ensure_future(run.hurry.wait())
    try:
        await asyncio.wait({future, hurry}, timeout=run.grace, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurry.cancel()
    return future.done()


async def try_thread(
    attempt: Attempt, function: Callable[[], Any], *, timeout: float | None, cancel: CancelScope
) -> Tried:
    """Run a synchronous function in a thread; past its deadline the thread is abandoned."""
    run = attempt.run
    context = contextvars.copy_context()
    future = run.threads.submit(partial(context.run, within, attempt, function))
    woken = await wait_for(future, timeout=timeout, cancel=cancel)
    if woken is Woken.DONE:
        return Tried(*future.result())
    attempt.cancelled = True
    if woken is Woken.CANCELLED and await _settles(run, future):
        return Tried(*future.result())
    future.add_done_callback(partial(_note_late, run, attempt))
    return Tried(stopped=woken, abandoned="thread")


def _note_late(run: Run, attempt: Attempt, future: asyncio.Future[Any]) -> None:
    run.note_late(attempt, future.result()[1])


async def try_process(
    attempt: Attempt,
    spec: TaskSpec,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
    *,
    context: dict[str, Any] | None,
    timeout: float | None,
    cancel: CancelScope,
) -> Tried:
    """Run in a child process that is killed past its deadline."""
    child = await attempt.run.processes.acquire()
    future = child.call(attempt, spec, arguments, context)
    woken = await wait_for(future, timeout=timeout, cancel=cancel)
    if woken is Woken.CANCELLED:
        child.terminate()
        await _settles(attempt.run, future)
    if woken is not Woken.DONE:
        await child.kill()
        return Tried(stopped=woken)
    attempt.run.processes.release(child)
    value, error = future.result()
    if isinstance(error, ChildFailure):
        return Tried(failure=error.failure)
    if isinstance(error, ChildDied):
        return Tried(error=error)
    return Tried(value, error)


def wants_thread(spec: TaskSpec, *, alone: bool, deadline: bool) -> bool:
    """Tell whether a synchronous task runs in a thread: others are ready, or it has a deadline."""
    match spec.isolation:
        case Isolation.INLINE:
            return False
        case Isolation.THREAD:
            return True
        case _:
            return deadline or not alone
