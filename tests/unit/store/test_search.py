"""What a search finds in a file: all that matches, the newest first, whatever is sealed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import QueryError, StoreError
from tailrace.model import RunId, RunStatus, Span, SpanId, SpanStatus, SpanType, new_run_id
from tailrace.model.span import SpanEvent, SpanLink
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.store.access import Access
from tailrace.store.foreign import ForeignWriter
from tailrace.store.search import SqliteSearch
from tailrace.store.segments import choice, shelf
from tailrace.store.segments.catalogue import DEAD, SEGMENTS
from tailrace.store.segments.pruning import BOUNDS
from tailrace.store.segments.seal import MOVE_FOREIGN, MOVE_RUN, seal
from tailrace.store.segments.segment_block import BODY, NAMES
from tailrace.store.segments.units import FOREIGN, NAMED_FOREIGN, NAMED_RUNS, RUNS
from tailrace.traceql import check, parse
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Chain
from tailrace.traceql.evaluate import evaluate
from tailrace.traceql.memory_block import memory_block

Appends = Callable[..., list[list[Any]]]
QUERIES = (
    "{}",
    "{ status = error }",
    '{ name = "s2" }',
    "{ span.number > 2 }",
    "{ span.half = 1.5 }",
    "{ .number = 2 || duration > 55ns }",
    '{ name = "s1" } >> { status = error }',
    '{ name = "s1" } > { }',
    "{ } | count() > 3",
    '{ resource.service.name = "service 1" } | by(span.tag)',
    '{ span.tag =~ "x.*" } | select(span.number)',
    "{ span.tag = nil }",
    "{ span.nowhere = 1 }",
    '{ trace:id = "00000000000000000000000000000007" }',
    '{ rootName = "s1" && traceDuration > 0ns } | avg(span.number) > 1',
)


def foreign(trace: int, number: int, parent: int = 0, **changes: Any) -> Span:
    start = 1_000 * (trace % 20) + number
    attributes: dict[str, Any] = {"number": number, "half": number / 2}
    if trace % 2:
        attributes["tag"] = f"{'xyz'[number % 3]}{trace % 5}"
    known: dict[str, Any] = {
        "trace_id": RunId(f"{trace:032x}"),
        "span_id": SpanId(f"{number:016x}"),
        "parent_id": SpanId(f"{parent:016x}") if parent else None,
        "name": f"s{number}",
        "type": SpanType.FOREIGN,
        "start_ns": start,
        "end_ns": start + 50 + trace % 9,
        "status": SpanStatus.ERROR if (trace + number) % 7 == 0 else SpanStatus.UNSET,
        "resource": {"service.name": f"service {trace % 3}"},
        "attributes": attributes,
    }
    return Span(**(known | changes))


def some(first: int, end: int) -> list[Span]:
    return [
        foreign(trace, number, number // 2)
        for trace in range(first, end)
        for number in range(1, 2 + trace % 5)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def search(path: Path) -> Iterator[SqliteSearch]:
    """Searches the file; nothing is sealed by it."""
    made = SqliteSearch(path, sealing=False)
    yield made
    made.close()


def ids(search: SqliteSearch, query: str, **options: Any) -> list[str]:
    return [found.trace_id for found in search.search(query, **options).traces]


def expected(spans: list[Span], query: str, limit: int) -> list[tuple[str, list[int]]]:
    """Return the newest traces with the sizes of their spansets, from spans in memory."""
    plan = check(parse(query)).plan
    assert isinstance(plan, Chain)
    block = memory_block(spans)
    found: dict[int, list[int]] = {}
    for spanset in evaluate(plan, block, Budget()):
        found.setdefault(spanset.trace, []).append(len(spanset.spans))
    heads = {number: block.heads[number] for number in found}
    order = sorted(found, key=lambda n: (heads[n].start_ns, heads[n].trace_id), reverse=True)
    return [(heads[number].trace_id, found[number]) for number in order[:limit]]


@pytest.mark.parametrize("query", QUERIES)
def test_the_newest_matches_are_found_in_segments_that_overlap_and_beside_them(
    path: Path, search: SqliteSearch, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "SEGMENT_SPANS", 60)
    monkeypatch.setattr("tailrace.store.segments.hunt._FIRST_TRACES", 1)
    writer = ForeignWriter(path)
    writer.write(some(1, 80))
    seal(path, everything=True)
    writer.write(some(80, 100))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM segment").fetchone()[0] > 3
    for limit in (1, 5, 1_000):
        wanted = expected(some(1, 100), query, limit)
        found = search.search(query, limit=limit)
        assert found.complete
        assert [
            (one.trace_id, [spanset.matched for spanset in one.sets]) for one in found.traces
        ] == wanted


def test_what_is_found_tells_of_the_trace_and_of_its_first_spans(
    path: Path, search: SqliteSearch
) -> None:
    ForeignWriter(path).write(some(1, 10))
    for _ in range(2):
        (found,) = search.search(
            '{ trace:id = "00000000000000000000000000000009" && span.number > 0 }', spans_per_set=2
        ).traces
        assert (found.root_name, found.root_service, found.spans) == ("s1", "service 0", 5)
        assert (found.start_ns, found.duration_ns, found.errors) == (9_001, 54, 1)
        assert (found.matched, found.is_run) == (5, False)
        (spanset,) = found.sets
        assert [(span.name, span.status.value) for span in spanset.spans] == [
            ("s1", "unset"),
            ("s2", "unset"),
        ]
        assert spanset.spans[1].values == {"trace:id": f"{9:032x}", "span.number": 2}
        assert (spanset.spans[1].start_ns, spanset.spans[1].duration_ns) == (9_002, 50)
        seal(path, everything=True)


def test_what_is_shown_of_events_and_links_is_of_those_that_matched(
    path: Path, search: SqliteSearch
) -> None:
    events = [
        SpanEvent(time_ns=1_001 + n, name=name, attributes={"n": n, "even": n % 2 == 0})
        for n, name in enumerate(("start", "retry", "retry", "end"))
    ]
    events[3].attributes["last"] = True
    links = [SpanLink(trace_id=RunId(f"{n:032x}"), span_id=SpanId(f"{n:016x}")) for n in (8, 9)]
    span = foreign(1, 1, events=events, links=links)
    with closing(ForeignWriter(path)) as writer:
        writer.write([span])
    queries: dict[str, dict[str, Any]] = {
        '{ event:name = "retry" } | select(event.n)': {"event:name": "retry", "event.n": 1},
        "{ event.n > 1 && event.even } | select(event:name)": {
            "event.n": 2, "event.even": True, "event:name": "retry",
        },
        '{ event:name = "retry" } | { event:name = "end" } | select(event.n)': {
            "event:name": "end", "event.n": 3,
        },
        '{ event:name = "start" } | select(event.last)': {"event:name": "start"},
        "{} | select(event.last, event.n)": {"event.last": True, "event.n": 0},
        f'{{ link:spanID = "{9:016x}" }} | select(link:traceID, event.n)': {
            "link:spanID": f"{9:016x}", "link:traceID": f"{9:032x}", "event.n": 0,
        },
    }  # fmt: skip
    for everything in (False, True):
        if everything:
            seal(path, everything=True)
        for query, values in queries.items():
            (trace,) = search.search(query).traces
            assert trace.sets[0].spans[0].values == values, query


def test_traces_are_asked_for_by_time_flow_and_status(
    path: Path, search: SqliteSearch, chain: Appends, failing: Appends
) -> None:
    store = SqliteStore(path)
    started = {}
    for flow, appends in (("chain", chain(new_run_id(), 2, at=50_000)), ("etl", failing())):
        journal = store.open_journal(appends[0][0].run_id)
        for records in appends:
            journal.append(records)
        journal.close()
        started[flow] = appends[0][0].run_id
    store.close()
    ForeignWriter(path).write(some(1, 5))
    for _ in range(2):
        assert ids(search, "{}", flow="chain") == [started["chain"]]
        assert ids(search, "{}", flow="service 1") == [f"{4:032x}", f"{1:032x}"]
        assert started["etl"] in ids(search, "{}", status=RunStatus.FAILED)
        assert started["chain"] in ids(search, "{}", status=RunStatus.COMPLETED)
        assert started["chain"] not in ids(search, "{}", status=RunStatus.FAILED)
        assert ids(search, "{}", since_ns=3_001, until_ns=50_000) == [f"{4:032x}", f"{3:032x}"]
        assert ids(search, "{}", since_ns=50_000) == [started["chain"]]
        assert ids(search, '{ name = "node n1" }') == [started["chain"]]
        assert ids(search, '{ span.tailrace.node.path = "load" && status = error }') == [
            started["etl"]
        ]
        seal(path, everything=True)


def test_a_run_that_goes_on_is_found_and_is_not_sealed(
    path: Path, search: SqliteSearch, chain: Appends
) -> None:
    run_id = new_run_id()
    store = SqliteStore(path)
    journal = store.open_journal(run_id)
    appends = chain(run_id, 3)
    for records in appends[:2]:
        journal.append(records)
    journal.flush()
    assert seal(path, everything=True).traces == 0
    assert ids(search, '{ name = "node n0" }') == [run_id]
    assert ids(search, '{ name = "node n2" }') == []
    for records in appends[2:]:
        journal.append(records)
    journal.close()
    assert ids(search, '{ name = "node n2" }') == [run_id]
    store.close()


def test_much_that_is_over_is_sealed_before_it_is_searched(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.store.search.WORTHWHILE", 20)
    monkeypatch.setattr(choice, "WORTHWHILE", 20)
    monkeypatch.setattr(choice, "QUIET_NS", 0)
    ForeignWriter(path).write(some(1, 30))
    search = SqliteSearch(path)
    assert len(ids(search, "{}", limit=100)) == 29
    search.close()
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT count(*) FROM foreign_trace WHERE segment > 0"
        assert db.execute(query).fetchone() == (29,)


def test_deleted_traces_are_found_no_more(path: Path, search: SqliteSearch) -> None:
    ForeignWriter(path).write(some(1, 6))
    seal(path, everything=True)
    assert len(ids(search, "{}")) == 5
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM foreign_trace WHERE trace_id = ?", (f"{3:032x}",))
        db.commit()
    assert f"{3:032x}" not in ids(search, "{}")
    series = search.metrics("{} | count_over_time()", since_ns=0, until_ns=10**9).series
    assert sum(value or 0 for one in series for value in one.values) == len(some(1, 6)) - 4


def test_metrics_count_spans_sealed_or_not(path: Path, search: SqliteSearch) -> None:
    writer = ForeignWriter(path)
    writer.write(some(1, 10))
    seal(path, everything=True)
    writer.write(some(10, 15))
    result = search.metrics(
        "{ status = error } | count_over_time() by(name)", since_ns=0, until_ns=10**9
    )
    assert result.complete
    counts = {
        str(one.labels["name"]): sum(value or 0 for value in one.values) for one in result.series
    }
    wrong = [span.name for span in some(1, 15) if span.status is SpanStatus.ERROR]
    assert counts == {name: wrong.count(name) for name in wrong}


def test_a_trace_by_its_id_reads_one_segment(
    path: Path, search: SqliteSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "SEGMENT_SPANS", 60)
    ForeignWriter(path).write(some(1, 100))
    seal(path, everything=True)
    found = search.search(f'{{ trace:id = "{42:032x}" && span.number = 1 }}')
    assert [one.trace_id for one in found.traces] == [f"{42:032x}"]
    assert found.inspected_spans <= 70
    assert search.search(f'{{ trace:id = "{4242:032x}" }}').inspected_spans == 0


def test_segments_without_the_column_or_beyond_its_bounds_are_not_read(
    path: Path, search: SqliteSearch
) -> None:
    ForeignWriter(path).write(some(1, 30))
    seal(path, everything=True)
    for query in (
        "{ span.nowhere = 1 }",
        "{ span.number > 90 }",
        '{ span.tag = "zzz" }',
        "{ duration > 1s }",
        "{ traceDuration > 1s }",
    ):
        assert search.search(query).inspected_spans == 0, query
    assert search.search("{ span.number > 3 }").inspected_spans == len(some(1, 30))


def test_a_segment_that_is_known_not_to_have_a_value_is_not_read_again(
    path: Path, search: SqliteSearch
) -> None:
    with closing(ForeignWriter(path)) as writer:
        writer.write(some(0, 20))
    seal(path, everything=True)
    for query in ('{ span.tag = "x" }', "{ span.number = 3 && span.number = 77 }"):
        assert search.search(query).traces == []
    for query in ('{ span.tag = "x0" || .number = 99 }', '{ span.tag = "x" }', '{ name = "s3" }'):
        found = search.search(query)
        assert [one.trace_id for one in found.traces] == [
            trace_id for trace_id, _ in expected(some(0, 20), query, 50)
        ]
    assert search.search('{ span.tag = "x" }').inspected_spans == 0


def test_a_query_that_costs_too_much_says_so_and_gives_what_it_has(
    path: Path, search: SqliteSearch
) -> None:
    ForeignWriter(path).write(some(1, 30))
    found = search.search("{ span.number + 1 > 2 }", budget=Budget(rows=3))
    assert not found.complete
    assert "cut off" in found.reason
    assert "--since" in found.reason
    result = search.metrics("{} | rate()", since_ns=0, until_ns=10**9, budget=Budget(seconds=-1))
    assert (result.complete, "cut off" in result.reason) == (False, True)


def test_a_damaged_segment_is_made_anew(path: Path, search: SqliteSearch) -> None:
    ForeignWriter(path).write(some(1, 30))
    seal(path, everything=True)
    for owner, name in (("span", "number"), ("block", "heads"), ("intrinsic", "name")):
        with closing(sqlite3.connect(path)) as db:
            body = db.execute(
                "SELECT id, body FROM segment_column WHERE owner = ? AND name = ?", (owner, name)
            ).fetchone()
            broken = body[1][:-1] + bytes([body[1][-1] ^ 1])
            db.execute("UPDATE segment_column SET body = ? WHERE id = ?", (broken, body[0]))
            db.commit()
        with closing(SqliteSearch(path, sealing=False)) as afresh:
            assert len(ids(afresh, '{ span.number = 1 && name = "s1" }', limit=99)) == 29
        seal(path, everything=True)
    with closing(SqliteTraceReader(path)) as reader:
        assert len(reader.trace(f"{4:032x}").spans) == 5


def test_a_damaged_segment_of_a_file_that_cannot_be_written_is_told(
    path: Path, search: SqliteSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    ForeignWriter(path).write(some(1, 30))
    seal(path, everything=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE segment_column SET body = x'00'")
        db.commit()

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("it cannot be written")

    monkeypatch.setattr(Access, "write", refuse)
    with pytest.raises(StoreError, match="segment 1: its check sum") as refused:
        search.search("{}")
    assert refused.value.code == "TR505"


def test_a_damaged_batch_leaves_out_its_trace_and_says_which(
    path: Path, search: SqliteSearch
) -> None:
    ForeignWriter(path).write(some(1, 4))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE foreign_batch SET body = x'c1' WHERE id >> 28 = 2")
        db.commit()
    found = search.search("{}")
    assert len(found.traces) == 2
    assert not found.complete
    assert f"{2:032x}" in found.reason


def test_other_queries_are_refused_with_what_to_do(path: Path, search: SqliteSearch) -> None:
    ForeignWriter(path).write(some(1, 4))
    assert len(ids(search, '{ name = "s1" } | rate()')) == 3
    with pytest.raises(QueryError, match="finds no traces"):
        search.search("({} | rate()) / ({} | rate())")
    with pytest.raises(QueryError, match="'"):
        search.search("{ span. }")


def test_blocks_are_let_go_when_there_are_too_many(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "SEGMENT_SPANS", 60)
    ForeignWriter(path).write(some(1, 100))
    seal(path, everything=True)
    search = SqliteSearch(path)
    monkeypatch.setattr(search._shelf, "_most", 1)
    for _ in range(3):
        assert len(ids(search, '{ name = "s1" }', limit=200)) == 99
    assert isinstance(search._shelf, shelf.Shelf)
    search.search("{ span.nowhere = 1 }")
    assert not search._shelf._sealed
    search.close()


def test_it_is_told_how_a_query_is_answered(path: Path, search: SqliteSearch) -> None:
    ForeignWriter(path).write(some(1, 30))
    seal(path, everything=True)
    told = search.explain('{ name = "s1" && span.number + 1 > 3 } >> { status = error }')
    assert told.columns == ('name = "s1"', 'status = "error"')
    assert told.singly == ("(span.number + 1) > 3",)
    assert told.relations == ("descendant, right",)
    assert (told.segments, told.segments_read, told.unsealed_traces) == (1, 1, 0)
    assert search.explain("{ span.number > 99 }").segments_read == 0
    assert search.explain(f'{{ trace:id = "{4:032x}" }}').traces == (f"{4:032x}",)


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        (RUNS, 0), (FOREIGN, 0), (NAMED_RUNS, 1), (NAMED_FOREIGN, 1), (BOUNDS, 3), (BODY, 3),
        (NAMES, 2), (DEAD, 1), (MOVE_RUN, 5), (MOVE_FOREIGN, 7),
    ],
)  # fmt: skip
def test_statements_use_indexes(path: Path, statement: str, count: int) -> None:
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(f"EXPLAIN QUERY PLAN {statement}", ["[]"] * count).fetchall()
    steps = [str(row[3]) for row in rows]
    for step in steps:
        is_scan = step.startswith("SCAN") and "VIRTUAL TABLE" not in step
        assert not is_scan or "_unsealed" in step, steps
    assert SEGMENTS.startswith("SELECT")
