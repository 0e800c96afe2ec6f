"""Events reach every subscriber in order, through queues that have a bound."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError
from tailrace.failures.telemetry import FailureEvent, FailureEventKind, FailureEventStream


def event(number: int = 0, kind: FailureEventKind = FailureEventKind.HOP) -> FailureEvent:
    return FailureEvent(kind=kind, at_ns=number)


def test_every_subscriber_gets_every_event_in_order() -> None:
    stream = FailureEventStream()
    first, second = stream.subscribe(), stream.subscribe()
    for number in range(5):
        stream.on_event(event(number))
    stream.close()
    assert [one.at_ns for one in first] == [one.at_ns for one in second] == [0, 1, 2, 3, 4]


def test_kinds_can_be_chosen() -> None:
    stream = FailureEventStream()
    letters = stream.subscribe(kinds=[FailureEventKind.DEAD_LETTERED])
    stream.on_event(event())
    stream.on_event(event(7, FailureEventKind.DEAD_LETTERED))
    taken = letters.get(timeout=0)
    assert taken is not None
    assert taken.at_ns == 7
    assert letters.get(timeout=0) is None


@given(size=st.integers(1, 10), count=st.integers(0, 40))
def test_a_full_queue_drops_the_oldest_and_counts_them(size: int, count: int) -> None:
    stream = FailureEventStream()
    with stream.subscribe(size=size) as subscription:
        for number in range(count):
            stream.on_event(event(number))
    kept = [one.at_ns for one in subscription]
    assert kept == list(range(count))[-size:]
    assert subscription.dropped == count - len(kept)


def test_a_subscription_ends_when_it_is_closed_or_nothing_refers_to_it() -> None:
    stream = FailureEventStream()
    closed, dropped = stream.subscribe(), stream.subscribe()
    assert stream.subscribers == 2
    closed.close()
    assert closed.is_closed
    assert stream.subscribers == 1
    del dropped
    gc.collect()
    assert stream.subscribers == 0
    stream.on_event(event())
    assert list(closed) == []


def test_a_closed_stream_gives_closed_subscriptions() -> None:
    stream = FailureEventStream()
    stream.close()
    assert list(stream.subscribe()) == []


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(SettingsError, match="must be 1 or more"):
        FailureEventStream().subscribe(size=0)


def test_a_thread_that_waits_is_woken_by_an_event_and_by_the_end() -> None:
    stream = FailureEventStream()
    subscription = stream.subscribe()
    taken: list[int] = []
    arrived = threading.Event()

    def read() -> None:
        for one in subscription:
            taken.append(one.at_ns)
            arrived.set()

    thread = threading.Thread(target=read)
    thread.start()
    stream.on_event(event(3))
    assert arrived.wait(60)
    stream.close()
    thread.join(60)
    assert not thread.is_alive()
    assert taken == [3]


def test_events_from_many_threads_all_arrive() -> None:
    stream = FailureEventStream()
    subscription = stream.subscribe(size=10_000)
    threads = [
        threading.Thread(target=lambda: deque(map(stream.on_event, map(event, range(1_000)))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.close()
    assert len(list(subscription)) == 8_000
    assert subscription.dropped == 0


def test_async_iteration_is_woken_from_another_thread_and_ends_with_the_stream() -> None:
    stream = FailureEventStream()

    async def read() -> list[int]:
        subscription = stream.subscribe()
        taken: list[int] = []
        threading.Thread(target=stream.on_event, args=(event(0),)).start()
        async for one in subscription:
            taken.append(one.at_ns)
            following = len(taken)
            if following < 3:
                threading.Thread(target=stream.on_event, args=(event(following),)).start()
            else:
                threading.Thread(target=stream.close).start()
        return taken

    assert asyncio.run(asyncio.wait_for(read(), 10)) == [0, 1, 2]


def test_a_reader_that_gave_up_waiting_takes_no_event_with_it() -> None:
    stream = FailureEventStream()

    async def read() -> Any:
        subscription = stream.subscribe()
        waiting = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        stream.on_event(event(5))
        return await anext(subscription)

    assert asyncio.run(read()).at_ns == 5


def test_a_reader_whose_loop_is_gone_does_not_stop_the_others() -> None:
    stream = FailureEventStream()
    subscription = stream.subscribe()
    loop = asyncio.new_event_loop()
    waiting = subscription.__anext__()
    task = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.close()
    del task, waiting
    stream.on_event(event(9))
    assert subscription.get(timeout=0) == event(9)
