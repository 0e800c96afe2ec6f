"""Spans that a task opens with OpenTelemetry's API hang under its attempt, without configuration.

What OpenTelemetry knows of a process is global, so each program runs in one of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from processes import environ
from tailrace import Span, SQLiteTraceReader, SqliteTraceReader

HEAD = """
import asyncio, json, logging, sys, threading
from tailrace import Context, Flow, foreach, task
"""


@dataclass
class Ran:
    said: Any
    spans: list[Span]

    def named(self, name: str) -> Span:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def parent(self, name: str) -> str:
        above = self.named(name).parent_id
        return next((span.name for span in self.spans if span.span_id == above), "")


@dataclass
class Program:
    folder: Path

    def run(self, body: str, **more: str) -> Ran:
        """Run a program whose last line prints run id and what it has to say as JSON."""
        (self.folder / "program.py").write_text(HEAD + body)
        done = subprocess.run(
            [sys.executable, "program.py"],
            cwd=self.folder,
            env=environ(more),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        run_id, said = json.loads(done.stdout.splitlines()[-1])
        with closing(SqliteTraceReader(self.folder / ".tailrace" / "tailrace.db")) as reader:
            return Ran(said, reader.trace(run_id).spans)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


LATE = """
@task
def work(ctx: Context):
    from opentelemetry import propagate, trace
    tracer = trace.get_tracer("lib", "1.2")
    headers = {}
    with tracer.start_as_current_span("outer", attributes={"n": 1, "l": ["a"]}) as outer:
        propagate.inject(headers)
        outer.set_attribute("late", True)
        logging.getLogger("x").warning("in outer")
        with ctx.span("mine"):
            with tracer.start_as_current_span("inner", kind=trace.SpanKind.CLIENT) as inner:
                inner.add_event("cache miss", {"key": "k"})
                print("in inner")
                parent = ctx.traceparent
    trace.get_current_span().set_attribute("set.on.the.attempt", 7)
    return headers["traceparent"], parent

@task
async def later():
    from opentelemetry import trace
    with trace.get_tracer("lib").start_as_current_span("in a coroutine"):
        await asyncio.sleep(0)

if __name__ == "__main__":
    assert "opentelemetry.trace" not in sys.modules
    result = Flow("f", work >> later).run()
    print(json.dumps([result.run_id, result.outputs["work"]]))
"""


def test_a_task_that_imports_the_api_itself_needs_nothing_more(program: Program) -> None:
    ran = program.run(LATE)
    assert ran.parent("outer") == "attempt work"
    assert ran.parent("mine") == "outer"
    assert ran.parent("inner") == "mine"
    assert ran.parent("in a coroutine") == "attempt later"
    outer, inner = ran.named("outer"), ran.named("inner")
    assert {key: outer.attributes[key] for key in ("n", "l", "late")} == {
        "n": 1,
        "l": ["a"],
        "late": True,
    }
    assert [event.attributes.get("message") for event in outer.events] == ["in outer"]
    assert [event.name for event in inner.events] == ["cache miss", "stdout"]
    assert inner.kind == "client"
    assert (inner.scope.name, inner.scope.version) == ("lib", "1.2")
    assert (ran.named("mine").scope.name, ran.named("in a coroutine").scope.name) == ("", "lib")
    assert ran.named("node work").attributes["set.on.the.attempt"] == 7
    for span, sent in zip((outer, inner), ran.said, strict=True):
        assert sent == f"00-{span.trace_id}-{span.span_id}-01"


def test_a_search_knows_what_opened_a_span_and_of_which_kind_it_is(program: Program) -> None:
    program.run(LATE)
    with closing(SQLiteTraceReader(program.folder / ".tailrace" / "tailrace.db")) as reader:
        for query, names in (
            ("{ kind = client }", {"inner"}),
            ('{ instrumentation:name = "lib" && instrumentation:version = "1.2" }',
             {"outer", "inner"}),
            ('{ instrumentation:name = "tailrace" && name =~ "attempt.*|mine" }',
             {"attempt work", "attempt later", "mine"}),
        ):  # fmt: skip
            (found,) = reader.search(query).traces
            assert {span.name for one in found.sets for span in one.spans} == names


WAYS = """
from opentelemetry import trace

