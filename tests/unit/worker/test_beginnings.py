"""Which runs begin on the loop that talks to NATS: those of which no user's code runs by then."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tailrace import Context, Flow, foreach, task
from tailrace.flows.compile import compile_flow
from tailrace.model.journal import RunStarted
from tailrace.model.remote import Job
from tailrace.worker.beginnings import Beginnings
from tailrace.worker.execution import Assignment, Surroundings


@task
def number(n: int) -> int:
    return n


@task
def told(ctx: Context, text: str = "a", *, often: int = 3) -> str:
    return text * often


@task(cache="inputs")
def kept(n: int) -> int:
    return n


@dataclass
class Strange:
    """A value that a user's code describes."""

    n: int = 1


PLAIN = [
    Flow("one", number),
    Flow("two", number >> kept),
    Flow("told", told),
    Flow("scalar", number, defaults={"n": 1}),
]
OTHERS = [
    Flow("kept", kept),
    Flow("strange", number, defaults={"n": Strange()}),
    Flow("loop", foreach([1, 2], item="n")(number)),
]


def around(tracers: tuple[Any, ...] = ()) -> Surroundings:
    return cast("Surroundings", SimpleNamespace(tracers=tracers))


def assigned(flow: Flow, **given: Any) -> Assignment:
    more = {key: given.pop(key) for key in ("earlier",) if key in given}
    job = Job(run_id="r", flow_name=flow.name, **{"params": {"n": 1}, **given})
    return Assignment(job=job, delivery=1, **more)


def learned(flow: Flow, surroundings: Surroundings | None = None) -> Beginnings:
    beginnings = Beginnings(surroundings or around())
    beginnings.learn(assigned(flow).job, compile_flow(flow, params={"n"}))
    return beginnings


@pytest.mark.parametrize("flow", PLAIN, ids=lambda flow: flow.name)
def test_a_run_begins_in_place_once_its_flow_is_known_to_begin_with_tasks(flow: Flow) -> None:
    async def test() -> None:
        beginnings = learned(flow)
        assert beginnings.fits(assigned(flow), 100)
        assert not beginnings.fits(assigned(flow, params={}), 100)  # not learned yet
        beginnings.close()

    asyncio.run(test())


@pytest.mark.parametrize("flow", OTHERS, ids=lambda flow: flow.name)
def test_what_may_run_code_of_a_user_does_not(flow: Flow) -> None:
    async def test() -> None:
        beginnings = learned(flow)
        assert not beginnings.fits(assigned(flow), 100)
        beginnings.close()

    asyncio.run(test())


@pytest.mark.parametrize(
    "given",
    [
        {"workflow_yaml": "version: 1"},
        {"policy": {"timeout": 1}},
        {"resumed_from": "other"},
        {"letter": "letter"},
        {"earlier": [RunStarted("r", "one", "h", "s", 1, {}, "http", 1)]},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_run_that_is_more_than_a_flow_and_params_does_not(given: dict[str, Any]) -> None:
    async def test() -> None:
        beginnings = learned(PLAIN[0])
        assert not beginnings.fits(assigned(PLAIN[0], **given), 100)
        beginnings.close()

    asyncio.run(test())


def test_neither_does_a_large_one_nor_one_that_somebody_watches() -> None:
    async def test() -> None:
        beginnings, watched = learned(PLAIN[0]), learned(PLAIN[0], around((object(),)))
        assert not beginnings.fits(assigned(PLAIN[0]), 1 << 20)
        assert not watched.fits(assigned(PLAIN[0]), 100)
        beginnings.close()
        watched.close()

    asyncio.run(test())


def test_what_begins_sees_a_loop_of_its_own_and_the_other_one_is_back_after_it() -> None:
    async def test() -> None:
        beginnings, outer = learned(PLAIN[0]), asyncio.get_running_loop()
        seen: list[asyncio.AbstractEventLoop] = []

        async def work() -> None:
            seen.append(asyncio.get_running_loop())
            await asyncio.sleep(0)

        begun = work()
        assert beginnings.start(begun, copy_context()) is None
        assert seen[0] is not outer
        assert asyncio.get_running_loop() is outer
        with pytest.raises(StopIteration):
            begun.send(None)
        beginnings.close()

    asyncio.run(test())
