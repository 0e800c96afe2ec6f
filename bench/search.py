"""The measurements of searching: spans in, and questions answered, beside a store of JSON texts."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.sdk.trace import TracerProvider

from row import Row, least, medians
from shop import Batch, Shop
from tailrace.store.foreign import ForeignWriter
from tailrace.store.search import SqliteSearch
from tailrace.store.segments.choice import SEGMENT_SPANS
from tailrace.store.segments.seal import seal

if TYPE_CHECKING:
    from suites import Bench

MICROSECONDS = 1e6
MILLISECONDS = 1e3
_DAY_NS = 86_400_000_000_000
MOST_FIRST, _SECOND, _METRICS = 50.0, 300.0, 500.0
"""Most milliseconds of a question to single spans, to whole traces, for metrics of a day."""
_LEARNS = 14
"""Queries after the first until all columns of a comparison are turned round."""
_WHOLE = """import sys
from tailrace.store.search import SqliteSearch
print(len(SqliteSearch(sys.argv[1]).search(sys.argv[2]).traces))"""


class Question(NamedTuple):
    """A query, and what one would ask of a table of JSON texts."""

    name: str
    query: str
    sql: str
    values: tuple[str | float, ...]
    most: float


def searches(bench: Bench) -> Iterator[Row]:
    """Cost of taking spans in, and of answering questions about many of them."""
    spans = bench.size(1_000_000, 100_000)
    path, naive = bench.folder / "search.db", bench.folder / "naive.db"
    yield from _ingest(path, naive, spans)
    yield _appended(bench)
    now = time.time_ns()
    search = SqliteSearch(path)
    with closing(sqlite3.connect(naive)) as db:
        for question in questions(search):
            yield _asked(bench, search, db, question, spans)
    yield from _metrics(bench, search, now)
    search.close()
    yield from _whole_process(bench)


def _ingest(path: Path, naive: Path, spans: int) -> Iterator[Row]:
    """Measure the real writer with sealing as an import does it, and the other store."""
    writer = ForeignWriter(path)
    shop = Shop(writer, start_ns=time.time_ns() - _DAY_NS, gap_ns=_DAY_NS * 12 // spans)
    other = _naive_store(naive)
    taken = naively = 0.0
    count = 0
    for batch in shop.batches(spans, SEGMENT_SPANS):
        count += sum(map(len, batch.values()))
        started = time.perf_counter()
        writer.write_sealed(batch)
        taken += time.perf_counter() - started
        started = time.perf_counter()
        _insert(other, batch)
        naively += time.perf_counter() - started
    taken += _sealed(path)
    writer.close()
    yield Row(
        name=f"{count:,} spans of 10 attributes in, sealing included",
        value=count / taken,
        unit="spans/s",
        limit=count / naively,
        limit_name="JSON column",
        most=50_000,
        is_rate=True,
    )
    yield Row(
        name="disk per span of 10 attributes, sealed",
        value=_used(path) / count,
        unit="B",
        limit=_used(naive) / count,
        limit_name="JSON column",
        most=180,
    )
    (otel,) = least([_otel_spans], repeat=5)
    yield Row(
        name="a span of 10 attributes in, sealing included",
        value=taken / count * MICROSECONDS,
        unit="µs",
        limit=otel / _OTEL_SPANS * MICROSECONDS,
        limit_name="span of the OpenTelemetry SDK, not exported",
    )
    other.close()


def _sealed(path: Path) -> float:
    """Seal what is left, and return the seconds that it takes."""
    started = time.perf_counter()
    seal(path, everything=True)
    return time.perf_counter() - started


def _appended(bench: Bench) -> Row:
    """Measure spans that come in commits of some thousand, as from a network, and are sealed."""
    path, spans = bench.folder / "appended.db", bench.size(200_000, 70_000)
    writer = ForeignWriter(path)
    shop = Shop(writer, start_ns=time.time_ns() - _DAY_NS, gap_ns=_DAY_NS * 12 // spans)
    taken = 0.0
    count = unsealed = 0
    for batch in shop.batches(spans):
        size = sum(map(len, batch.values()))
        count, unsealed = count + size, unsealed + size
        started = time.perf_counter()
        writer.write_stored(batch)
        if unsealed >= SEGMENT_SPANS:
            seal(path, everything=True)
            unsealed = 0
        taken += time.perf_counter() - started
    taken += _sealed(path)
    writer.close()
    return Row(
        name=f"{count:,} spans in, 10,000 a commit, then sealed",
        value=count / taken,
        unit="spans/s",
        is_rate=True,
    )


_OTEL_SPANS = 500


def _otel_spans() -> None:
    tracer = TracerProvider().get_tracer("bench")
    attributes = {f"attribute.{number}": f"value {number}" for number in range(10)}
    for _ in range(_OTEL_SPANS):
        tracer.start_span("span", attributes=attributes).end()


def _naive_store(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("""CREATE TABLE span (trace TEXT, span TEXT, parent TEXT, name TEXT, status INTEGER,
        start INTEGER, duration INTEGER, attributes TEXT)""")
    for columns in ("trace, span", "name, start", "status, start", "duration"):
        db.execute(f"CREATE INDEX span_{columns.split(',')[0]} ON span ({columns})")
    return db


def _insert(db: sqlite3.Connection, batch: Batch) -> None:
    rows = [
        (
            trace_id, span.span_id.hex(), span.parent_id.hex(), span.name, span.status, span.start,
            span.end - span.start, json.dumps(span.attributes),
        )
        for trace_id, spans in batch.items()
        for span in spans
    ]  # fmt: skip
    with db:
        db.executemany("INSERT INTO span VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _used(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        numbers = [
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        ]
    return int((numbers[0] - numbers[1]) * numbers[2])


def filled(path: Path, spans: int) -> None:
    """Write that many spans of a day into a file, all sealed."""
    writer = ForeignWriter(path)
    shop = Shop(writer, start_ns=time.time_ns() - _DAY_NS, gap_ns=_DAY_NS * 12 // spans)
    for batch in shop.batches(spans, SEGMENT_SPANS):
        writer.write_sealed(batch)
    writer.close()
    seal(path, everything=True)


def questions(search: SqliteSearch) -> Iterator[Question]:
    """Yield what is asked of a file of the shop's spans."""
    some = search.search("{} | select(span.request.id)", limit=20).traces
    trace_id = some[-1].trace_id
    request = str(some[-1].sets[0].spans[0].values["span.request.id"])
    newest = "SELECT trace, max(start) FROM span WHERE {} GROUP BY trace ORDER BY 2 DESC LIMIT 50"
    attribute = """json_extract(attributes, '$."{}"') {} ?"""
    tenant, route = '{ span.tenant = "tenant-1" }', '{ span.http.route =~ ".*/payment/a.*" }'
    rows: tuple[tuple[str, str, str, tuple[str | float, ...], float], ...] = (
        ("newest 50", "{}", newest.format("true"), (), MOST_FIRST),
        (
            "by its id", f'{{ trace:id = "{trace_id}" }}', newest.format("trace = ?"),
            (trace_id,), MOST_FIRST,
        ),
        ("by status", "{ status = error }", newest.format("status = ?"), (2,), MOST_FIRST),
        (
            "by name", '{ name = "GET /api/cart/add" }', newest.format("name = ?"),
            ("GET /api/cart/add",), MOST_FIRST,
        ),
        (
            "by a rare attribute", f'{{ span.request.id = "{request}" }}',
            newest.format(attribute.format("request.id", "=")), (request,), MOST_FIRST,
        ),
        (
            "by an attribute that none has so", '{ span.request.id = "0123" }',
            newest.format(attribute.format("request.id", "=")), ("0123",), MOST_FIRST,
        ),
        (
            "by a common attribute", tenant,
            newest.format(attribute.format("tenant", "=")), ("tenant-1",), MOST_FIRST,
        ),
        (
            "by a range of numbers", "{ span.gen_ai.usage.output_tokens > 4000 }",
            newest.format(attribute.format("gen_ai.usage.output_tokens", ">")), (4_000,),
            MOST_FIRST,
        ),
        ("by duration", "{ duration > 400ms }", newest.format("duration > ?"), (4e8,), MOST_FIRST),
        (
            "by a regular expression", route,
            newest.format(attribute.format("http.route", "LIKE")), ("%/payment/a%",), _SECOND,
        ),
        (
            "by a regular expression over many texts", '{ span.user.id =~ "user-1..77" }',
            newest.format(attribute.format("user.id", "LIKE")), ("user-1__77",), _SECOND,
        ),
        (
            "by ancestor", '{ name = "GET /api/cart/add" } >> { status = error }',
            """WITH RECURSIVE under (trace, span) AS (
              SELECT trace, span FROM span WHERE name = ?
              UNION SELECT s.trace, s.span FROM under AS u
              JOIN span AS s ON s.trace = u.trace AND s.parent = u.span)
            SELECT s.trace, max(s.start) FROM span AS s JOIN under AS u
            ON u.trace = s.trace AND u.span = s.span AND s.status = 2
            GROUP BY 1 ORDER BY 2 DESC LIMIT 50""", ("GET /api/cart/add",), _SECOND,
        ),
        (
            "by count of its spans", "{ status = error } | count() > 3",
            """SELECT trace, max(start), count(*) FROM span WHERE status = ? GROUP BY trace
            HAVING count(*) > 3 ORDER BY 2 DESC LIMIT 50""", (2,), _SECOND,
        ),
        (
            "in groups", "{ status = error } | by(span.gen_ai.request.model) | count() > 2",
            """SELECT trace, json_extract(attributes, '$."gen_ai.request.model"'), max(start)
            FROM span WHERE status = ? GROUP BY 1, 2 HAVING count(*) > 2
            ORDER BY 3 DESC LIMIT 50""", (2,), _SECOND,
        ),
    )  # fmt: skip
    yield from map(Question._make, rows)


