"""Running the present code of one node with the inputs it had, and comparing what it gives."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from copy import deepcopy
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from tailrace.engine.attempt import within
from tailrace.engine.binding import Arguments
from tailrace.engine.collected import collected
from tailrace.errors import RunError
from tailrace.failures import capture
from tailrace.model import FailureRecord, Routing
from tailrace.runtime.loop import run_to_end
from tailrace.runtime.replay.difference import MOST, Difference, differences
from tailrace.runtime.replay.node import ReplayedNode
from tailrace.tracing.attributes import attribute
from tailrace.tracing.summary import summarize


class InputsMissing(RunError):  # noqa: N818 - reads as the state it reports
    """A node cannot be run with its recorded inputs: some of them are not known."""

    default_code = "TR318"


class Verdict(StrEnum):
    """What the comparison with the record says."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """Nothing was recorded to compare with."""


class Trial(Struct, frozen=True, kw_only=True):
    """One call of a node's present code."""

    verdict: Verdict
    output: Any = None
    failure: FailureRecord | None = None
    duration: float = 0.0
    """Seconds."""
    differences: tuple[Difference, ...] = ()
    """Between the recorded output and this one; the first ones."""
    note: str = ""
    """What else is to be known about the comparison."""


def run_again(node: ReplayedNode, *, most: int = MOST) -> Trial:
    """Call the node's function as it is now, once, and compare with what was recorded.

    The task really runs, in this process, with whatever it does outside; nothing is stored, no
    policy applies, and artifacts it saves are thrown away. Its idempotency key is that of the run.

    Args:
        node: from a replay.
        most: differences to tell at most.

    Raises:
        InputsMissing: some inputs are not known (TR318).
        KeyboardInterrupt: raised by the task.
    """
    if node.missing:
        named = "; ".join(f"{name}: {why}" for name, why in node.missing.items())
        raise InputsMissing(
            f"{node.path} cannot be run with the inputs it had: {named}",
            hint="run the flow again, or go on with the run: tailrace resume",
            details={"path": node.path, "missing": dict(node.missing)},
        )
    started = time.perf_counter()
    value, error = _called(node)
    duration = time.perf_counter() - started
    if error is not None:
        return _failed(node, capture(error), duration)
    return _gave(node, _routed(value) if node.task.routes else value, duration, most)


def _called(node: ReplayedNode) -> tuple[Any, BaseException | None]:
    args, kwargs = _copied(node)
    function = partial(collected(node.task.function, node.task.kind), *args, **kwargs)
    with tempfile.TemporaryDirectory(prefix="tailrace-replay-") as folder:
        node.attempt.run.artifact_folder = Path(folder)
        try:
            return within(node.attempt, partial(_to_end, function)), None
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - a task may raise anything
            return None, error


def _copied(node: ReplayedNode) -> Arguments:
    """Return the arguments with inputs of their own: a task may change what it is given."""
    args, kwargs = node.arguments
    inputs = {id(value) for value in node.inputs.values()}

    def own(value: Any) -> Any:
        if id(value) not in inputs:
            return value  # a context
        try:
            return deepcopy(value)
        except Exception:  # noqa: BLE001 - what cannot be copied is given as it is
            return value

    return tuple(map(own, args)), {name: own(value) for name, value in kwargs.items()}


def _to_end(function: partial[Any]) -> Any:
    value = function()
    if not isinstance(value, Awaitable):
        return value

    async def wait() -> Any:
        return await value

    return run_to_end(wait)


def _routed(answer: Any) -> Any:
    """Return a route's answer as it is recorded: a name, or a list of several."""
    target = answer.target if isinstance(answer, Routing) else answer
    return list(target) if isinstance(target, list | tuple | set | frozenset) else target


def _failed(node: ReplayedNode, failure: FailureRecord, duration: float) -> Trial:
    before = node.failure
    if before is None:
        verdict = Verdict.DIFFERENT if node.has_output or _gave_something(node) else Verdict.UNKNOWN
        return Trial(verdict=verdict, failure=failure, duration=duration)
    same = before.fingerprint == failure.fingerprint
    if same:
        is_word = before.message == failure.message
        note = "the same failure" if is_word else "the same failure with another message"
        return Trial(verdict=Verdict.EQUAL, failure=failure, duration=duration, note=note)
    return Trial(verdict=Verdict.DIFFERENT, failure=failure, duration=duration)


def _gave(node: ReplayedNode, value: Any, duration: float, most: int) -> Trial:
    if node.failure is not None and node.state == "FAILED":
        return Trial(verdict=Verdict.DIFFERENT, output=value, duration=duration)
    if node.has_output:
        found = differences(node.output, value, most=most)
        verdict = Verdict.DIFFERENT if found else Verdict.EQUAL
        return Trial(verdict=verdict, output=value, duration=duration, differences=found)
    if not _gave_something(node):
        return Trial(verdict=Verdict.UNKNOWN, output=value, duration=duration, note=node.why)
    before = "" if node.span is None else node.span.attributes["tailrace.output"]
    now = attribute(summarize(value))
    found = () if before == now else (_of_summaries(before, now),)
    return Trial(
        verdict=Verdict.DIFFERENT if found else Verdict.EQUAL,
        output=value,
        duration=duration,
        differences=found,
        note=f"compared by their summaries: {node.why}",
    )


def _gave_something(node: ReplayedNode) -> bool:
    """Tell whether a summary of the output was recorded, though not the output itself."""
    span = node.span
    return span is not None and "tailrace.output" in span.attributes


def _of_summaries(before: Any, now: Any) -> Difference:
    return Difference(place="", kind="changed", before=before, after=now)
