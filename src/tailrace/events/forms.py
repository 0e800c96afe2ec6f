"""Other forms of the same protocol: a ``with`` block, and a decorator."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from functools import partial, wraps
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, cast

from tailrace.events.action import is_async
from tailrace.events.call import Outcome
from tailrace.events.drive import CurrentAttempt, Driver, Result, enter, leave, see_through
from tailrace.events.emitted import Emitted
from tailrace.events.work import Work

P = ParamSpec("P")
T = TypeVar("T")


class Attempting:
    """One attempt around a block: ``with stream.attempting("action", "service") as attempt: …``.

    That it begins is on disk before the block runs, how it ended when the block is left. A block
    cannot be run again, so there is no retry and no dead letter: what it raises is recorded and
    goes on to the caller. Works with ``async with``, too, where writing does not block the loop.
    """

    def __init__(self, driver: Driver, work: Work) -> None:
        self.result: Any = None
        """What the closing event holds as its data; set it inside the block."""
        self.emitted: Emitted | None = None
        """The closing event; None inside the block."""
        self._driver = driver
        self._work = work
        self._token: Token[CurrentAttempt | None] | None = None

    @property
    def task_key(self) -> str:
        """Key of the work."""
        return self._work.key

    def __enter__(self) -> Self:
        """Make the beginning durable.

        Raises:
            StoreError: it could not be written; the block does not run.
        """
        self._driver.outbox.write(self._driver.begin(self._work))
        self._token = enter(self._work)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._token)
        self.emitted = self._driver.finish(self._work, Outcome(value=self.result, error=error))

    async def __aenter__(self) -> Self:
        """Make the beginning durable; raises as ``__enter__``."""
        await see_through(self._driver.outbox.write, self._driver.begin(self._work))
        self._token = enter(self._work)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._token)
        outcome = Outcome(value=self.result, error=error)
        self.emitted = await self._driver.finish_async(self._work, outcome)


class Runner(Protocol):
    """What runs the calls of a decorated function."""

    def run(self, work: Work) -> Result:
        """Take work to its end."""
        ...

    async def run_async(self, work: Work) -> Result:
        """Take work to its end without blocking the event loop."""
        ...


def decorate(
    function: Callable[P, T], runner: Runner, order_work: Callable[[Callable[[], Any]], Work]
) -> Callable[P, T]:
    """Return the function so that each call is work of the stream.

    It returns what the function returns, and raises what its last attempt raised.

    Args:
        function: synchronous or asynchronous.
        runner: runs the work.
        order_work: makes the work of one call.
    """

    def work_of_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Work:
        return order_work(partial(function, *args, **kwargs) if args or kwargs else function)

    if is_async(function):

        @wraps(function)
        async def later(*args: P.args, **kwargs: P.kwargs) -> Any:
            return _value(await runner.run_async(work_of_call(args, kwargs)))

        wrapper = cast("Callable[P, T]", later)
    else:

        @wraps(function)
        def now(*args: P.args, **kwargs: P.kwargs) -> T:
            return cast("T", _value(runner.run(work_of_call(args, kwargs))))

        wrapper = now
    wrapper.__resilient__ = function  # type: ignore[attr-defined]  # where ``find_action`` looks
    return wrapper


def _value(result: Result) -> Any:
    if result.is_done:
        return result.emitted.result
    if result.error is not None:
        raise result.error
    failure = result.emitted.failure
    raise TimeoutError("" if failure is None else failure.message)