tracer = trace.get_tracer("lib")
results = []

@task
def inline():
    with tracer.start_as_current_span("inline"):
        pass

@task(isolation="thread")
def threaded(inline):
    with tracer.start_as_current_span("threaded"):
        pass

@task(isolation="process")
def child(threaded):
    import os
    with tracer.start_as_current_span("child") as span:
        return os.environ["TRACEPARENT"], format(span.get_span_context().span_id, "016x")

@task
async def pool(child):
    def inside():
        with tracer.start_as_current_span("in a pool"):
            pass
    await asyncio.to_thread(inside)
    return child

@task(isolation="thread")
def each(item):
    with tracer.start_as_current_span(f"each {item}"):
        pass

if __name__ == "__main__":
    with tracer.start_as_current_span("outside") as span:
        assert not span.is_recording()
    line = inline >> threaded >> child >> pool
    result = Flow("f", line >> foreach([1, 2, 3], name="all", concurrency=3)(each)).run()
    assert not trace.get_current_span().get_span_context().is_valid
    print(json.dumps([result.run_id, result.outputs["child"]]))
"""


def test_inline_threads_processes_pools_and_concurrent_tasks(program: Program) -> None:
    ran = program.run(WAYS)
    assert ran.parent("inline") == "attempt inline"
    assert ran.parent("threaded") == "attempt threaded"
    assert ran.parent("child") == "attempt child"
    assert ran.parent("in a pool") == "attempt pool"
    assert not [span for span in ran.spans if span.name == "outside"]
    attempts = {span.span_id: span for span in ran.spans if span.name == "attempt each"}
    inside = [span for span in ran.spans if span.name.startswith("each ")]
    assert {span.parent_id for span in inside} == attempts.keys()
    attempt, inner = ran.said
    assert attempt.split("-")[1:3] == [ran.spans[0].trace_id, ran.named("attempt child").span_id]
    assert inner == ran.named("child").span_id


FAILING = """
from opentelemetry import trace

tracer = trace.get_tracer("lib")

@task
def work():
    try:
        with tracer.start_as_current_span("raises"):
            raise ValueError("no such file")
    except ValueError:
        pass
    with tracer.start_as_current_span("marked") as span:
        span.set_status(trace.StatusCode.ERROR, "half done")
    with tracer.start_as_current_span("recorded") as span:
        span.record_exception(KeyError("k"))
    span = tracer.start_span("explicit", start_time=1_000)
    span.end(end_time=2_000)
    span.end(end_time=9_000)
    return None

if __name__ == "__main__":
    print(json.dumps([Flow("f", work).run().run_id, None]))
"""


def test_failures_statuses_and_times_are_kept(program: Program) -> None:
    ran = program.run(FAILING)
    raised, marked = ran.named("raises"), ran.named("marked")
    assert (raised.status, raised.message) == ("error", "no such file")
    assert raised.attributes["error.type"] == "ValueError"
    assert "tailrace.failure_id" not in raised.attributes  # the task has caught it
    assert (marked.status, marked.message) == ("error", "half done")
    recorded = ran.named("recorded")
    assert recorded.status == "unset"
    assert recorded.events[0].attributes["exception.type"] == "KeyError"
    explicit = ran.named("explicit")
    assert (explicit.start_ns, explicit.end_ns) == (1_000, 2_000)
    assert ran.spans[0].status == "unset"


SDK = """
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
early = trace.get_tracer("early")

def set_up():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

@task
def first():
    with early.start_as_current_span("first"):
        pass
    if WHEN == "inside":
        set_up()

@task
def second(first):
    with early.start_as_current_span("by the early tracer"):
        with trace.get_tracer("late").start_as_current_span("by the late tracer"):
            print("told")
    try:
        with early.start_as_current_span("bad"):
            raise ValueError("no")
    except ValueError:
        pass

@task
def remote(second):
    parent = propagate.extract({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})
    token = context.attach(parent)
    with early.start_as_current_span("of a caller"):
        pass
    context.detach(token)

