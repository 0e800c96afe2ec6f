"""Sinks one by one."""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from logging.handlers import QueueHandler
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError
from tailrace.failures.telemetry import (
    BackgroundTelemetry,
    CompositeFailureTelemetry,
    FailureHub,
    FailureTelemetry,
    FailureTelemetryObservationConfig,
    FilterTelemetry,
    HopTelemetry,
    ListenerAdapter,
    LoggingFailureTelemetry,
    MetricsFailureTelemetry,
    NoopFailureTelemetry,
    RingBufferFailureTelemetry,
    SampleTelemetry,
    SentryFailureTelemetry,
    StoreFailureTelemetry,
    StructlogFailureTelemetry,
)
from tailrace.model import Cause, FailureSnapshot, Frame, Hop
from tailrace.ports import FailureLog

Make = Callable[..., FailureSnapshot]


def test_there_is_one_noop_and_it_does_nothing(make: Make) -> None:
    noop = NoopFailureTelemetry()
    assert noop is NoopFailureTelemetry()
    noop.on_failure(make())


def test_a_ring_keeps_the_last_256_of_ten_thousand_in_order_without_growing(make: Make) -> None:
    ring = RingBufferFailureTelemetry(256)
    ring.on_failure(make())
    tracemalloc.start()
    for number in range(10_000):
        ring.on_failure(make(message=f"number {number} " + "x" * 500))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000
    assert [one.message.split()[1] for one in ring.dump()] == [str(n) for n in range(9_744, 10_000)]
    assert (ring.total, ring.dropped, ring.size) == (10_001, 9_745, 256)


@given(size=st.integers(1, 20), count=st.integers(0, 60))
def test_a_ring_counts_what_it_keeps_and_what_it_drops(size: int, count: int) -> None:
    ring = RingBufferFailureTelemetry(size)
    failure = FailureSnapshot(failure_id="F", captured_ns=1, type="E", message="", category="x")
    for _ in range(count):
        ring.on_failure(failure)
    assert ring.total == ring.total == count
    assert len(ring.dump()) + ring.dropped == count
    assert len(ring.dump()) <= size


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RingBufferFailureTelemetry(0),
        lambda: BackgroundTelemetry(NoopFailureTelemetry(), 0),
        lambda: SampleTelemetry(NoopFailureTelemetry(), 0),
    ],
)
def test_a_size_of_nothing_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(SettingsError, match="must be 1 or more") as refused:
        wrong()
    assert refused.value.code == "TR330"


