"""Spans of runs reach a collector, and one that is slow or gone costs the run nothing."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collector import Collector
from tailrace import CompositeTracer, Flow, OtelTracer, RunResult, Span, SqliteTraceReader, task
from tailrace.errors import SettingsError
from tailrace.model import SpanType
from waiting import wait_until


@task
def one() -> int:
    return 1


@task
def two(one: int) -> int:
    return one + 1


@task
def broken() -> None:
    raise ValueError("no such file")


CHAIN = Flow("shop", one >> two)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


def run(flow: Flow, *tracers: Any, **options: Any) -> RunResult:
    return flow.run(tracers=tracers, raise_on_failure=False, **options)


def stored(run_id: str) -> list[Span]:
    with closing(SqliteTraceReader(Path(".tailrace/tailrace.db"))) as reader:
        return reader.trace(run_id).spans


def test_a_collector_gets_the_spans_of_the_store_with_their_ids_and_times(
    collector: Collector,
) -> None:
    tracer = OtelTracer(endpoint=collector.traces)
    result = run(CHAIN, tracer)
    assert tracer.flush()
    sent = {span.span_id: span for span in collector.spans}
    known = {span.span_id: span for span in stored(result.run_id)}
    assert sent.keys() == known.keys()
    for span_id, span in known.items():
        there = sent[span_id]
        assert there.trace_id == result.run_id
        assert (there.name, there.parent_id) == (span.name, span.parent_id)
        assert (there.start_ns, there.end_ns) == (span.start_ns, span.end_ns)
        assert there.attributes == {k: v for k, v in span.attributes.items() if v is not None}
        assert there.resource["service.name"] == "shop"
    assert (tracer.sent, tracer.dropped) == (len(known), 0)


def test_a_failure_is_an_error_with_its_message(collector: Collector) -> None:
    tracer = OtelTracer(endpoint=collector.traces)
    run(Flow("bad", broken), tracer)
    assert tracer.flush()
    failed = [span for span in collector.spans if span.status == "error"]
    assert {span.name for span in failed} >= {"node broken", "attempt broken"}
    assert "no such file" in failed[0].message


def test_the_variables_of_opentelemetry_send_every_run(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k1")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "billing")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=red")
    result = run(CHAIN)
    wait_until(lambda: any(s.type and s.name == "run shop" for s in collector.spans), "the run")
    assert {span.trace_id for span in collector.spans} == {result.run_id}
    resource = collector.spans[0].resource
    assert (resource["service.name"], resource["team"]) == ("billing", "red")
    assert collector.headers[0]["api-key"] == "k1"


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_what_switches_opentelemetry_off_is_obeyed(
    off: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailrace.runtime.tracers import configured_tracers
    from tailrace.settings import Settings

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name, value in off.items():
        monkeypatch.setenv(name, value)
    assert configured_tracers(Settings(), ()) == ()


def test_without_the_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match="cannot be imported") as raised:
        OtelTracer()
    assert raised.value.code == "TR196"
    assert "tailrace[otlp]" in str(raised.value.hint)


def test_a_collector_that_is_gone_is_told_once_and_fails_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Collector() as collector:
        endpoint = collector.traces
    tracer = OtelTracer(endpoint=endpoint)
    for _ in range(2):
        assert run(CHAIN, tracer).ok
    with caplog.at_level(logging.WARNING):
        tracer.end()
        wait_until(lambda: tracer.dropped, "the spans are given up")
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.name for record in told] == ["tailrace.tracing.otel_tracer"]
    assert endpoint in told[0].getMessage()
    assert "Shutdown" not in told[0].getMessage()


def test_a_collector_that_refuses_is_told_with_what_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Collector(status=401) as collector:
        tracer = OtelTracer(endpoint=collector.traces)
        run(CHAIN, tracer)
        assert tracer.flush()
    assert tracer.dropped == 5
    assert "401" in caplog.text


def test_a_collector_that_hangs_does_not_hold_the_run_and_what_has_no_room_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = threading.Event()
    with Collector(gate=gate) as collector:
        tracer = OtelTracer(endpoint=collector.traces, queue=7)
        assert run(CHAIN, tracer).ok
        wait_until(lambda: collector.requests, "the first request")
        for _ in range(3):
            assert run(CHAIN, tracer).ok
        assert tracer.dropped == 8
        gate.set()
        assert tracer.flush()
        assert tracer.sent == 12
    assert "7 wait" in caplog.text


def test_runs_at_the_same_time_keep_their_own_flows(collector: Collector) -> None:
    tracer = OtelTracer(endpoint=collector.traces)
    handles = [Flow(f"flow{n}", one >> two).start(tracers=(tracer,)) for n in range(3)]
    ids = {handle.result().run_id: f"flow{n}" for n, handle in enumerate(handles)}
    assert tracer.flush()
    assert {s.trace_id: s.resource["service.name"] for s in collector.spans} == ids


class Loud:
    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.seen: list[str] = []
        self.closed = False

    def on_start(self, _: Span) -> None:
        if self.fails:
            raise RuntimeError("no")

    def on_end(self, span: Span) -> None:
        self.seen.append(span.name)

    def close(self) -> None:
        self.closed = True


def test_tracers_behind_one_do_not_suffer_from_each_other() -> None:
    bad, good = Loud(fails=True), Loud()
    assert run(CHAIN, CompositeTracer(bad, good)).ok
    assert good.seen[-1] == "run shop"
    assert bad.closed
    assert good.closed


def test_a_run_ends_with_its_own_span(collector: Collector) -> None:
    tracer = OtelTracer(endpoint=collector.traces)
    run(CHAIN, tracer)
    assert tracer.flush()
    assert {span.type for span in collector.spans} == {SpanType.FOREIGN}
    assert collector.spans[-1].name == "run shop"
