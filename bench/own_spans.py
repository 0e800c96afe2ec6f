"""The measurements of spans: those that tasks open themselves, and what tracing costs a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import shapes
from row import Row, least
from tailrace import Context, Flow, task
from tailrace.testing import MemoryStore

if TYPE_CHECKING:
    from suites import Bench

MICROSECONDS = 1e6
_MOST = 3.0
"""Most microseconds of a span, of the task that opens it."""
_SPANS = 500
_NODE = 0.005
"""Seconds that a typical node works."""
_NODES = 100


def spans(bench: Bench) -> Iterator[Row]:
    """Cost of spans that a task opens, and of the trace of a whole run."""
    yield from _opened(bench)
    yield from _share(bench)


def _opened(bench: Bench) -> Iterator[Row]:
    """Measure what a span costs the task, and what all threads together, until it is on disk."""
    tracer = trace.get_tracer("bench")
    ways: tuple[tuple[str, Callable[[Context], None], float | None], ...] = (
        ("a span that a task opens", _bare, _MOST),
        ("a span of 2 attributes that a task opens", _two, _MOST),
        ("a span of 2 attributes by OpenTelemetry's API in a task", partial(_api, tracer), None),
    )
    (raw,) = least([partial(_api, TracerProvider().get_tracer("bench"))], repeat=bench.repeat)
    limit = raw / _SPANS * MICROSECONDS
    found = _taken(bench, [way for _, way, _ in ways])
    for (name, _, most), (waited, worked, in_all) in zip(ways, found, strict=True):
        for value, of, aim, ratio in (
            (waited, "of the task's time", most, 1.0),
            (worked, "of the task's CPU time", most, 1.0),
            (in_all, "of CPU time in all, until it is on disk", None, None),
        ):
            yield Row(
                name=f"{name}, {of}",
                value=value,
                unit="µs",
                limit=limit,
                limit_name="span of the OpenTelemetry SDK, not exported",
                most=aim,
                most_ratio=ratio,
            )


def _bare(ctx: Context) -> None:
    for _ in range(_SPANS):
        with ctx.span("split"):
            pass


def _two(ctx: Context) -> None:
    for number in range(_SPANS):
        with ctx.span("split", separator=",", number=number):
            pass


def _api(tracer: trace.Tracer, ctx: Context | None = None) -> None:  # noqa: ARG001 - as the others
    for number in range(_SPANS):
        attributes: dict[str, str | int] = {"separator": ",", "number": number}
        with tracer.start_as_current_span("split", attributes=attributes):
            pass


class _Taken(NamedTuple):
    """Least microseconds of a span: waited for, worked by the task, worked by all threads."""

    waited: float
    worked: float
    in_all: float


def _taken(bench: Bench, ways: Sequence[Callable[[Context], None]]) -> list[_Taken]:
    """Measure the ways in turns, so that what else the machine does falls on all of them alike."""
    waited: list[list[float]] = [[] for _ in ways]
    worked: list[list[float]] = [[] for _ in ways]
    in_all: list[list[float]] = [[] for _ in (*ways, None)]

    @task
    def work(ctx: Context, way: int) -> None:
        """Open spans."""
        started, used = time.perf_counter(), time.thread_time()
        if way < len(ways):
            ways[way](ctx)
        worked[way].append(time.thread_time() - used)
        waited[way].append(time.perf_counter() - started)

    flow = Flow("opening", work)
    waited.append([])
    worked.append([])
    for _ in range(bench.repeat + 15):
        for way, all_work in enumerate(in_all):
            used = time.process_time()
            flow.run(way=way, db=bench.folder / "opened.db")
            all_work.append(time.process_time() - used)
    idle = min(in_all[-1])
    return [
        _Taken(*(value / _SPANS * MICROSECONDS for value in (min(a), min(b), min(c) - idle)))
        for a, b, c in zip(waited[:-1], worked[:-1], in_all[:-1], strict=True)
    ]


def _share(bench: Bench) -> Iterator[Row]:
    """Measure what a node of 5 ms is longer by than one of which nothing is kept.

    By chains whose nodes do nothing: how long nodes take that use the CPU says more about what else
    the machine does.
    """
    one, chain = shapes.chain(1), shapes.chain(_NODES)
    kept: tuple[dict[str, Any], ...] = (
        {"store": False},
        {"store": MemoryStore()},
        {"db": bench.folder / "share.db"},
    )
    works = [partial(flow.run, **options) for options in kept for flow in (one, chain)]
    taken = least(works, repeat=bench.repeat + 5)
    nodes = [(taken[2 * n + 1] - taken[2 * n]) / (_NODES - 1) for n in range(len(kept))]
    for name, node in zip(("traced in memory", "traced and durable"), nodes[1:], strict=True):
        yield Row(
            name=f"a node of 5 ms, longer by being {name}",
            value=(node - nodes[0]) / _NODE * 100,
            unit="%",
            most=1,
        )
