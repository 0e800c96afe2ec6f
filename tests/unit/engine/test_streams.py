"""Generators that feed a foreach while they run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tailrace import Flow, foreach, task
from tailrace.model import RunStatus
from tailrace.testing import MemoryStore


def test_values_are_consumed_as_they_are_made() -> None:
    log: list[str] = []

    @task
    def numbers() -> Iterator[int]:
        for number in range(3):
            log.append(f"made {number}")
            yield number

    @task
    def use(number: int) -> int:
        log.append(f"used {number}")
        return number

    result: Any = Flow("f", numbers >> foreach("$payload")(use)).run(store=MemoryStore())
    assert result.output == [0, 1, 2]
    assert log == ["made 0", "used 0", "made 1", "used 1", "made 2", "used 2"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_endless_generator_ends_when_the_loop_fails(concurrency: int) -> None:
    closed: list[bool] = []

    @task
    def endless() -> Iterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            closed.append(True)

    @task
    def use(number: int) -> None:
        if number == 3:
            raise ValueError("three")

    flow = Flow("f", endless >> foreach("{{ results.endless }}", concurrency=concurrency)(use))
    result: Any = flow.run(store=MemoryStore(), raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    assert result.report.failed_node_id == "use"
    assert closed == [True]


def test_a_generator_that_raises_is_the_node_that_failed() -> None:
    @task
    def numbers() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    @task
    def use(number: int) -> int:
        return number

    store = MemoryStore()
    flow = Flow("f", numbers >> foreach("$payload")(use))
    result: Any = flow.run(store=store, raise_on_failure=False)
    assert result.report.failed_node_id == "numbers"
    assert result.report.error_type == "KeyError"
    spans = {span.name: span for span in store.trace(result.run_id).spans}
    assert spans["node numbers"].status.value == "error"
    assert spans["node use"].status.value == "unset"


def test_async_generators_stream_too() -> None:
    @task
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    @task
    async def double(number: int) -> int:
        return number * 2

    result: Any = Flow("f", numbers >> foreach("$payload")(double)).run(store=MemoryStore())
    assert result.output == [0, 2, 4]


def test_a_generator_for_any_other_consumer_becomes_a_list() -> None:
    @task
    def numbers() -> Iterator[int]:
        yield from (1, 2)

    @task
    def total(values: Any) -> int:
        assert isinstance(values, list)
        return sum(values)

    assert Flow("f", numbers >> total).run(store=MemoryStore()).output == 3
