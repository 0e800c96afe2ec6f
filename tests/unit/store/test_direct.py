"""Many spans at once: sealed as they come in, with all that a search and a reader find of them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.model import RunId, Span, SpanId, SpanType
from tailrace.store import SqliteTraceReader, verify_store
from tailrace.store import search as searching
from tailrace.store.foreign import ForeignWriter, direct
from tailrace.store.search import SqliteSearch
from tailrace.store.segments import choice
from tailrace.store.segments.seal import seal


def span(trace: int, number: int, parent: int = 0, **changes: Any) -> Span:
    known: dict[str, Any] = {
        "trace_id": RunId(f"{trace:032x}"),
        "span_id": SpanId(f"{number:016x}"),
        "parent_id": SpanId(f"{parent:016x}") if parent else None,
        "name": f"s{number}",
        "type": SpanType.FOREIGN,
        "start_ns": 1_000 * trace + number,
        "end_ns": 1_000 * trace + number + 10 * number,
        "resource": {"service.name": f"service {trace % 3}"},
        "attributes": {"number": number, "tag": f"t{trace % 4}"},
    }
    return Span(**(known | changes))


def some(first: int, end: int) -> list[Span]:
    return [
        span(trace, number, number // 2)
        for trace in range(first, end)
        for number in range(1, 3 + trace % 4)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SEGMENT_SPANS", 60)
    monkeypatch.setattr("tailrace.store.foreign.writer.CHUNK", 10)
    monkeypatch.setattr(choice, "WORTHWHILE", 5)


def numbers(path: Path, *queries: str) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [db.execute(query).fetchone()[0] for query in queries]


def found(path: Path, query: str = "{}") -> list[tuple[str, int, int]]:
    search = SqliteSearch(path, sealing=False)
    try:
        traces = search.search(query, limit=1_000).traces
    finally:
        search.close()
    return [(trace.trace_id, trace.spans, trace.matched) for trace in traces]


def told(path: Path, trace: int) -> list[Span]:
    return sorted(
        SqliteTraceReader(path).trace(f"{trace:032x}").spans, key=lambda one: one.start_ns
    )


def loaded(path: Path, spans: Iterable[Span]) -> None:
    writer = ForeignWriter(path)
    writer.load(spans)
    writer.close()


def test_what_is_loaded_is_sealed_at_once_and_found_as_if_it_had_been_written(
    path: Path, tmp_path: Path
) -> None:
    given = some(1, 60)
    loaded(path, given)
    other = tmp_path / "other.db"
    ForeignWriter(other).write(given)
    unsealed, segments = numbers(
        path, "SELECT count(*) FROM foreign_batch", "SELECT count(*) FROM segment"
    )
    assert segments >= 3
    assert unsealed < 10  # of traces whose spans came in two parts
    for query in ("{}", '{ span.tag = "t1" }', "{ duration > 30ns } && { span.number = 1 }"):
        assert found(path, query) == found(other, query) != []
    assert told(path, 7) == told(other, 7)
    assert not verify_store(path)


def test_a_trace_that_comes_in_parts_is_whole_in_the_end(path: Path) -> None:
    parts = [[span(trace, number, number - 1) for trace in range(1, 40)] for number in (1, 2, 3)]
    loaded(path, [one for part in parts for one in part])
    seal(path, everything=True)
    assert found(path) == [(f"{trace:032x}", 3, 3) for trace in range(39, 0, -1)]
    assert [one.name for one in told(path, 5)] == ["s1", "s2", "s3"]


def test_loading_the_same_again_doubles_nothing(path: Path) -> None:
    writer = ForeignWriter(path)
    given = some(1, 40)
    assert writer.load([*given, *given[:5]]).repeated == 5
    again = writer.load(given)
    assert (again.spans, again.repeated) == (0, len(given))
    assert sum(spans for _, spans, _ in found(path)) == len(given)


def test_texts_that_no_encoding_knows_are_stored_as_far_as_they_go(path: Path) -> None:
    odd = span(1, 1, name="\ud800x", attributes={"\udfff": "\ud800"})
    loaded(path, [odd, *some(2, 30)])
    assert [one.name for one in told(path, 1)] == ["?x"]
    assert len(found(path, '{ name = "?x" && span."?" = "?" }')) == 1


def test_a_trace_that_another_process_writes_meanwhile_has_the_spans_of_both(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ForeignWriter(path)
    first.write([span(500, 1)])

    known_ids = direct.known_ids

    def slow(*args: Any) -> frozenset[str]:
        known = known_ids(*args)
        ForeignWriter(path).write([span(3, 9, start_ns=3_500, end_ns=3_600)])
        return known

    monkeypatch.setattr(direct, "known_ids", slow)
    second = ForeignWriter(path)
    converter = second.converter()
    second.write_sealed(converter.convert(some(1, 30)))
    assert [one.name for one in told(path, 3)] == ["s1", "s2", "s3", "s4", "s5", "s9"]
    assert {spans for one, spans, _ in found(path) if one.endswith("03")} == {6}
    assert not verify_store(path)


def test_few_spans_and_those_of_known_traces_are_written_as_usual(path: Path) -> None:
    writer = ForeignWriter(path)
    writer.load(some(1, 2))
    assert numbers(path, "SELECT count(*) FROM segment") == [0]
    writer.load(span(trace, 9) for trace in (1, 2))
    assert numbers(path, "SELECT count(*) FROM segment") == [0]
    assert [one.name for one in told(path, 1)] == ["s1", "s2", "s3", "s9"]


SEARCHER = """import sys
from tailrace.store import search as searching
from tailrace.store.search import SqliteSearch
from tailrace.store.segments import choice
searching.WORTHWHILE = choice.WORTHWHILE = 5
choice.QUIET_NS = 0
search = SqliteSearch(sys.argv[1])
print("ready", flush=True)
wanted = int(sys.argv[2])
while True:
    traces = search.search("{ span.number = 1 }", limit=10_000).traces
    ids = [trace.trace_id for trace in traces]
    assert len(ids) == len(set(ids)), "doubled"
    assert all(trace.matched == 1 for trace in traces), "doubled"
    if len(ids) == wanted:
        break
print("done", flush=True)
"""


def test_processes_that_search_and_seal_while_another_writes_find_each_trace_once(
    path: Path,
) -> None:
    writer = ForeignWriter(path)
    writer.write([span(1, 1)])
    command = [sys.executable, "-c", SEARCHER, str(path), "120"]
    searchers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for one in searchers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for trace in range(2, 121):
            writer.write([span(trace, 1), span(trace, 2, 1)])
        for one in searchers:
            out, _ = one.communicate(timeout=60)
            assert (out, one.returncode) == ("done\n", 0)
        assert numbers(path, "SELECT count(*) > 0 FROM segment") == [1]
    finally:
        for one in searchers:
            one.kill()
            one.wait()
    assert not verify_store(path)


def test_a_lock_of_another_process_does_not_hold_a_search_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "WORTHWHILE", 5)
    monkeypatch.setattr(searching, "_PATIENCE", 0.01)
    ForeignWriter(path).write(some(1, 30))
    search = SqliteSearch(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(search.search("{}", limit=100).traces) == 29
        other.execute("ROLLBACK")
    assert numbers(path, "SELECT count(*) FROM segment") == [0]
    later = time.monotonic() + 3_600
    monkeypatch.setattr("tailrace.store.search.time.monotonic", lambda: later)
    monkeypatch.setattr("tailrace.store.segments.choice.QUIET_NS", 0)
    assert len(search.search("{}", limit=100).traces) == 29
    assert numbers(path, "SELECT count(*) > 0 FROM segment") == [1]