def test_a_failure_is_logged_as_error_with_a_constant_message_and_its_facts_beside_it(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    failure = make(
        node_id="each[3].load",
        run_id="0" * 32,
        message="no number: 'x'\nsecond line",
        tags=(("component", "http"),),
        attempt=2,
    )
    LoggingFailureTelemetry().on_failure(failure)
    LoggingFailureTelemetry().on_failure(make(message="other"))
    first, second = caplog.records
    assert first.levelname == "ERROR"
    assert first.name == "tailrace.failures"
    assert first.msg == second.msg
    assert first.getMessage() == "failure at each[3].load: ValueError: no number: 'x'"
    facts = vars(first)
    assert facts["failure_id"] == failure.failure_id
    assert facts["failure_message"] == failure.message
    assert facts["failure_category"] == "permanent"
    assert facts["failure_tags"] == {"component": "http"}
    assert (facts["run_id"], facts["attempt"]) == ("0" * 32, 2)
    assert "run_id" not in vars(second)


def test_a_logger_of_ones_own_and_a_level_that_is_off_are_respected(make: Make) -> None:
    logger = logging.getLogger("tests.telemetry.own")
    lines = queue.SimpleQueue[logging.LogRecord]()
    logger.addHandler(QueueHandler(lines))
    telemetry = LoggingFailureTelemetry(logger, level=logging.WARNING)
    telemetry.on_failure(make())
    logger.setLevel(logging.CRITICAL)
    telemetry.on_failure(make())
    assert lines.get_nowait().levelname == "WARNING"
    assert lines.empty()


PROGRAM = """
import logging, sys
if "configured" in sys.argv:
    logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
from tailrace.failures.telemetry import LoggingFailureTelemetry, FailureHub
from tailrace.model import FailureSnapshot
hub = FailureHub(LoggingFailureTelemetry())
hub.escalated(FailureSnapshot(failure_id="F-1", captured_ns=1, type="ValueError",
              message="no number", category="permanent", node_id="load"))
"""


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], ""),
        (["configured"], "tailrace.failures ERROR failure at load: ValueError: no number\n"),
    ],
)
def test_a_failure_is_printed_only_where_the_program_has_configured_logging(
    arguments: list[str], printed: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == printed


def test_structlog_gets_the_facts_as_keys(make: Make) -> None:
    class Logger:
        def error(self, event: str, **facts: Any) -> None:
            self.event, self.facts = event, facts

    logger = Logger()
    StructlogFailureTelemetry(logger).on_failure(make(run_id="1" * 32))
    assert logger.event == "failure"
    assert logger.facts["run_id"] == "1" * 32
    assert logger.facts["failure_class"] == "validation"


@pytest.mark.parametrize(
    ("module", "sink", "package"),
    [
        ("structlog", StructlogFailureTelemetry, "structlog"),
        ("sentry_sdk", SentryFailureTelemetry, "sentry-sdk"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_the_way_to_get_it(
    module: str,
    sink: Callable[[], object],
    package: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=f"needs {package}") as refused:
        sink()
    assert refused.value.code == "TR331"
    assert refused.value.hint == f"pip install {package}"


def test_sentry_groups_by_our_fingerprint_and_sees_the_chain_of_causes(make: Make) -> None:
    events: list[dict[str, Any]] = []
    SentryFailureTelemetry(events.append).on_failure(
        make(
            type="orders.errors.Broken",
            flow="etl",
            node_id="load",
            run_id="2" * 32,
            trace_id="2" * 32,
            span_id="3" * 16,
            code_version="sha256:aa",
            cause_chain=(Cause("ConnectionError", "reset"), Cause("OSError", "down")),
            frames=(Frame("orders.load", "fetch", "/app/orders/load.py", 17, in_app=True),),
        )
    )
    (event,) = events
    assert event["fingerprint"] == ["v1:" + "a" * 32]
    assert event["transaction"] == "etl/load"
    values = event["exception"]["values"]
    assert [value["type"] for value in values] == ["OSError", "ConnectionError", "Broken"]
    assert values[-1]["module"] == "orders.errors"
    assert values[-1]["stacktrace"]["frames"][0]["lineno"] == 17
    assert event["contexts"]["trace"] == {"trace_id": "2" * 32, "span_id": "3" * 16}
    assert event["release"] == "sha256:aa"


def test_the_store_sink_records_every_failure(make: Make, diary: Any) -> None:
    sink = StoreFailureTelemetry(cast("FailureLog", diary))
    first, second = make(), make()
    sink.on_failure(first)
    sink.on_suppressed(second)
    assert diary.of("store") == [[first], [second]]


class Whole:
    """A sink with every method."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_failure(self, _: FailureSnapshot) -> None:
        self.calls.append("failure")

    def on_hop(self, *_: object) -> None:
        self.calls.append("hop")

    def on_suppressed(self, _: FailureSnapshot) -> None:
        self.calls.append("suppressed")

    def flush(self, timeout: float) -> bool:
        self.calls.append("flush")
        return timeout > 0


def use(sink: Any, failure: FailureSnapshot, hop: Hop) -> bool:
    sink.on_hop(failure, hop)
    sink.on_failure(failure)
    sink.on_suppressed(failure)
    return bool(sink.flush(1.0))


WRAPPERS: list[Callable[[FailureTelemetry], Any]] = [
    CompositeFailureTelemetry,
    BackgroundTelemetry,
    lambda sink: FilterTelemetry(sink, lambda _: True),
    lambda sink: SampleTelemetry(sink, 1),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_what_wraps_a_sink_hands_on_whatever_it_has(
    wrap: Callable[[FailureTelemetry], Any], make: Make, hop: Hop
) -> None:
    whole = Whole()
    wrapped = wrap(whole)
    assert isinstance(wrapped, HopTelemetry)
    assert use(wrapped, make(), hop)
    assert whole.calls == ["hop", "failure", "suppressed", "flush"]
    bare = RingBufferFailureTelemetry()
    assert use(wrap(bare), make(), hop)
    assert bare.total == 1


def test_a_composite_calls_in_order_and_survives_any_of_them(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    class Named:
        def __init__(self, name: str, *, broken: bool = False) -> None:
            self.name, self.broken = name, broken

        def on_failure(self, _: FailureSnapshot) -> None:
            called.append(self.name)
            if self.broken:
                raise RuntimeError("no")

    composite = CompositeFailureTelemetry(Named("a"), Named("b", broken=True), Named("c"))
    for _ in range(6):
        composite.on_failure(make())
    assert called == ["a", "b", "c"] * 5 + ["a", "c"]
    assert [health.name for health in composite.health()] == ["a", "b", "c"]
    assert len(caplog.records) == 1


def test_a_sink_that_calls_its_composite_is_kept_out(make: Make) -> None:
    class Recursive:
        composite: CompositeFailureTelemetry
        calls = 0

        def on_failure(self, snapshot: FailureSnapshot) -> None:
            self.calls += 1
            self.composite.on_failure(snapshot)

    recursive = Recursive()
    recursive.composite = CompositeFailureTelemetry(recursive)
    for _ in range(100):
        recursive.composite.on_failure(make())
    assert recursive.calls == 100


def test_a_filter_hands_on_what_is_wanted_only(make: Make) -> None:
    ring = RingBufferFailureTelemetry()
    sink = FilterTelemetry(ring, lambda failure: failure.category == "permanent")
    sink.on_failure(make(category="transient"))
    sink.on_failure(make())
    assert [failure.category for failure in ring.dump()] == ["permanent"]


def test_a_sampler_tells_about_one_of_ten_and_a_failures_hops_with_it(make: Make, hop: Hop) -> None:
    class Counting(Whole):
        def on_failure(self, snapshot: FailureSnapshot) -> None:
            self.calls.append(snapshot.failure_id)

        def on_hop(self, *arguments: Any) -> None:
            self.calls.append(arguments[0].failure_id)

    sink = Counting()
    sampler = SampleTelemetry(sink, 10)
    for _ in range(2_000):
        failure = make()
        sampler.on_failure(failure)
        sampler.on_hop(failure, hop)
    assert 140 < len(set(sink.calls)) < 260
    assert len(sink.calls) == 2 * len(set(sink.calls))


class Gate:
    """A sink that stands still until it is let go."""

    blocking = True

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def on_failure(self, snapshot: FailureSnapshot) -> None:
        self.entered.set()
        assert self.open.wait(60)
        self.taken.append(snapshot.message)


def test_a_blocking_sink_holds_nobody_up_and_the_oldest_falls_out_of_its_queue(make: Make) -> None:
    gate = Gate()
    background = BackgroundTelemetry(gate, size=3)
    background.on_failure(make(message="0"))
    assert gate.entered.wait(60)
    for number in range(1, 6):
        background.on_failure(make(message=str(number)))
    assert background.dropped == 2
    assert not background.flush(0.0)
    gate.open.set()
    assert background.flush(10)
    assert gate.taken == ["0", "3", "4", "5"]
    background.close()
    background.on_failure(make(message="late"))
    assert background.dropped == 3


def test_a_sink_marked_blocking_is_put_behind_a_queue_by_the_hub(make: Make) -> None:
    gate, ring = Gate(), RingBufferFailureTelemetry()
    hub = FailureHub(CompositeFailureTelemetry(gate, ring))
    hub.escalated(make())
    assert ring.total == 1  # though the gate is still closed
    gate.open.set()
    assert hub.flush(10)
    assert len(gate.taken) == 1
    assert hub.health().sinks[0].name == "Gate"


def test_what_waits_in_a_queue_is_handed_on_when_the_program_ends() -> None:
    program = """
from tailrace.failures.telemetry import BackgroundTelemetry
from tailrace.model import FailureSnapshot
class Printing:
    def on_failure(self, snapshot):
        print(snapshot.message)
sink = BackgroundTelemetry(Printing())
for number in range(20):
    sink.on_failure(FailureSnapshot(failure_id="F", captured_ns=1, type="E", message=str(number),
                                    category="permanent"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(number) for number in range(20)]


def test_importing_telemetry_imports_no_extra_package_and_no_event_loop() -> None:
    program = """
import sys, tailrace.failures.telemetry
wrong = {"asyncio", "opentelemetry", "structlog", "sentry_sdk", "importlib.metadata"}
print(sorted(wrong & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_metrics_have_a_constant_number_of_series_whatever_fails(make: Make, hop: Hop) -> None:
    metrics = MetricsFailureTelemetry()
    for number in range(10_000):
        failure = make(
            message=f"order {number}",
            node_id=f"each[{number}].load",
            fp_site=f"v1:{number}",
            type=f"Error{number}",
        )
        metrics.on_failure(failure)
        metrics.on_hop(failure, hop)
    before = metrics.prometheus_text().count("\n")
    for number in range(10_000):
        metrics.on_failure(make(category=f"c{number}", class_=f"k{number}", level=f"l{number}"))
    series = metrics.snapshot().failures
    assert series == {
        ("permanent", "validation", "task"): 10_000,
        ("other", "other", "other"): 10_000,
    }
    assert metrics.snapshot().hops == {("node", "resume"): 10_000}
    assert metrics.prometheus_text().count("\n") == before + 1


def test_metrics_read_as_prometheus_text(make: Make) -> None:
    metrics = MetricsFailureTelemetry()
    metrics.on_failure(make())
    metrics.on_suppressed(make())
    hub = FailureHub(
        observation=FailureTelemetryObservationConfig(metrics_sink=metrics, record_timing=True)
    )
    hub.escalated(make())
    text = metrics.prometheus_text()
    line = 'tailrace_failures_total{category="permanent",class="validation",level="task"} 2\n'
    assert line in text
    assert "# TYPE tailrace_failures_total counter\n" in text
    assert "tailrace_failures_suppressed_total 1\n" in text
    assert "tailrace_failure_telemetry_invoked_total 1\n" in text
    assert 'tailrace_failure_telemetry_latency_seconds_bucket{le="+Inf"} 1\n' in text
    assert "tailrace_failure_telemetry_latency_seconds_count 1\n" in text


def test_the_adapter_forwards_to_a_listener(make: Make, diary: Any, hop: Hop) -> None:
    adapter = ListenerAdapter(diary)
    failure = make(trail=(hop,))
    adapter.on_hop(failure, hop)
    adapter.on_failure(failure)
    kinds = [(event.kind.value, event.at_ns) for event in diary.of("listener")]
    assert kinds == [("hop", 5), ("root_escalated", 5)]
