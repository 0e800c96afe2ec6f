"""Spans from elsewhere: taken in whole, once each, and read back as they came."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from effort import times
from tailrace.errors import NotFound
from tailrace.model import RunId, RunStatus, SpanStatus, SpanType, new_run_id
from tailrace.model.ids import SpanId, span_id
from tailrace.model.span import InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanKind
from tailrace.store import SqliteStore, SqliteTraceReader, verify_store
from tailrace.store.foreign import ForeignWriter, Limits
from tailrace.store.foreign.attributes import Cleaner, json_safe
from tailrace.store.foreign.traces import arranged
from tailrace.store.segments.seal import seal

TRACE = RunId("ab" * 16)
SHOP = {"service.name": "shop", "host.name": "h1"}
LIBRARY = InstrumentationScope(name="lib", version="2", attributes={"x": 1})
Chain = Callable[..., list[list[Any]]]


def span(number: int, parent: int = 0, **changes: Any) -> Span:
    known: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": SpanId(f"{number:016x}"),
        "parent_id": SpanId(f"{parent:016x}") if parent else None,
        "name": f"op {number}",
        "type": SpanType.FOREIGN,
        "start_ns": 1_000 + number,
        "end_ns": 2_000 + number,
        "resource": SHOP,
        "scope": LIBRARY,
    }
    return Span(**(known | changes))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[ForeignWriter]:
    with closing(ForeignWriter(tmp_path / "runs.db")) as one:
        yield one


@pytest.fixture
def reader(writer: ForeignWriter) -> Iterator[SqliteTraceReader]:
    writer.resource({})
    with closing(SqliteTraceReader(writer.path)) as one:
        yield one


def numbers(found: list[Span]) -> list[int]:
    return [int(one.span_id, 16) for one in found]


def row_of(path: Path, columns: str) -> Any:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {columns} FROM foreign_trace").fetchone()  # noqa: S608 - our own text


def test_a_trace_is_read_back_as_it_came(writer: ForeignWriter, reader: SqliteTraceReader) -> None:
    given_spans = [
        span(1, kind=SpanKind.SERVER, status=SpanStatus.ERROR, message="gone", trace_state="a=1"),
        span(
            2,
            1,
            kind=SpanKind.CLIENT,
            status=SpanStatus.OK,
            attributes={"s": "x", "i": -(1 << 63), "f": 0.5, "b": True, "list": [1, 2]},
            events=[SpanEvent(time_ns=1_500, name="log", attributes={"m": "hello"})],
            links=[SpanLink(trace_id=RunId("cd" * 16), span_id=SpanId("0" * 15 + "7"))],
            dropped_events=3,
        ),
        span(3, 1, end_ns=None),
    ]
    intake = writer.write(given_spans)

    assert (intake.spans, intake.traces, intake.is_clean()) == (3, 1, True)
    trace = reader.trace(reader.resolve("abab"))
    assert trace.spans == given_spans
    assert trace.run == replace(reader.run(TRACE), failed_node="op 1")
    assert (trace.run.flow, trace.run.status, trace.run.reason) == ("shop", "FAILED", "gone")
    assert verify_store(writer.path) == []


def test_traces_from_elsewhere_are_listed_beside_runs_where_they_are_asked_for(
    writer: ForeignWriter, chain: Chain
) -> None:
    writer.write([span(1), span(1, trace_id=RunId("cd" * 16), status=SpanStatus.ERROR)])
    store = SqliteStore(writer.path)
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    for records in chain(run_id, 2, at=50_000):
        journal.append(records)
    journal.close()
    store.close()
    with closing(SqliteTraceReader(writer.path)) as reader:
        assert [run.run_id for run in reader.runs()] == [run_id]
        assert next(iter(reader.runs(foreign=True))).run_id == run_id
        assert len(reader.runs(foreign=True)) == 3
        (failed,) = reader.runs(foreign=True, status=RunStatus.FAILED)
        assert (failed.run_id, failed.source) == ("cd" * 16, "elsewhere")
        assert len(reader.runs(foreign=True, flow="shop", since_ns=1_001, until_ns=1_002)) == 2
        assert reader.runs(foreign=True, flow="shop", until_ns=1_001) == []
        assert reader.runs(foreign=True, status=RunStatus.RUNNING) == []
        with pytest.raises(NotFound, match="from elsewhere"):
            reader.inputs(TRACE)


def test_spans_that_are_sent_again_are_not_doubled(
    writer: ForeignWriter, reader: SqliteTraceReader
) -> None:
    batch = [span(1), span(2, 1), span(2, 1)]
    assert (writer.write(batch).repeated, writer.write(batch).repeated) == (1, 3)
    with closing(ForeignWriter(writer.path)) as other:
        again = other.write([*batch, span(3, 1)])
    assert (again.spans, again.repeated) == (1, 3)
    assert writer.write([span(3, 1)]).repeated == 1  # what another process wrote is known
    assert numbers(reader.trace(TRACE).spans) == [1, 2, 3]
    assert reader.run(TRACE).spans == 3


def test_a_span_that_is_over_takes_the_place_of_the_open_one_and_not_the_other_way_round(
    writer: ForeignWriter, reader: SqliteTraceReader
) -> None:
    writer.write([span(1, end_ns=None)])
    writer.write([span(1, status=SpanStatus.ERROR, message="gone", end_ns=9_000)])
    assert writer.write([span(1, end_ns=None)]).repeated == 1
    (only,) = reader.trace(TRACE).spans
    assert (only.end_ns, only.status) == (9_000, SpanStatus.ERROR)
    assert row_of(writer.path, 'spans, errors, "end", root_status, reason') == (
        1,
        1,
        9_000,
        2,
        "gone",
    )


def test_a_client_and_a_server_that_share_an_id_are_two_spans(
    writer: ForeignWriter, reader: SqliteTraceReader
) -> None:
    writer.write([span(1, kind=SpanKind.CLIENT), span(1, kind=SpanKind.SERVER)])
    writer.write([span(1, start_ns=1_500)])
    assert len(reader.trace(TRACE).spans) == reader.run(TRACE).spans == 3
    assert verify_store(writer.path) == []


def test_late_spans_of_a_sealed_trace_take_it_out_of_its_segment(
    writer: ForeignWriter, reader: SqliteTraceReader
) -> None:
    writer.write([span(1), span(2, 1)])
    assert seal(writer.path, everything=True).spans == 2
    assert numbers(reader.trace(TRACE).spans) == [1, 2]
    assert verify_store(writer.path) == []

    assert writer.write([span(2, 1)]).repeated == 1
    assert row_of(writer.path, "segment, place") == (1, 0)
    assert writer.write([span(3, 1), span(2, 1)]).spans == 1
    assert row_of(writer.path, "segment, place, spans") == (0, 0, 3)
    assert numbers(reader.trace(TRACE).spans) == [1, 2, 3]
    with closing(sqlite3.connect(writer.path)) as db:
        assert db.execute("SELECT * FROM segment_dead").fetchall() == [(1, 0)]
        assert db.execute("SELECT dead FROM segment").fetchone() == (1,)
    assert verify_store(writer.path) == []
    assert seal(writer.path, everything=True).spans == 3
    assert numbers(reader.trace(TRACE).spans) == [1, 2, 3]
    assert verify_store(writer.path) == []


def test_spans_of_a_runs_trace_join_the_run_and_its_own_are_left_out(
    writer: ForeignWriter, chain: Chain
) -> None:
    store = SqliteStore(writer.path)
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    for records in chain(run_id, 1):
        journal.append(records)
    journal.close()
    attempt = span_id(2**63 + 5, 3)
    mine = span(9, trace_id=run_id, parent_id=attempt)
    own = span(9, trace_id=run_id, span_id=attempt)
    intake = writer.write([mine, own])
    assert (intake.spans, intake.repeated) == (1, 1)
    with closing(SqliteTraceReader(writer.path)) as reader:
        trace = reader.trace(run_id)
        assert trace.spans[0].type is SpanType.RUN
        assert [one for one in trace.spans if one.type is SpanType.FOREIGN] == [mine]
        assert [run.run_id for run in reader.runs(foreign=True)] == [run_id]
    store.close()


def test_what_cannot_be_taken_is_counted_by_reason_and_the_rest_is_taken(
    writer: ForeignWriter, reader: SqliteTraceReader
) -> None:
    intake = writer.write([
        span(1),
        span(2, trace_id=RunId("xy" * 16)),
        span(2, trace_id=RunId("0" * 32)),
        span(2, span_id=SpanId("12")),
        span(2, span_id=SpanId("0" * 16)),
        span(2, parent_id=SpanId("nobody")),
        span(2, start_ns=0, end_ns=0),
        span(2, start_ns=-5),
        span(2, start_ns=1 << 63),
        span(3, 1, parent_id=SpanId("0" * 16)),
    ])  # fmt: skip
    assert intake.spans == 2
    assert intake.refused == {
        "the trace id is not 32 hex digits, or all zero": 2,
        "the span id is not 16 hex digits, or all zero": 2,
        "the parent's id is not 16 hex digits": 1,
        "it has neither start nor end": 1,
        "a time is out of the range 1970 to 2262": 2,
    }
    assert reader.trace(TRACE).spans[1].parent_id is None


def test_a_clock_that_jumps_back_gives_a_duration_of_zero_and_says_by_how_much(
    writer: ForeignWriter, reader: SqliteTraceReader
) -> None:
    assert writer.write([span(1, end_ns=400), span(2, start_ns=0)]).backwards == 1
    jumped = reader.trace(TRACE).spans[0]
    assert (jumped.duration_ns, jumped.attributes) == (0, {"tailrace.clock_jump_ns": 601})
    assert reader.trace(TRACE).spans[1].start_ns == 2_002


def test_more_than_the_bounds_is_dropped_and_counted(tmp_path: Path) -> None:
    limits = Limits(attributes=2, text=5, elements=2, events=1, links=1)
    link = SpanLink(trace_id=RunId("cd" * 16), span_id=SpanId("0" * 15 + "7"))
    bad = SpanLink(trace_id=RunId(""), span_id=SpanId(""))
    event = SpanEvent(time_ns=1, name="e")
    with closing(ForeignWriter(tmp_path / "runs.db", limits=limits)) as writer:
        intake = writer.write([
            span(1, attributes={"a": "123456", "b": [1, 2, 3], "c": 1, "": 2}, resource={}),
            span(2, attributes={}, events=[event] * 3, links=[link, bad, link], resource={}),
        ])  # fmt: skip
    assert (intake.dropped_attributes, intake.shortened) == (2, 2)
    assert (intake.dropped_events, intake.dropped_links) == (2, 2)
    with closing(SqliteTraceReader(tmp_path / "runs.db")) as reader:
        first, second = reader.trace(TRACE).spans
    assert first.attributes == {"a": "12345", "b": [1, 2]}
    assert (len(second.events), second.dropped_events, len(second.links)) == (1, 2, 1)


def test_a_megabyte_of_text_and_odd_names_are_kept(
    writer: ForeignWriter, reader: SqliteTraceReader
) -> None:
    attributes = {'a "b".c': "x" * (1 << 20), "😀 ": "\0", "{}|~": "';--", "nan": math.inf}
    writer.write([span(1, attributes=attributes), span(2, 1, attributes={"\ud800": "\udfff"})])
    first, second = reader.trace(TRACE).spans
    assert first.attributes == attributes
    assert second.attributes == {"?": "?"}
    assert verify_store(writer.path) == []


CLEANED: list[tuple[Any, Any]] = [
    ([], None),
    (None, None),
    ([None], None),
    (["x"], "x"),
    ((1, 2), [1, 2]),
    ([1, 2.5], [1.0, 2.5]),
    ([1, "a"], '[1,"a"]'),
    ([True, False], [True, False]),
    ([[1]], "[1]"),
    ({"k": {"l": [1, None]}}, '{"k":{"l":[1,null]}}'),
    ({"k": math.nan}, '{"k":"nan"}'),
    (b"ab", "YWI="),
    ([b"ab", b"cd"], ["YWI=", "Y2Q="]),
    (1 << 63, str(1 << 63)),
    (-(1 << 63) - 1, str(-(1 << 63) - 1)),
    (SpanStatus.OK, "ok"),
    (Path("x"), "x"),
]


@pytest.mark.parametrize(("value", "kept"), CLEANED)
def test_values_are_normalised(value: Any, kept: Any) -> None:
    clean = Cleaner(Limits()).clean({"k": value, "n": 1})
    assert clean == ({"n": 1} if kept is None else {"k": kept, "n": 1})
    assert type(clean.get("k")) is type(kept)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.no_cover
@given(st.dictionaries(st.text(), values, max_size=6))
@settings(max_examples=times(60), deadline=None)
def test_any_attributes_become_what_the_store_keeps(given_attributes: dict[str, Any]) -> None:
    clean = Cleaner(Limits()).clean(given_attributes)
    for value in clean.values():
        items = value if isinstance(value, list) else [value]
        assert len(items) > 1 or value is items[0]
        assert len({type(item) for item in items}) == 1
        assert all(type(item) in {str, int, float, bool} for item in items)
        assert all(-(1 << 63) <= item < 1 << 63 for item in items if type(item) is int)
    assert Cleaner(Limits()).clean(clean).keys() == clean.keys()
    assert json_safe(clean).keys() == {k.encode(errors="replace").decode() for k in clean}


def test_parents_stand_before_children_and_circles_are_cut() -> None:
    spans = [span(5, 4), span(4, 5), span(3, 3), span(2, 1), span(1), span(6, 77), span(7, 4)]
    order = arranged(spans)
    assert numbers(order) == [3, 1, 2, 6, 5, 4, 7]
    place = {int(one.span_id, 16): index for index, one in enumerate(order)}
    for one in order:
        parent = int(one.parent_id, 16) if one.parent_id else 0
        assert parent not in place or place[parent] < place[int(one.span_id, 16)]
    assert [int(one.span_id, 16) for one in order if one.parent_id is None] == [3, 1, 5]


@pytest.mark.no_cover
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 7)), max_size=12))
@settings(max_examples=times(80), deadline=None)
def test_any_tangle_of_parents_comes_out_whole_and_without_circles(
    pairs: list[tuple[int, int]],
) -> None:
    spans = [span(number, parent, start_ns=at) for at, (number, parent) in enumerate(pairs, 1)]
    order = arranged(spans)
    assert sorted(map(id, order)) == sorted(map(id, spans))
    seen: set[str] = set()
    ids = {one.span_id for one in spans}
    for one in order:
        assert one.parent_id is None or one.parent_id not in ids or one.parent_id in seen
        seen.add(one.span_id)
