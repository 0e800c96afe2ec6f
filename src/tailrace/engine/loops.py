"""Loops: foreach, repeat, until. Only what is collected grows with the iterations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from tailrace.engine.cancel import CancelScope
from tailrace.engine.container import (
    Container,
    close_scope,
    open_scope,
    outcome_of,
    run_scope,
)
from tailrace.engine.frame import Frame
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.running import ScopeEnd
from tailrace.engine.scratch import Scratch, merge
from tailrace.engine.stream import END, Stream, StreamBroken
from tailrace.errors import RunError
from tailrace.model import (
    Collect,
    ForEachStep,
    LoopFrame,
    NodeState,
    RepeatStep,
    ScopePlan,
    UntilStep,
)
from tailrace.tracing.summary import summarize


class NotIterable(RunError):  # noqa: N818 - reads as the state it reports
    """A loop is over something it cannot run over."""

    default_code = "TR306"


class UntilMaxIterationsExceeded(RunError):  # noqa: N818 - the name of the older system
    """The condition of an until did not hold within its maximum of iterations."""

    default_code = "TR304"


class Collector:
    """Gathers what a loop's own output is made of, in iteration order."""

    __slots__ = ("_first", "_last", "_mode", "_values", "count")

    def __init__(self, mode: Collect) -> None:
        self._mode = mode
        self._values: list[Any] = []
        self._first: tuple[int, Any] | None = None
        self._last: tuple[int, Any] | None = None
        self.count = 0

    def add(self, index: int, value: Any) -> None:
        """Take the output of iteration ``index`` (from 0), in any order."""
        self.count += 1
        match self._mode:
            case Collect.LIST | Collect.FLATTEN:
                while len(self._values) <= index:
                    self._values.append(None)
                self._values[index] = value
            case Collect.FIRST:
                if self._first is None or index < self._first[0]:
                    self._first = (index, value)
            case Collect.LAST:
                if self._last is None or index > self._last[0]:
                    self._last = (index, value)

    def result(self) -> Any:
        """Return the loop's output."""
        match self._mode:
            case Collect.LIST:
                return self._values
            case Collect.FLATTEN:
                return list(_flattened(self._values))
            case Collect.FIRST:
                return None if self._first is None else self._first[1]
            case Collect.LAST:
                return None if self._last is None else self._last[1]


