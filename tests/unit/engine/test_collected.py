"""What a task gives that can be read only once is read: its output is a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tailrace import Flow, task
from tailrace.model import RunStatus


def numbers() -> Iterator[int]:
    return (number for number in range(3))


async def numbers_later() -> Iterator[int]:
    return (number for number in range(3))


def stream() -> AsyncIterator[int]:
    async def values() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    return values()


def mapped() -> Iterator[int]:
    return map(int, "012")


@pytest.mark.parametrize("function", [numbers, numbers_later, stream, mapped])
@pytest.mark.parametrize("isolation", ["auto", "process"])
def test_what_can_be_read_once_becomes_a_list(function: Callable[[], Any], isolation: str) -> None:
    flow = Flow("f", task(function, isolation=isolation))
    assert flow.run(store=False).output == [0, 1, 2]


def test_what_fails_while_it_is_read_fails_its_task() -> None:
    def broken() -> Iterator[int]:
        def values() -> Iterator[int]:
            yield 1
            raise ConnectionError("in the middle")

        return values()

    result = Flow("f", task(broken)).run(store=False, raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    assert result.report is not None
    assert result.report.error_message == "in the middle"
    assert "test_collected.py:" in result.report.location


def test_two_tasks_may_read_the_same_output() -> None:
    total = task(sum, name="total")
    count = task(len, name="count")
    assert Flow("f", task(numbers) >> (total & count)).run(store=False).output == {
        "total": 3,
        "count": 3,
    }
