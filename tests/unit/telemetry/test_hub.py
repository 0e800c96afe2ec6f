"""The hub: each failure once, each callee isolated, always in the same order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from tailrace.errors import StoreError
from tailrace.failures.telemetry import (
    CompositeFailureTelemetry,
    FailureEventKind,
    FailureHub,
    FailureTelemetryObservationConfig,
    MetricsFailureTelemetry,
    NoopFailureTelemetry,
    RingBufferFailureTelemetry,
    RootEscalationSink,
)
from tailrace.model import FailureSnapshot, Hop
from tailrace.ports import FailureLog

Make = Callable[..., FailureSnapshot]
WARNINGS = "tailrace.telemetry"


class Raising:
    """Raises at each call and counts them."""

    def __init__(self) -> None:
        self.calls = 0

    def on_failure(self, _: FailureSnapshot) -> None:
        self.calls += 1
        raise RuntimeError("broken sink")


def whole_hub(diary: Any, **options: Any) -> FailureHub:
    """Return a hub in which one diary stands at every place."""
    observation = FailureTelemetryObservationConfig(metrics_sink=diary, **options)
    return FailureHub(
        diary,
        store=cast("FailureLog", diary),
        observation=observation,
        handler=diary.handle,
        listeners=[diary],
    )


def test_the_order_is_store_telemetry_metrics_handler_listener(make: Make, diary: Any) -> None:
    whole_hub(diary).escalated(make())
    assert diary.callers == ["store", "telemetry", "metrics", "handler", "listener"]


def test_the_handler_gets_the_live_exception_and_cannot_change_what_follows(
    make: Make, diary: Any
) -> None:
    error = ValueError("no number")
    hub = FailureHub(handler=lambda info: diary.handle(info) or "resume", listeners=[diary])
    hub.escalated(make(), error)
    assert diary.of("handler")[0].error is error
    assert [event.kind for event in diary.of("listener")] == [FailureEventKind.ROOT_ESCALATED]


def test_a_failure_that_is_durable_already_is_not_stored_again(make: Make, diary: Any) -> None:
    whole_hub(diary).escalated(make(), stored=True)
    assert diary.callers == ["telemetry", "metrics", "handler", "listener"]


def test_a_failure_is_told_once_however_often_it_is_reported(make: Make, diary: Any) -> None:
    hub = whole_hub(diary)
    failure = make()
    for _ in range(3):
        hub.escalated(failure)
    assert len(diary.of("telemetry")) == len(diary.of("store")) == 1
    assert (hub.health().escalated, hub.health().repeated) == (1, 2)


def test_a_failure_is_still_known_after_thousands_of_others(make: Make) -> None:
    ring = RingBufferFailureTelemetry(30_000)
    hub = FailureHub(ring, observation=FailureTelemetryObservationConfig(flood_limit=0))
    first = make()
    hub.escalated(first)
    for _ in range(8_000):
        hub.escalated(make())
    hub.escalated(first)
    for _ in range(20_000):
        hub.escalated(make())
    assert ring.total == hub.health().escalated == 28_001
    assert hub.health().repeated == 1


@pytest.mark.parametrize("disposition", ["handled", "retried", "cancelled"])
def test_only_terminal_failures_are_escalated(make: Make, diary: Any, disposition: str) -> None:
    whole_hub(diary).escalated(make(disposition=disposition))
    assert diary.lines == []


def test_an_open_failure_that_reaches_the_root_becomes_terminal(make: Make, diary: Any) -> None:
    whole_hub(diary).escalated(make(disposition="open"))
    assert diary.of("store")[0][0].disposition == "terminal"
    assert diary.of("telemetry")[0].disposition == "terminal"


def test_a_parent_that_handles_a_failure_leaves_telemetry_alone_and_a_hop_event_with_resume(
    make: Make, diary: Any, hop: Hop
) -> None:
    whole_hub(diary, events="terminal").hop(make(disposition="handled"), hop)
    assert diary.callers == ["listener"]
    event = diary.of("listener")[0]
    assert (event.kind, event.hop.directive) == (FailureEventKind.HOP, "resume")


def test_with_events_hops_telemetry_is_told_of_hops_too(make: Make, diary: Any, hop: Hop) -> None:
    whole_hub(diary, events="hops").hop(make(disposition="handled"), hop)
    assert diary.callers == ["telemetry hop", "listener"]
    FailureHub(
        RingBufferFailureTelemetry(), observation=FailureTelemetryObservationConfig(events="hops")
    ).hop(make(), hop)  # a sink without on_hop is left out


def test_a_retry_is_an_event_of_its_own_kind(make: Make, diary: Any) -> None:
    hop = Hop("node", ("run:1",), "retry", "retry", "attempt 1 of 3", 7)
    whole_hub(diary).hop(make(disposition="retried"), hop)
    event = diary.of("listener")[0]
    assert (event.kind, event.at_ns) == (FailureEventKind.RETRIED, 7)


def test_telemetry_that_raises_each_call_is_off_after_five_with_one_warning(
    make: Make, diary: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Raising()
    hub = FailureHub(
        CompositeFailureTelemetry(broken, RingBufferFailureTelemetry()),
        handler=diary.handle,
        listeners=[diary],
    )
    with caplog.at_level(logging.WARNING, WARNINGS):
        for _ in range(20):
            hub.escalated(make())
    assert broken.calls == 5
    assert len(diary.of("handler")) == len(diary.of("listener")) == 20
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    text = caplog.records[0].getMessage()
    assert text.startswith("failure telemetry: Raising is left out for 30 s after 5 errors in a ro")
    assert "RuntimeError: broken sink" in text
    raising, ring = hub.health().sinks[:2]
    assert (raising.errors, raising.skipped, raising.is_off) == (5, 15, True)
    assert (ring.name, ring.errors, ring.is_off) == ("RingBufferFailureTelemetry", 0, False)


def test_every_step_that_raises_leaves_the_others_alone(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    class Broken:
        def record(self, *_: Any) -> None:
            called.append("store")
            raise StoreError("disk full")

        def on_failure(self, _: Any) -> None:
            called.append("telemetry")
            raise RuntimeError("no")

        def emit(self, _: Any) -> None:
            called.append("metrics")
            raise RuntimeError("no")

        def on_event(self, _: Any) -> None:
            called.append("listener")
            raise RuntimeError("no")

        def handle(self, _: Any) -> None:
            called.append("handler")
            raise RuntimeError("no")

    broken = Broken()
    hub = FailureHub(
        broken,
        store=cast("FailureLog", broken),
        observation=FailureTelemetryObservationConfig(metrics_sink=broken),
        handler=broken.handle,
        listeners=[broken, broken],
    )
    with caplog.at_level(logging.WARNING, WARNINGS):
        for _ in range(10):
            hub.escalated(make())
    order = ["store", "telemetry", "metrics", "handler", "listener", "listener"]
    assert called[:6] == order
    assert called.count("telemetry") == 5
    for step in ("store", "metrics", "handler"):
        assert called.count(step) == 10  # only telemetry is ever left out
    assert len(caplog.records) == 6  # one for each that began to raise


def test_a_failure_inside_telemetry_is_suppressed_and_counted(make: Make) -> None:
    class Recursive:
        hub: FailureHub

        def on_failure(self, snapshot: FailureSnapshot) -> None:
            self.hub.escalated(make())
            self.hub.hop(snapshot, Hop("run", (), "stop"))

    recursive, ring = Recursive(), RingBufferFailureTelemetry()
    config = FailureTelemetryObservationConfig(events="hops")
    recursive.hub = FailureHub(CompositeFailureTelemetry(recursive, ring), observation=config)
    for _ in range(100):
        recursive.hub.escalated(make())
    assert ring.total == 100
    assert recursive.hub.health().reentries == 200


def test_another_thread_may_report_while_a_sink_is_at_work(make: Make) -> None:
    ring = RingBufferFailureTelemetry()

    class Waiting:
        def on_failure(self, snapshot: FailureSnapshot) -> None:
            if snapshot.message == "first":
                thread = threading.Thread(target=hub.escalated, args=(make(message="second"),))
                thread.start()
                thread.join()

    hub = FailureHub(CompositeFailureTelemetry(Waiting(), ring))
    hub.escalated(make(message="first"))
    assert [failure.message for failure in ring.dump()] == ["second", "first"]
    assert hub.health().reentries == 0


def test_beyond_the_flood_limit_failures_are_counted_with_one_suppressed_event(
    make: Make, diary: Any
) -> None:
    metrics = MetricsFailureTelemetry()
    hub = FailureHub(
        CompositeFailureTelemetry(diary, metrics),
        store=cast("FailureLog", diary),
        observation=FailureTelemetryObservationConfig(flood_limit=10),
        handler=diary.handle,
        listeners=[diary],
    )
    for _ in range(50):
        hub.escalated(make())
    hub.escalated(make(fp_site="v1:" + "b" * 32))
    assert len(diary.of("telemetry")) == 11
    assert len(diary.of("store")) == len(diary.of("handler")) == 51
    kinds = [event.kind for event in diary.of("listener")]
    assert kinds.count(FailureEventKind.SUPPRESSED) == 1
    assert kinds.count(FailureEventKind.ROOT_ESCALATED) == 11
    assert metrics.snapshot().total == 51
    assert metrics.snapshot().suppressed == hub.health().suppressed == 40


def test_a_flood_of_hops_is_cut_too(make: Make, diary: Any, hop: Hop) -> None:
    hub = whole_hub(diary, flood_limit=10)
    for _ in range(50):
        hub.hop(make(disposition="handled"), hop)
    kinds = [event.kind for event in diary.of("listener")]
    assert kinds == [FailureEventKind.HOP] * 10 + [FailureEventKind.SUPPRESSED]


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.no_cover
def test_eight_threads_with_ten_thousand_failures_each_lose_none(make: Make) -> None:
    ring, metrics = RingBufferFailureTelemetry(), MetricsFailureTelemetry()
    hub = FailureHub(
        CompositeFailureTelemetry(ring, metrics),
        observation=FailureTelemetryObservationConfig(flood_limit=0),
    )
    failures = [make() for _ in range(80_000)]

    def report(part: int) -> None:
        for failure in failures[part::8]:
            hub.escalated(failure)

    in_threads([partial(report, part) for part in range(8)])
    assert ring.total == metrics.snapshot().total == hub.health().escalated == 80_000
    assert len({failure.failure_id for failure in ring.dump()}) == 256


def test_eight_threads_with_the_same_failures_double_none(make: Make) -> None:
    ring = RingBufferFailureTelemetry(10_000)
    hub = FailureHub(ring, observation=FailureTelemetryObservationConfig(flood_limit=0))
    failures = [make() for _ in range(4_000)]

    def report() -> None:
        for failure in failures:
            hub.escalated(failure)

    in_threads([report] * 8)
    assert len({failure.failure_id for failure in ring.dump()}) == ring.total == 4_000
    assert hub.health().repeated == 28_000


def test_a_hub_of_noop_calls_nothing(make: Make, diary: Any) -> None:
    hub = FailureHub(CompositeFailureTelemetry(NoopFailureTelemetry(), NoopFailureTelemetry()))
    hub.escalated(make())
    assert hub.health().sinks == ()
    assert not hub.wants_hops
    assert hub.flush(0.1)


def test_the_health_of_a_hub_is_readable_by_prometheus(make: Make) -> None:
    hub = FailureHub(CompositeFailureTelemetry(Raising(), Raising()))
    hub.escalated(make())
    text = hub.prometheus_text()
    assert "tailrace_failure_telemetry_escalated_total 1\n" in text
    assert 'tailrace_failure_telemetry_sink_errors_total{sink="Raising"} 1\n' in text
    assert 'tailrace_failure_telemetry_sink_errors_total{sink="Raising#2"} 1\n' in text


def test_what_ends_the_program_is_not_swallowed(make: Make) -> None:
    class Ending:
        def on_failure(self, _: Any) -> None:
            raise KeyboardInterrupt

    ring = RingBufferFailureTelemetry()
    hub = FailureHub(CompositeFailureTelemetry(ring, Ending()))
    with pytest.raises(KeyboardInterrupt):
        hub.escalated(make())
    with pytest.raises(KeyboardInterrupt):
        hub.escalated(make())  # the thread was let go, it is not taken for a failure inside
    assert ring.total == 2


def test_the_root_sink_hands_on_with_the_same_rules(make: Make, diary: Any) -> None:
    sink = RootEscalationSink(
        diary,
        store=cast("FailureLog", diary),
        event_handler=diary.handle,
        event_listeners=[diary],
    )
    failure = make(disposition="open")
    sink.accept(failure, ValueError("x"))
    sink.accept(failure)
    assert diary.callers == ["store", "telemetry", "handler", "listener"]
    assert RootEscalationSink.of(sink.hub).hub is sink.hub