def _asked(
    bench: Bench, search: SqliteSearch, db: sqlite3.Connection, question: Question, spans: int
) -> Row:
    taken = times(partial(search.search, question.query), bench.size(40, 10))

    def naively() -> None:
        db.execute(question.sql, question.values).fetchall()

    other = times(naively, bench.size(3, 2))
    return Row(
        name=f"50 traces of {spans:,} spans {question.name}, p95",
        value=p95(taken) * MILLISECONDS,
        unit="ms",
        limit=min(other) * MILLISECONDS,
        limit_name="JSON column",
        most=question.most,
    )


def _metrics(bench: Bench, search: SqliteSearch, now: int) -> Iterator[Row]:
    for name, query in (
        ("rate by name", "{} | rate() by(name)"),
        ("rate by an attribute", "{ status = error } | rate() by(span.tenant)"),
        (
            "an average by an attribute",
            "{} | avg_over_time(span.gen_ai.usage.output_tokens) by(span.gen_ai.request.model)",
        ),
        ("what errors have in common", "{} | compare({ status = error })"),
        ("a quantile of durations", "{ kind = server } | quantile_over_time(duration, .9, .99)"),
    ):
        ask = partial(search.metrics, query, since_ns=now - _DAY_NS, until_ns=now)
        if "compare" in query:
            yield from _learning(name, ask)
        yield Row(
            name=f"metrics of a day: {name}, p95",
            value=p95(times(ask, bench.size(20, 5))) * MILLISECONDS,
            unit="ms",
            most=_METRICS,
        )