if __name__ == "__main__":
    if WHEN == "before":
        set_up()
    result = Flow("f", first >> second >> remote).run()
    with early.start_as_current_span("after"):
        pass
    sent = [[s.name, format(s.context.trace_id, "032x"), format(s.context.span_id, "016x")]
            for s in exporter.get_finished_spans()]
    print(json.dumps([result.run_id, sent]))
"""


@pytest.mark.parametrize("when", ["before", "inside"])
def test_the_provider_of_a_program_keeps_its_spans_and_the_trace_has_them_too(
    program: Program, when: str
) -> None:
    ran = program.run(f"WHEN = {when!r}\n" + SDK)
    sent = {name: (trace_id, span_id) for name, trace_id, span_id in ran.said}
    names = ["by the early tracer", "by the late tracer", "bad"]
    for name in [*names, *(["first"] if when == "before" else [])]:
        span = ran.named(name)
        assert sent[name] == (span.trace_id, span.span_id)
    assert ran.parent("first") == "attempt first"
    assert ran.parent("by the late tracer") == "by the early tracer"
    assert ran.parent("by the early tracer") == "attempt second"
    assert [event.name for event in ran.named("by the late tracer").events] == ["stdout"]
    assert ran.named("bad").attributes["error.type"] == "ValueError"
    assert sent["of a caller"][0] == "a" * 32
    assert ran.parent("of a caller") == "attempt remote"
    assert "after" in sent
    assert not [span for span in ran.spans if span.name == "after"]


NESTED = """
from opentelemetry import trace

tracer = trace.get_tracer("lib")

@task
def inner():
    with tracer.start_as_current_span("deep"):
        pass

@task
def outer():
    with tracer.start_as_current_span("around"):
        found = Flow("second", inner).run()
        with tracer.start_as_current_span("afterwards"):
            pass
    return found.run_id

if __name__ == "__main__":
    result = Flow("first", outer).run()
    print(json.dumps([result.outputs["outer"] if WHICH else result.run_id, None]))
"""


def test_a_flow_inside_a_task_has_its_own_trace(program: Program) -> None:
    ran = program.run("WHICH = 1\n" + NESTED)
    assert ran.parent("deep") == "attempt inner"
    assert "around" not in {span.name for span in ran.spans}
    ran = program.run("WHICH = 0\n" + NESTED)
    assert ran.parent("afterwards") == "around"


def test_without_the_api_nothing_is_imported(program: Program) -> None:
    ran = program.run(
        """
@task
def work():
    return [name for name in sys.modules if name.startswith("opentelemetry")]

if __name__ == "__main__":
    result = Flow("f", work).run()
    print(json.dumps([result.run_id, result.output]))
"""
    )
    assert ran.said == []


CHILD = """
from opentelemetry import trace

tracer = trace.get_tracer("lib")

@task
def inner():
    with tracer.start_as_current_span("deep"):
        pass

@task(isolation="process")
def outer():
    with tracer.start_as_current_span("around"):
        return Flow("second", inner).run().run_id

if __name__ == "__main__":
    result = Flow("first", outer).run()
    print(json.dumps([result.outputs["outer"], result.run_id]))
"""


def test_a_flow_inside_a_child_process_has_its_own_trace(program: Program) -> None:
    ran = program.run(CHILD)
    assert ran.parent("deep") == "attempt inner"
    assert "around" not in {span.name for span in ran.spans}


LINKED = """
from opentelemetry import trace
SETUP
tracer = trace.get_tracer("lib")

def pointer(number, state=()):
    return trace.SpanContext(number, number, True, trace.TraceFlags(1), trace.TraceState(state))

@task(ISOLATION)
def work(ctx: Context):
    first = trace.Link(pointer(10, [("a", "1")]), {"why": "batch", "n": 2})
    with tracer.start_as_current_span("linked", links=[first]) as span:
        span.add_link(pointer(11))
    with tracer.start_as_current_span("linked later") as span:
        span.add_link(pointer(12))
    with ctx.span("mine"):
        trace.get_current_span().add_link(pointer(13))
        trace.get_current_span().add_link(pointer(14))
    with tracer.start_as_current_span("GET") as span:
        span.update_name("GET /orders")
    with ctx.span("parse"):
        trace.get_current_span().update_name("parse orders")
    trace.get_current_span().update_name("not a node's name")

