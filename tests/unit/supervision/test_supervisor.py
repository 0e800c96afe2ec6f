"""Children that are begun afresh, and a supervisor that knows when to give up."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.errors import DefinitionError
from tailrace.failures.supervision import Strategy
from tailrace.failures.supervision.child import Child
from tailrace.failures.supervision.intensity import RestartIntensity
from tailrace.failures.supervision.supervisor import EX_SOFTWARE, Supervisor, run_supervised
from tailrace.model import FailureSnapshot

LAVISH = RestartIntensity(restarts=1_000, window=60.0)


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.failures: list[FailureSnapshot] = []
        self.errors: list[BaseException | None] = []

    def __call__(self, snapshot: FailureSnapshot, error: BaseException | None) -> None:
        self.failures.append(snapshot)
        self.errors.append(error)


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


def crashing(times: int, starts: list[str], name: str = "c") -> Callable[[], Any]:
    """An async child that crashes so often, then ends."""

    async def run() -> None:
        starts.append(name)
        if starts.count(name) <= times:
            raise ValueError(f"crash {starts.count(name)}")

    return run


def test_a_child_that_crashes_is_begun_afresh_until_it_ends_by_itself(watcher: Watcher) -> None:
    starts: list[str] = []
    children = [Child("c", crashing(3, starts))]
    assert run_supervised(children, on_failure=watcher) == 0
    assert len(starts) == 4
    assert len({one.failure_id for one in watcher.failures}) == 3
    for one in watcher.failures:
        assert one.disposition == "retried"
        assert one.origin.path == ("root", "worker:main", "task:c")
        (hop,) = one.trail
        assert (hop.level, hop.directive, hop.policy_ref) == ("worker", "restart", "one_for_one")


def test_one_crash_more_than_is_allowed_escalates_to_the_root(watcher: Watcher) -> None:
    starts: list[str] = []
    out = io.StringIO()
    children = [Child("c", crashing(99, starts))]
    code = run_supervised(children, name="w1", on_failure=watcher, stderr=out)
    assert code == EX_SOFTWARE == 70
    assert len(starts) == 4
    last = watcher.failures[-1]
    assert [(hop.level, hop.directive) for hop in last.trail] == [
        ("worker", "escalate"), ("root", "stop"),
    ]  # fmt: skip
    assert last.trail[0].reason == "intensity_exceeded"
    assert (last.disposition, last.path) == ("terminal", ("root",))
    assert last.failure_id in out.getvalue()
    assert "ValueError: crash 4" in out.getvalue()
    assert "test_supervisor.py:" in out.getvalue()


def test_a_plain_function_runs_in_a_thread_of_its_own_and_is_begun_afresh(
    watcher: Watcher,
) -> None:
    threads: list[str] = []

    def work(stop: threading.Event) -> None:
        threads.append(threading.current_thread().name)
        if len(threads) < 3:
            raise OSError("line is down")

    assert run_supervised([Child("pump", work)], on_failure=watcher) == 0
    assert threads == ["pump"] * 3
    assert [one.type for one in watcher.failures] == ["OSError"] * 2
    assert isinstance(watcher.errors[0], OSError)


def test_a_stop_iteration_in_a_thread_is_a_crash_like_any_other(watcher: Watcher) -> None:
    calls: list[int] = []

    def work(stop: threading.Event) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StopIteration

    assert run_supervised([Child("pump", work)], on_failure=watcher) == 0
    assert len(watcher.failures) == 1


def test_a_plain_function_may_return_what_is_to_be_awaited() -> None:
    ended: list[int] = []

    async def later() -> None:
        ended.append(1)

    assert run_supervised([Child("c", lambda _: later())]) == 0
    assert ended == [1]


@pytest.mark.parametrize(
    ("strategy", "begun"),
    [
        (Strategy.ONE_FOR_ONE, {"a": 1, "b": 2, "c": 1}),
        (Strategy.REST_FOR_ONE, {"a": 1, "b": 2, "c": 2}),
        (Strategy.ALL_FOR_ONE, {"a": 2, "b": 2, "c": 2}),
    ],
)
def test_the_strategy_says_who_is_begun_afresh_with_a_child(
    strategy: Strategy, begun: dict[str, int], watcher: Watcher
) -> None:
    starts: list[str] = []

    async def supervise() -> FailureSnapshot | None:
        may_end, may_crash = asyncio.Event(), asyncio.Event()

        async def steady(name: str) -> None:
            starts.append(name)
            if {"a", "b", "c"} <= set(starts):
                may_crash.set()
            await may_end.wait()

        async def shaky() -> None:
            starts.append("b")
            if starts.count("b") == 1:
                await may_crash.wait()
                raise ValueError("once")
            while {name: starts.count(name) for name in begun} != begun:  # noqa: ASYNC110
                await asyncio.sleep(0)
            may_end.set()

        def threaded(stop: threading.Event) -> None:
            starts.append("c")
            if {"a", "b", "c"} <= set(starts):
                loop.call_soon_threadsafe(may_crash.set)
            asyncio.run_coroutine_threadsafe(may_end.wait(), loop)
            while not (stop.wait(0.001) or may_end.is_set()):
                pass

        loop = asyncio.get_running_loop()
        children = [Child("a", lambda _: steady("a")), Child("b", shaky), Child("c", threaded)]
        supervisor = Supervisor(children, strategy=strategy, intensity=LAVISH, on_failure=watcher)
        return await supervisor.run()

    assert asyncio.run(supervise()) is None
    assert {name: starts.count(name) for name in begun} == begun
    assert len(watcher.failures) == 1


def test_the_others_are_stopped_when_the_supervisor_gives_up(watcher: Watcher) -> None:
    stopped: list[str] = []

    async def cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("task")

    def asked(stop: threading.Event) -> None:
        stop.wait()
        stopped.append("thread")

    children = [Child("a", cancelled), Child("b", asked), Child("c", crashing(99, []))]
    assert run_supervised(children, on_failure=watcher, stderr=io.StringIO()) == 70
    assert sorted(stopped) == ["task", "thread"]
    assert len(watcher.failures) == 4


def test_two_crashes_at_once_are_two_failures(watcher: Watcher) -> None:
    starts: list[str] = []
    children = [Child("a", crashing(1, starts, "a")), Child("b", crashing(1, starts, "b"))]
    assert run_supervised(children, strategy=Strategy.ALL_FOR_ONE, on_failure=watcher) == 0
    assert sorted(one.origin.path[-1] for one in watcher.failures) == ["task:a", "task:b"]


def test_a_child_that_raises_while_it_is_stopped_is_told_of(watcher: Watcher) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("could not flush") from None

    children = [Child("a", stubborn), Child("c", crashing(99, []))]
    none = RestartIntensity(restarts=0)
    run_supervised(children, intensity=none, on_failure=watcher, stderr=io.StringIO())
    assert [one.type for one in watcher.failures] == ["ValueError", "OSError"]
    assert watcher.failures[1].disposition == "handled"


def test_a_thread_that_does_not_stop_in_time_is_abandoned(watcher: Watcher) -> None:
    release, begun = threading.Event(), threading.Event()

    def deaf(stop: threading.Event) -> None:
        begun.set()
        release.wait(30)

    def brief(stop: threading.Event) -> None:
        begun.wait(30)
        raise ValueError("over")

    supervisor = Supervisor(
        [Child("deaf", deaf), Child("brief", brief)],
        intensity=RestartIntensity(restarts=0),
        on_failure=watcher,
        grace=0.01,
    )
    last = asyncio.run(supervisor.run())
    release.set()
    assert last is not None
    assert last.message == "over"
    assert len(watcher.failures) == 1


def test_a_watcher_that_raises_changes_nothing() -> None:
    def faulty(snapshot: FailureSnapshot, error: BaseException | None) -> None:
        raise RuntimeError("watcher is broken")

    starts: list[str] = []
    assert run_supervised([Child("c", crashing(2, starts))], on_failure=faulty) == 0
    assert len(starts) == 3


def test_an_exit_that_a_child_asks_for_is_no_failure(watcher: Watcher) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        run_supervised([Child("c", leave)], on_failure=watcher)
    assert caught.value.code == 3
    assert watcher.failures == []


def test_children_need_names_of_their_own() -> None:
    twins = [Child("pump", crashing(0, [])), Child("pump", crashing(0, []))]
    with pytest.raises(DefinitionError, match=r"two children .* are named 'pump'") as caught:
        Supervisor(twins)
    assert caught.value.code == "TR326"
