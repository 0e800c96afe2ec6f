"""Five times as many spans: what a search costs more, and how fast a file of spans comes in."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from row import Row
from search import MILLISECONDS, MOST_FIRST, filled, p95, questions, times
from shop import Shop
from tailrace.model.span import InstrumentationScope
from tailrace.store.search import SqliteSearch

if TYPE_CHECKING:
    from suites import Bench
    from tailrace.store.foreign_span import StoredSpan

_DAY_NS = 86_400_000_000_000
_MOST_RATIO = 3.0
"""A question to single spans takes at most so many times longer over five times the spans, or than
it may over the fewer."""


def large_searches(bench: Bench) -> Iterator[Row]:
    """Cost of questions at 5,000,000 spans beside 1,000,000, and of ``trace import``."""
    few, many = bench.size(1_000_000, 50_000), bench.size(5_000_000, 250_000)
    taken = []
    for spans in (few, many):
        path = bench.folder / f"{spans}.db"
        filled(path, spans)
        search = SqliteSearch(path)
        taken.append(
            {
                question.name: p95(times(partial(search.search, question.query), 40))
                for question in questions(search)
                if question.most == MOST_FIRST
            }
        )
        search.close()
    for name, seconds in taken[1].items():
        yield Row(
            name=f"50 traces of {many:,} spans {name}, p95",
            value=seconds * MILLISECONDS,
            unit="ms",
            limit=taken[0][name] * MILLISECONDS,
            limit_name=f"{few:,} spans",
            most=_MOST_RATIO * MOST_FIRST,
            most_ratio=_MOST_RATIO,
            either=True,
        )
    yield _imported(bench)


def _imported(bench: Bench) -> Row:
    """Measure the command, from its start to its end, with a file of exports as lines."""
    path, db = bench.folder / "spans.jsonl", bench.folder / "imported.db"
    count = _write(path, bench.size(500_000, 50_000))
    command = (sys.executable, "-m", "tailrace", "trace", "import", str(path), "--db", str(db))
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Row(
        name=f"tailrace trace import of {count:,} spans of 10 attributes, OTLP JSON",
        value=count / (time.perf_counter() - started),
        unit="spans/s",
        most=40_000,
        is_rate=True,
    )


class _Numbers:
    """Numbers resources, and remembers them."""

    def __init__(self) -> None:
        self.resources: list[dict[str, Any]] = []

    def resource(self, attributes: dict[str, Any]) -> int:
        self.resources.append(attributes)
        return len(self.resources) - 1

    def scope(self, _: InstrumentationScope) -> int:
        return 0


def _write(path: Path, spans: int) -> int:
    """Write exports of some hundred spans each, as a collector does, and return their number."""
    numbers = _Numbers()
    shop = Shop(numbers, start_ns=time.time_ns() - _DAY_NS, gap_ns=_DAY_NS * 12 // spans)
    count = 0
    with path.open("wb") as file:
        for batch in shop.batches(spans, 500):
            groups: dict[int, list[dict[str, Any]]] = {}
            for trace_id, some in batch.items():
                for span in some:
                    groups.setdefault(span.resource, []).append(_raw(trace_id, span))
            count += sum(map(len, batch.values()))
            exported = [
                {
                    "resource": {"attributes": _pairs(numbers.resources[number])},
                    "scopeSpans": [{"scope": {"name": "shop.http"}, "spans": some}],
                }
                for number, some in groups.items()
            ]
            file.write(msgspec.json.encode({"resourceSpans": exported}) + b"\n")
    return count


def _raw(trace_id: str, span: StoredSpan) -> dict[str, Any]:
    return {
        "traceId": trace_id,
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": _pairs(span.attributes),
        "status": {"code": span.status, "message": span.message},
    }


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}
