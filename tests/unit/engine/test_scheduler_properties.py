"""Random graphs against the simplest model of what a scheduler must do."""

from __future__ import annotations

import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace import OnError, Policy, task
from tailrace.flow import Flow
from tailrace.flows.build import build_flow
from tailrace.flows.compile import compile_flow
from tailrace.flows.python import as_node
from tailrace.model import Graph, NodeState, RunStatus
from tailrace.testing import MemoryStore

Edges = tuple[tuple[int, int], ...]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges]:
    size = draw(st.integers(1, 12))
    pairs = [(low, high) for high in range(size) for low in range(high)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return size, tuple(edges)


class Recorder:
    """Notes starts and ends; some nodes fail."""

    def __init__(self, failing: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        self.log: list[tuple[str, int]] = []
        self.failing = failing
        self._lock = threading.Lock()

    def node(self, number: int, policy: Policy | None = None) -> Any:
        def body(ctx: Any) -> int:
            with self._lock:
                self.log.append(("start", number))
            if number in self.failing:
                raise ValueError(str(number))
            with self._lock:
                self.log.append(("end", number))
            return number

        made = task(body).named(f"n{number}")
        return made.with_policy(policy) if policy is not None else made

    @property
    def started(self) -> list[int]:
        return [number for kind, number in self.log if kind == "start"]


def build(recorder: Recorder, size: int, edges: Edges, **options: Any) -> Flow:
    policy = options.pop("node_policy", None)
    nodes = tuple(as_node(recorder.node(number, policy)) for number in range(size))
    root = Graph(nodes=nodes, edges=edges) if size > 1 else nodes[0]
    return Flow.of(build_flow(name="g", root=root, **options))


def parents(edges: Edges, number: int) -> set[int]:
    return {low for low, high in edges if high == number}


def ancestors(edges: Edges, number: int) -> set[int]:
    found: set[int] = set()
    waiting = [number]
    while waiting:
        for parent in parents(edges, waiting.pop()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


@settings(max_examples=times(30), deadline=None)
@given(graphs(), st.integers(1, 4))
def test_each_node_runs_once_and_never_before_its_parents_ended(
    graph: tuple[int, Edges], parallel: int
) -> None:
    size, edges = graph
    recorder = Recorder()
    result = build(recorder, size, edges, max_parallel=parallel).run(store=MemoryStore())
    assert sorted(recorder.started) == list(range(size))
    for number in range(size):
        start = recorder.log.index(("start", number))
        for parent in parents(edges, number):
            assert recorder.log.index(("end", parent)) < start
    assert result.outputs == {f"n{number}": number for number in range(size)}


@settings(max_examples=times(30), deadline=None)
@given(graphs())
def test_one_at_a_time_the_order_is_that_of_a_queue_filled_in_definition_order(
    graph: tuple[int, Edges],
) -> None:
    size, edges = graph
    recorder = Recorder()
    flow = build(recorder, size, edges, max_parallel=1)
    flow.run(store=MemoryStore())
    assert [f"n{number}" for number in recorder.started] == queue_order(flow)


def queue_order(flow: Flow) -> list[str]:
    steps = compile_flow(flow).scope.steps
    left = {step.index: len(step.predecessors) for step in steps}
    ready = [step for step in steps if not step.predecessors]
    order: list[str] = []
    while ready:
        step = ready.pop(0)
        order.append(step.name)
        for child in sorted(step.successors):
            left[child] -= 1
            if left[child] == 0:
                ready.append(steps[child])
    return order


@settings(max_examples=times(30), deadline=None)
@given(graphs(), st.sets(st.integers(0, 11)))
def test_isolated_failures_skip_their_descendants_and_nothing_else(
    graph: tuple[int, Edges], failing: set[int]
) -> None:
    size, edges = graph
    failing &= set(range(size))
    recorder = Recorder(failing)
    store = MemoryStore()
    isolate = Policy(on_error=OnError(action="isolate"))
    flow = build(recorder, size, edges, node_policy=isolate)
    result = flow.run(store=store)
    assert result.status is RunStatus.COMPLETED
    skipped = {number for number in range(size) if ancestors(edges, number) & failing}
    assert set(recorder.started) == set(range(size)) - skipped
    states = {
        span.name[5:]: span.attributes["tailrace.state"]
        for span in store.trace(result.run_id).spans
        if span.name.startswith("node ")
    }
    for number in range(size):
        expected = (
            NodeState.SKIPPED
            if number in skipped
            else NodeState.FAILED
            if number in failing
            else NodeState.SUCCEEDED
        )
        assert states[f"n{number}"] == expected


@settings(max_examples=times(20), deadline=None)
@given(graphs(), st.integers(0, 11))
def test_fail_fast_leaves_every_node_in_exactly_one_terminal_state(
    graph: tuple[int, Edges], failing: int
) -> None:
    size, edges = graph
    recorder = Recorder({failing % size})
    store = MemoryStore()
    result = build(recorder, size, edges).run(store=store, raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    names = [s.name for s in store.trace(result.run_id).spans if s.name.startswith("node ")]
    assert sorted(names) == sorted(f"node n{number}" for number in range(size))
    assert all(span.end_ns is not None for span in store.trace(result.run_id).spans)
