"""Running one attempt where its isolation says, under its deadline."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from tailrace.engine.attempt import CURRENT, Attempt, within
from tailrace.engine.cancel import CancelScope
from tailrace.engine.child_events import ChildEvents, ChildFailure
from tailrace.engine.recorder import place_of
from tailrace.engine.running import Running
from tailrace.engine.waiting import Woken, wait_for
from tailrace.failures.judgement import Judgement
from tailrace.model import FailureRecord, Isolation, Logged, TaskSpec
from tailrace.model.secret import known_values

_START_LIMIT = 60.0
"""Seconds a child may take to start Python and import the task."""


class Tried(Struct):
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


async def _settles(run: Running, future: asyncio.Future[Any]) -> bool:
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
    future.add_done_callback(partial(_note_late, attempt))
    return Tried(stopped=woken, abandoned="thread")


def _note_late(attempt: Attempt, future: asyncio.Future[Any]) -> None:
    run, error = attempt.run, future.result()[1]
    how = "returned" if error is None else f"raised {type(error).__name__}"
    message = f"the abandoned attempt {how}; its result is discarded"
    run.note(Logged(attempt.span, run.now(), "late result", {"message": message}))


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
    import pickle  # noqa: PLC0415 - few tasks run in a child

    try:
        judgement = _judgement(attempt.run, spec)
        place = place_of(attempt)
        body = pickle.dumps((spec.function, spec.kind, arguments, context, judgement, place))
    except Exception as error:  # noqa: BLE001 - pickling user values may raise anything
        message = f"the inputs of {attempt.path!r} cannot be sent to a child process: {error}"
        return Tried(error=TypeError(message))
    child = await attempt.run.processes.acquire()
    call = child.call(attempt.path, body, ChildEvents(attempt))
    woken = await wait_for(call.started, timeout=_START_LIMIT, cancel=cancel)
    if woken is Woken.DONE:  # starting Python and importing the task is not the attempt's time
        woken = await wait_for(call.result, timeout=timeout, cancel=cancel)
    if woken is Woken.CANCELLED:
        child.terminate()
        await _settles(attempt.run, call.result)
    if woken is not Woken.DONE:
        await child.kill()
        return Tried(stopped=woken)
    attempt.run.processes.release(child)
    value, raised = call.result.result()
    if isinstance(raised, ChildFailure):
        return Tried(failure=raised.failure)
    return Tried(value, raised)


def _judgement(run: Running, spec: TaskSpec) -> Judgement | None:
    """Return what a child judges failures of the task by; None: as it does by itself."""
    common = run.request.judgement
    if common is None:
        return None
    return common._replace(
        rules=(*spec.rules, *run.plan.rules, *common.rules), values=known_values()
    )


def wants_thread(spec: TaskSpec, *, alone: bool, deadline: bool) -> bool:
    """Tell whether a synchronous task runs in a thread: others are ready, or it has a deadline."""
    match spec.isolation:
        case Isolation.INLINE:
            return False
        case Isolation.THREAD:
            return True
        case _:
            return deadline or not alone