def _learning(name: str, ask: Callable[[], object]) -> Iterator[Row]:
    """Measure the first queries of a process, which turn columns round for those that follow."""
    first, *others = [seconds(ask) for _ in range(1 + _LEARNS)]
    yield Row(name=f"metrics of a day: {name}, first query", value=first * MILLISECONDS, unit="ms")
    yield Row(
        name=f"metrics of a day: {name}, longest of the {_LEARNS} that follow",
        value=max(others) * MILLISECONDS,
        unit="ms",
    )


def _whole_process(bench: Bench) -> Iterator[Row]:
    """Search 100,000 spans from the start of Python to its end."""
    path = bench.folder / "whole.db"
    writer = ForeignWriter(path)
    for batch in Shop(writer, start_ns=time.time_ns() - _DAY_NS, gap_ns=8_000_000).batches(100_000):
        writer.write_stored(batch)
    writer.close()
    seal(path, everything=True)
    command = (sys.executable, "-c", _WHOLE, str(path), '{ span.tenant = "tenant-3" }')
    bare = (sys.executable, "-c", "pass")
    works = [partial(_process, one) for one in (command, bare)]
    took, raw = medians(works, repeat=bench.repeat + 2)
    yield Row(
        name="search of 100,000 spans, whole process",
        value=took * MILLISECONDS,
        unit="ms",
        limit=raw * MILLISECONDS,
        limit_name="python -c pass",
        most=150,
    )


def _process(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def times(work: Callable[[], object], repeat: int) -> list[float]:
    """Return how long each repetition takes, after one that does not count."""
    work()
    return [seconds(work) for _ in range(repeat)]


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def p95(taken: Sequence[float]) -> float:
    """Return the duration that one in twenty repetitions exceeds."""
    return sorted(taken)[int(0.95 * (len(taken) - 1))]