if __name__ == "__main__":
    result = Flow("f", work).run()
    print(json.dumps([result.run_id, None]))
"""
SETUP = """
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
"""


@pytest.mark.parametrize(
    ("setup", "isolation"), [("", ""), (SETUP, ""), ("", 'isolation="process"')]
)
def test_links_and_later_names_are_kept_and_searched(
    program: Program, setup: str, isolation: str
) -> None:
    ran = program.run(LINKED.replace("SETUP", setup).replace("ISOLATION", isolation))
    first, second = ran.named("linked").links
    assert (first.trace_id, first.span_id) == (f"{10:032x}", f"{10:016x}")
    assert (first.attributes, first.trace_state) == ({"why": "batch", "n": 2}, "a=1")
    assert (second.trace_id, second.attributes) == (f"{11:032x}", {})
    (third,) = ran.named("linked later").links
    assert third.span_id == f"{12:016x}"
    assert [link.span_id for link in ran.named("mine").links] == [f"{13:016x}", f"{14:016x}"]
    assert not any({"otel.links", "otel.span.name"} & set(span.attributes) for span in ran.spans)
    assert ran.parent("GET /orders") == ran.parent("parse orders") == "attempt work"
    assert not {"GET", "parse", "not a node's name"} & {span.name for span in ran.spans}
    with closing(SQLiteTraceReader(program.folder / ".tailrace" / "tailrace.db")) as reader:
        for query, name in (
            (f'{{ link:traceID = "{10:032x}" }}', "linked"),
            (f'{{ link:spanID = "{12:016x}" }}', "linked later"),
            ('{ link.why = "batch" }', "linked"),
            ('{ name = "GET /orders" }', "GET /orders"),
            ('{ name = "parse orders" }', "parse orders"),
        ):
            (found,) = reader.search(query).traces
            assert {span.name for one in found.sets for span in one.spans} == {name}


def test_an_attribute_of_that_name_that_holds_no_links_is_one(program: Program) -> None:
    ran = program.run("""
@task
def work(ctx: Context):
    with ctx.span("mine") as span:
        span.set_attribute("otel.links", "none of yours")

if __name__ == "__main__":
    result = Flow("f", work).run()
    print(json.dumps([result.run_id, None]))
""")
    assert ran.named("mine").attributes["otel.links"] == "none of yours"
    assert ran.named("mine").links == []


DECORATED = """
from opentelemetry import trace
tracer = trace.get_tracer("lib")

@tracer.start_as_current_span("plain")
def plain(number):
    with tracer.start_as_current_span("under plain"):
        return number

@tracer.start_as_current_span("coroutine")
async def coroutine(number):
    await asyncio.sleep(0)
    with tracer.start_as_current_span("under coroutine"):
        return number

@tracer.start_as_current_span("quiet", record_exception=False, set_status_on_exception=False)
def quiet():
    raise ValueError("not told")

@task
async def work():
    try:
        quiet()
    except ValueError:
        pass
    with tracer.start_as_current_span("goes on", end_on_exit=False) as span:
        pass
    span.set_attribute("late", 1)
    span.end()
    try:
        with tracer.start_as_current_span("left"):
            raise KeyError("told")
    except KeyError:
        pass
    return [plain(1), plain(2), await coroutine(3)]

if __name__ == "__main__":
    result = Flow("f", work).run()
    print(json.dumps([result.run_id, result.output]))
"""


def test_spans_decorate_functions_and_coroutines(program: Program) -> None:
    ran = program.run(DECORATED)
    assert ran.said == [1, 2, 3]
    above = {str(span.span_id): span.name for span in ran.spans}
    plain = [span for span in ran.spans if "plain" in span.name]
    assert [(span.name, above[str(span.parent_id)]) for span in plain] == [
        ("plain", "attempt work"),
        ("under plain", "plain"),
    ] * 2
    assert ran.parent("under coroutine") == "coroutine"
    assert ran.parent("coroutine") == "attempt work"
    assert (ran.named("quiet").status, ran.named("quiet").events) == ("unset", [])
    assert ran.named("goes on").attributes["late"] == 1
    assert (ran.named("left").status, ran.named("left").message) == ("error", "'told'")