def _flattened(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


class _Iteration:
    """One iteration: its frame and its span."""

    __slots__ = ("frame", "index", "span")

    def __init__(
        self,
        container: Container,
        kind: str,
        index: int,
        *,
        key: str | None = None,
        count: int | None = None,
        item: Any = None,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        self.index = index
        name = f"{container.name}[{index if key is None else key}]"
        prefix = container.frame.prefix
        path = prefix + name
        loop = LoopFrame(
            name=container.name,
            kind=kind,
            index=index,
            iteration=index + 1,
            count=count,
            item=item,
            path=path,
        )
        self.frame = Frame(
            container.frame.flow,
            parent=container.frame,
            prefix=f"{path}.",
            loop=loop,
            variables=variables,
            segments=container.segments,
        )
        attributes: dict[str, Any] = {"iteration_number": index + 1}
        if kind == "foreach":
            attributes["item"] = summarize(item)
        self.span = open_scope(container, "iteration", name, attributes)


async def _iterate(
    container: Container,
    iteration: _Iteration,
    body: ScopePlan,
    payload: Any,
    scratch: Scratch,
    cancel: CancelScope | None = None,
) -> ScopeEnd:
    end = await run_scope(
        container,
        body,
        iteration.frame,
        span=iteration.span,
        payload=payload,
        scratch=scratch,
        cancel=cancel,
    )
    close_scope(container, iteration.span, end.state, end.failure)
    return end


async def repeat(container: Container, step: RepeatStep) -> Outcome:
    """Run the body a number of times."""
    count = step.count if isinstance(step.count, int) else container.evaluate(step.count)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise NotIterable(
            f"repeat {container.path!r} needs a whole number of 0 or more, not {count!r}"
        )
    container.attributes["count"] = count
    collector = Collector(step.collect)
    scratch, last = container.scratch, None
    for index in range(count):
        iteration = _Iteration(container, "repeat", index, count=count)
        if last is not None:
            iteration.frame.results = last.results
            iteration.frame.order, iteration.frame.sequence = last.order, last.sequence
        end = await _iterate(container, iteration, step.body, container.inputs.payload, scratch)
        if end.state is not NodeState.SUCCEEDED:
            return outcome_of(end)
        collector.add(index, end.value)
        scratch = (end.scratch or scratch).flattened()
        last = iteration.frame
    return _finished(container, collector, scratch, last)


def _finished(
    container: Container, collector: Collector, scratch: Scratch, last: Frame | None
) -> Outcome:
    if last is not None:
        container.frame.adopt(last)
    return Outcome(End.OK, collector.result(), scratch)


async def until(container: Container, step: UntilStep) -> Outcome:
    """Run the body, then again until the condition holds."""
    collector = Collector(step.collect)
    scratch, last = container.scratch, None
    for index in range(step.max_iterations):
        iteration = _Iteration(container, "until", index, count=step.max_iterations)
        if last is not None:
            iteration.frame.results = last.results
            iteration.frame.order, iteration.frame.sequence = last.order, last.sequence
        end = await _iterate(container, iteration, step.body, container.inputs.payload, scratch)
        if end.state is not NodeState.SUCCEEDED:
            return outcome_of(end)
        collector.add(index, end.value)
        scratch = (end.scratch or scratch).flattened()
        last = iteration.frame
        container.inputs.scratch = scratch
        if container.evaluate(step.condition, iteration.frame):
            container.attributes["count"] = index + 1
            container.attributes["exit_reason"] = "condition"
            return _finished(container, collector, scratch, last)
    container.attributes["count"] = step.max_iterations
    container.attributes["exit_reason"] = "max_iterations"
    raise UntilMaxIterationsExceeded(
        f"until {container.path!r} did not reach {step.condition.source!r} within "
        f"{step.max_iterations} iterations",
        hint="raise max_iter, or see why the condition never holds",
    )


async def foreach(container: Container, step: ForEachStep) -> Outcome:
    """Run the body per item."""
    over = container.evaluate(step.over)
    items = _Items(container, over)
    count = len(over) if isinstance(over, Sized) else None
    limit = step.concurrency
    if not isinstance(limit, int):
        limit = container.evaluate(limit)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise NotIterable(
            f"concurrency of foreach {container.path!r} must be a whole number of 1 or more, "
            f"not {limit!r}"
        )
    if count is not None:
        container.attributes["count"] = count
    container.attributes["concurrency"] = limit
    loop = _ForEach(container, step, count)
    try:
        if limit == 1 or (count is not None and count <= 1):
            return await loop.one_by_one(items)
        return await loop.side_by_side(items, limit)
    except StreamBroken as broken:
        return Outcome(End.BLOCKED, failure=broken.failure, failed_path=broken.path)
    finally:
        await items.close()


Entry = tuple[str | None, Any]
"""Key for the path (None: the index), and the item."""


class _Items:
    """The items of a loop, one after the other."""

    def __init__(self, container: Container, over: Any) -> None:
        self._path = container.path
        self._stream = over if isinstance(over, Stream) else None
        self._entries = iter(()) if self._stream is not None else _entries(container, over)

    async def next(self) -> Entry | None:
        """Return the next entry, or None at the end.

        Raises:
            NotIterable: the user's own iterable raised.
            StreamBroken: the generator task behind it raised.
        """
        if self._stream is not None:
            value = await self._stream.next()
            return None if value is END else (None, value)
        try:
            return next(self._entries, None)
        except Exception as error:
            raise NotIterable(
                f"the items of foreach {self._path!r} broke off: {type(error).__name__}: {error}"
            ) from error

    async def close(self) -> None:
        """Take no more items."""
        if self._stream is not None:
            await self._stream.close()


def _entries(container: Container, over: Any) -> Iterator[Entry]:
    if isinstance(over, Mapping):
        return (
            (json.dumps(key) if isinstance(key, str) else repr(key), (key, value))
            for key, value in over.items()
        )
    if isinstance(over, Iterable) and not isinstance(over, str | bytes | bytearray):
        return ((None, item) for item in over)
    raise NotIterable(
        f"foreach {container.path!r} needs a list, a mapping or another iterable, "
        f"not {summarize(over)!r} ({type(over).__name__})",
        hint="name the items with over=, such as params.items",
    )


class _ForEach:
    def __init__(self, container: Container, step: ForEachStep, count: int | None) -> None:
        self._container = container
        self._step = step
        self._count = count
        self._collector = Collector(step.collect)
        self._failed: ScopeEnd | None = None
        self._last: tuple[int, Frame] | None = None
        self._written: dict[int, Scratch] = {}

    def _iteration(self, index: int, key: str | None, item: Any) -> _Iteration:
        step = self._step
        variables = {}
        if step.item is not None:
            variables[step.item] = item
        if step.index_name is not None:
            variables[step.index_name] = index
        return _Iteration(
            self._container,
            "foreach",
            index,
            key=key,
            count=self._count,
            item=item,
            variables=variables,
        )

    async def one_by_one(self, items: _Items) -> Outcome:
        container, fail_fast = self._container, self._container.run.plan.policy.fail_fast
        scratch, index = container.scratch, 0
        while (entry := await items.next()) is not None:
            iteration = self._iteration(index, *entry)
            end = await _iterate(container, iteration, self._step.body, entry[1], scratch)
            if end.state is NodeState.SUCCEEDED:
                self._collector.add(index, end.value)
                scratch = (end.scratch or scratch).flattened()
                self._last = (index, iteration.frame)
            elif fail_fast or end.state is NodeState.CANCELLED:
                return outcome_of(end)
            else:
                self._failed = self._failed or end
            index += 1
        return self._outcome(scratch)

    async def side_by_side(self, items: _Items, limit: int) -> Outcome:
        """Run up to ``limit`` iterations at a time; each sees the scratch as the loop began."""
        container = self._container
        run = container.run
        cancel = CancelScope(container.cancel)
        loop = asyncio.get_running_loop()
        running: set[asyncio.Task[None]] = set()
        index, more = 0, True
        try:
            while more or running:
                while more and len(running) < limit and not cancel.requested:
                    entry = await items.next()
                    if entry is None:
                        more = False
                        break
                    task = loop.create_task(self._one_of_many(index, *entry, cancel))
                    running.add(task)
                    run.active += 1
                    task.add_done_callback(run.task_over)
                    index += 1
                if not running:
                    break
                run.active -= 1
                try:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    run.active += 1
                for task in done:
                    task.result()
        except (NotIterable, StreamBroken):
            cancel.cancel("the items broke off")
            await asyncio.gather(*running)
            raise
        finally:
            cancel.close()
        if cancel.requested and self._failed is None:
            return Outcome(End.CANCELLED)
        written = [self._written[index] for index in sorted(self._written)]
        merged = merge([container.scratch, *written], run.plan.scratch_merge)
        return self._outcome(merged)

    async def _one_of_many(
        self, index: int, key: str | None, item: Any, cancel: CancelScope
    ) -> None:
        container = self._container
        iteration = self._iteration(index, key, item)
        scratch = container.scratch.fork(iteration.frame.prefix)
        inner = CancelScope(cancel)
        end = await _iterate(container, iteration, self._step.body, item, scratch, inner)
        if end.state is NodeState.SUCCEEDED:
            self._collector.add(index, end.value)
            if end.scratch is not None and end.scratch.differs_from(container.scratch):
                self._written[index] = end.scratch
            if self._last is None or index > self._last[0]:
                self._last = (index, iteration.frame)
        elif end.state is NodeState.FAILED:
            self._failed = self._failed or end
            if container.run.plan.policy.fail_fast:
                cancel.cancel(f"fail-fast: {end.failed_path} failed")

    def _outcome(self, scratch: Scratch) -> Outcome:
        self._container.attributes.setdefault("count", self._collector.count)
        if self._failed is not None:
            return outcome_of(self._failed)
        last = None if self._last is None else self._last[1]
        return _finished(self._container, self._collector, scratch, last)
