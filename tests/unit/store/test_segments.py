"""Traces that are sealed are those that were written, whoever writes, deletes or dies meanwhile."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.model import (
    RunId,
    Span,
    SpanEvent,
    SpanId,
    SpanLink,
    SpanStatus,
    SpanType,
    new_run_id,
)
from tailrace.model.span import InstrumentationScope
from tailrace.model.states import SpanKind
from tailrace.store import SqliteStore, SqliteTraceReader, verify_store
from tailrace.store.foreign import ForeignWriter
from tailrace.store.segments.loading import TraceLoader
from tailrace.store.segments.rows_block import RowsBlock
from tailrace.store.segments.seal import seal
from tailrace.store.segments.segment_block import SegmentBlock
from tailrace.store.segments.units import unsealed_units
from tailrace.traceql.block import Block, Owner
from tailrace.traceql.memory_block import memory_block

Chain = Callable[..., list[list[Any]]]
PARTS = (
    "size", "firsts", "parents", "orphans", "starts", "durations", "span_ids", "parent_ids",
    "event_spans", "link_spans",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUE = (
    TEXT
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats()
    | st.booleans()
    | st.lists(st.sampled_from(["a", "b"]), max_size=3)
)
NAME = st.sampled_from(["a", "b.c", "😀", '"x y"'])
ATTRIBUTES = st.dictionaries(NAME, VALUE, max_size=3)
TIME = st.integers(1, 2_000)


def foreign(trace: int, number: int, parent: int = 0, **changes: Any) -> Span:
    known: dict[str, Any] = {
        "trace_id": RunId(f"{trace:032x}"),
        "span_id": SpanId(f"{number:016x}"),
        "parent_id": SpanId(f"{parent:016x}") if parent else None,
        "name": f"s{number}",
        "type": SpanType.FOREIGN,
        "start_ns": 1_000 * trace + number,
        "end_ns": 1_000 * trace + number + 50,
        "resource": {"service.name": f"service {trace % 3}"},
        "attributes": {"number": number},
    }
    return Span(**(known | changes))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(TIME)
    return foreign(
        draw(st.integers(1, 4)),
        draw(st.integers(1, 6)),
        draw(st.integers(0, 8)),
        name=draw(TEXT),
        kind=draw(st.sampled_from(SpanKind)),
        status=draw(st.sampled_from(SpanStatus)),
        message=draw(TEXT),
        start_ns=start,
        end_ns=start + draw(TIME),
        attributes=draw(ATTRIBUTES),
        resource=draw(st.dictionaries(NAME, TEXT | st.integers(0, 9), max_size=2)),
        scope=InstrumentationScope(name=draw(TEXT), version=draw(TEXT), attributes={"x": 1}),
        events=[
            SpanEvent(time_ns=draw(TIME), name=draw(TEXT), attributes=draw(ATTRIBUTES))
            for _ in range(draw(st.integers(0, 2)))
        ],
        links=[
            SpanLink(
                trace_id=RunId(f"{draw(TIME):032x}"),
                span_id=SpanId(f"{draw(TIME):016x}"),
                attributes=draw(ATTRIBUTES),
            )
            for _ in range(draw(st.integers(0, 1)))
        ],
    )


def columns(block: Block) -> dict[tuple[Owner, str, str, bool], Any]:
    """Return all columns, without what may be left out of them."""
    found: dict[tuple[Owner, str, str, bool], Any] = {}
    for owner in Owner:
        for name in block.names(owner):
            for values in block.column(owner, name):
                rows = {
                    value: list(values.rows[values.offsets[n] : values.offsets[n + 1]])
                    for n, value in enumerate(values.values)
                    if owner is not Owner.INTRINSIC or value not in {"", "unset"}
                }
                if rows or values.nan:
                    key = owner, str(name), values.type.value, values.array
                    found[key] = rows, list(values.nan)
    return found


def whole(block: Block) -> dict[str, Any]:
    parts = {part: getattr(block, part) for part in PARTS}
    return {
        **{part: list(one) if part != "size" else one for part, one in parts.items()},
        "heads": list(block.heads),
        "columns": columns(block),
    }


def rows_block(path: Path) -> RowsBlock:
    with closing(sqlite3.connect(path)) as db:
        block = TraceLoader(db, path).block(unsealed_units(db))
    assert block is not None
    return block


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Callable[[], list[SegmentBlock]]]:
    """Gives the segments of the file, oldest first."""
    opened: list[sqlite3.Connection] = []

    def blocks() -> list[SegmentBlock]:
        opened.append(sqlite3.connect(tmp_path / "runs.db"))
        rows = opened[-1].execute("SELECT id, spans FROM segment ORDER BY start, id").fetchall()
        return [SegmentBlock(opened[-1], *row) for row in rows]

    yield blocks
    for db in opened:
        db.close()


def living(path: Path) -> list[str]:
    """Return the traces of all segments that are not gone from them, each as often as it is."""
    with closing(sqlite3.connect(path)) as db:
        dead = set(db.execute("SELECT segment, trace FROM segment_dead"))
        found = []
        for segment, count in db.execute("SELECT id, spans FROM segment").fetchall():
            heads = SegmentBlock(db, segment, count).heads
            found += [
                head.trace_id for place, head in enumerate(heads) if (segment, place) not in dead
            ]
    return sorted(found)


@settings(max_examples=times(15), deadline=None)
@given(some=st.lists(spans(), min_size=1, max_size=14))
def test_a_segment_says_what_its_spans_say(
    tmp_path_factory: pytest.TempPathFactory, some: list[Span]
) -> None:
    path = tmp_path_factory.mktemp("store") / "runs.db"
    writer = ForeignWriter(path)
    writer.write(some)
    writer.close()
    rows = rows_block(path)
    assert seal(path, everything=True).spans == rows.size
    with closing(sqlite3.connect(path)) as db:
        sealed = SegmentBlock(db, 1, rows.size)
        assert whole(sealed) == whole(rows)
    with closing(SqliteTraceReader(path)) as reader:
        by_trace = [reader.trace(head.trace_id).spans for head in rows.heads]
    flat = [span for spans_ in by_trace for span in sorted(spans_, key=lambda one: one.start_ns)]
    reference = whole(memory_block(flat))
    ours = whole(rows)
    for part in ("size", "firsts", "starts", "durations", "columns"):
        if len({(span.trace_id, span.start_ns) for span in flat}) == len(flat):
            assert ours[part] == reference[part], part


def test_runs_are_sealed_as_readers_give_them(
    tmp_path: Path, chain: Chain, failing: Chain, read: Callable[[], list[SegmentBlock]]
) -> None:
    path = tmp_path / "runs.db"
    store = SqliteStore(path)
    for appends in (chain(new_run_id(), 3), failing()):
        journal = store.open_journal(appends[0][0].run_id)
        for records in appends:
            journal.append(records)
        journal.close()
    store.close()
    rows = rows_block(path)
    assert seal(path, everything=True).traces == 2
    (block,) = read()
    assert whole(block) == whole(rows)
    with closing(SqliteTraceReader(path)) as reader:
        read_back = [reader.trace(head.trace_id) for head in block.heads]
    assert [head.is_run for head in block.heads] == [True, True]
    assert [head.root_service for head in block.heads] == [one.run.flow for one in read_back]
    given_spans = [span for one in read_back for span in one.spans]
    assert sorted(block.span_ids) == sorted(span.span_id for span in given_spans)
    names = {name for span in given_spans for name in span.attributes}
    assert set(block.names(Owner.SPAN)) == names
    assert verify_store(path) == []


def test_nothing_is_sealed_before_it_is_worth_while(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    ForeignWriter(path).write([foreign(1, 1)])
    assert seal(path).segments == 0
    assert seal(path, everything=True).traces == 1
    assert seal(path, everything=True).segments == 0


def test_small_segments_become_one_and_dead_traces_are_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    writer = ForeignWriter(path)
    for trace in range(1, 9):
        writer.write([foreign(trace, number) for number in range(1, 4)])
        assert seal(path, everything=True).segments == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM segment").fetchone()[0] <= 4
        db.execute("DELETE FROM foreign_trace WHERE trace_id = ?", (f"{8:032x}",))
        db.commit()
    writer.write([foreign(trace, number) for trace in range(20, 30) for number in range(1, 4)])
    seal(path, everything=True)
    assert living(path) == [f"{trace:032x}" for trace in (*range(1, 8), *range(20, 30))]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), sum(dead) FROM segment").fetchone() == (1, 0)
    assert verify_store(path) == []


def test_late_spans_take_a_trace_out_of_its_segment_until_it_is_sealed_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    writer = ForeignWriter(path)
    writer.write([foreign(trace, 1) for trace in range(1, 5)])
    seal(path, everything=True)
    writer.write([foreign(2, 2, 1)])
    assert len(living(path)) == 3
    with closing(sqlite3.connect(path)) as db:
        assert [unit.trace_id for unit in unsealed_units(db)] == [f"{2:032x}"]
    seal(path, everything=True)
    assert living(path) == [f"{trace:032x}" for trace in range(1, 5)]
    with closing(SqliteTraceReader(path)) as reader:
        assert len(reader.trace(f"{2:032x}").spans) == 2
    assert verify_store(path) == []


def test_spans_from_elsewhere_are_sealed_with_the_run_they_belong_to(
    tmp_path: Path, chain: Chain, read: Callable[[], list[SegmentBlock]]
) -> None:
    path = tmp_path / "runs.db"
    run_id = new_run_id()
    store = SqliteStore(path)
    journal = store.open_journal(run_id)
    for records in chain(run_id, 2):
        journal.append(records)
    journal.close()
    store.close()
    seal(path, everything=True)
    with closing(SqliteTraceReader(path)) as reader:
        node = reader.trace(run_id).spans[1].span_id
    mine = foreign(1, 9, trace_id=run_id, parent_id=node, start_ns=1_001, end_ns=1_002)
    ForeignWriter(path).write([mine])
    assert living(path) == []
    seal(path, everything=True)
    assert living(path) == [run_id]
    (block,) = (one for one in read() if one.heads)
    assert block.parent_ids[list(block.span_ids).index(mine.span_id)] == node
    assert (len(block.heads), block.heads[0].is_run) == (1, True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM run")
        db.commit()
        assert db.execute("SELECT count(*) FROM foreign_trace").fetchone() == (0,)
    assert living(path) == []
    assert verify_store(path) == []


def test_two_sealers_at_once_seal_each_trace_once(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    writer = ForeignWriter(path)
    for first in range(1, 200, 50):
        writer.write([foreign(trace, 1) for trace in range(first, first + 50)])
    threads = [
        threading.Thread(target=seal, args=(path,), kwargs={"everything": True}) for _ in "12"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seal(path, everything=True)
    assert living(path) == [f"{trace:032x}" for trace in range(1, 201)]
    assert verify_store(path) == []


def test_a_trace_that_is_deleted_while_it_is_sealed_stays_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    writer = ForeignWriter(path)
    writer.write([foreign(trace, 1) for trace in range(1, 6)])
    block = TraceLoader.block

    def slow(loader: TraceLoader, *given_: Any, **options: Any) -> RowsBlock | None:
        found = block(loader, *given_, **options)
        with closing(sqlite3.connect(path)) as db:
            db.execute("DELETE FROM foreign_trace WHERE trace_id = ?", (f"{3:032x}",))
            db.commit()
        writer.write([foreign(4, 2, 1)])
        return found

    monkeypatch.setattr(TraceLoader, "block", slow)
    seal(path, everything=True)
    monkeypatch.undo()
    assert living(path) == [f"{trace:032x}" for trace in (1, 2, 5)]
    seal(path, everything=True)
    assert living(path) == [f"{trace:032x}" for trace in (1, 2, 4, 5)]
    assert verify_store(path) == []


SEALING = """
import sys
from tailrace.store.segments import choice, seal as module
choice.SEGMENT_SPANS = 400
print("ready", flush=True)
while True:
    print(module.seal(sys.argv[1], everything=True).spans, flush=True)
"""


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(2))
def test_a_kill_while_sealing_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "runs.db"
    writer = ForeignWriter(path)
    writer.write([foreign(trace, number) for trace in range(1, 900) for number in (1, 2)])
    writer.close()
    process = subprocess.Popen(
        [sys.executable, "-c", SEALING, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with closing(sqlite3.connect(path)) as db:
        wanted = random.Random(seed).randrange(1, 4)
        while db.execute("SELECT count(*) FROM segment").fetchone()[0] < wanted:
            pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert verify_store(path) == []
    seal(path, everything=True)
    assert living(path) == [f"{trace:032x}" for trace in range(1, 900)]
    assert verify_store(path) == []
    with closing(SqliteTraceReader(path)) as reader:
        assert len(reader.trace(f"{77:032x}").spans) == 2
