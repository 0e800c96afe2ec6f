"""Traces and what queries found, as HTML for notebooks: self-contained, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tailrace.model.family import parents_of
from tailrace.model.search import FoundTrace, MetricsResult, SearchResult
from tailrace.model.span import Span, Trace
from tailrace.model.states import SpanStatus

_MOST_SPANS = 1_000
_MOST_ROWS = 200
_LONGEST = 2_000
"""Characters of one value."""
_HIDDEN = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_STYLE = """<style>
.tailrace{font:13px/1.5 ui-monospace,monospace;color:inherit;max-width:100%}
.tailrace table{border-collapse:collapse;width:100%}
.tailrace td,.tailrace th{padding:1px 8px;text-align:left;vertical-align:top;border:0}
.tailrace td.n{text-align:right;white-space:nowrap}
.tailrace td.b{width:45%;min-width:120px}
.tailrace .t{position:relative;height:12px;margin-top:3px;background:rgba(128,128,128,.12)}
.tailrace .t i{position:absolute;top:0;bottom:0;min-width:2px;background:#4a90d9}
.tailrace .e i{background:#d0453b}
.tailrace .e summary,.tailrace .m{color:#d0453b}
.tailrace summary{cursor:pointer}
.tailrace dl{margin:0 0 4px 16px;display:grid;grid-template-columns:auto 1fr;gap:0 12px}
.tailrace dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
</style>"""


def trace_html(trace: Trace) -> str:
    """Return a waterfall: each span with its bar, what it carries unfolds on a click."""
    run = trace.run
    spans = trace.spans[:_MOST_SPANS]
    first = min((span.start_ns for span in trace.spans), default=run.start_ns)
    last = max((_end(span) for span in trace.spans), default=first)
    depths = _depths(trace.spans)
    rows = "".join(
        _span_row(span, depths[place], first, max(1, last - first))
        for place, span in enumerate(spans)
    )
    took = "" if run.end_ns is None else f" · {_duration(run.end_ns - run.start_ns)}"
    head = f"<b>{_text(run.flow)}</b> {_text(run.run_id)} · {_text(run.status.value)}{took}"
    reason = f'<div class="m">{_text(run.reason)}</div>' if run.reason else ""
    left = run.spans - len(spans)
    more = f"<div>{left:,} more spans are not shown</div>" if left > 0 else ""
    return _box(f"<div>{head}</div>{reason}<table>{rows}</table>{more}")


def search_html(result: SearchResult) -> str:
    """Return a table of traces; their spans unfold on a click."""
    heads = ("trace", "service", "name", "duration", "spans", "matched", "errors")
    rows = (
        (
            _unfolding(trace),
            _text(trace.root_service),
            _text(trace.root_name),
            _duration(trace.duration_ns),
            f"{trace.spans:,}",
            f"{trace.matched:,}",
            f"{trace.errors:,}",
        )
        for trace in result.traces[:_MOST_ROWS]
    )
    left = len(result.traces) - _MOST_ROWS
    return _box(_table(heads, rows, numbers=3), _more(left, "traces"), _reason(result.reason))


def metrics_html(result: MetricsResult) -> str:
    """Return a table of series with a small plot of each."""
    heads = ("series", "over time", "last", "max")
    rows = []
    for series in result.series[:_MOST_ROWS]:
        known = [value for value in series.values if value is not None]
        label = ", ".join(f"{name}={_plain(value)}" for name, value in series.labels.items())
        numbers = (f"{known[-1]:.6g}", f"{max(known):.6g}") if known else ("-", "-")
        rows.append((_text(label), _curve(series.values), *numbers))
    left = len(result.series) - _MOST_ROWS
    return _box(_table(heads, rows, numbers=2), _more(left, "series"), _reason(result.reason))


def _box(*parts: str) -> str:
    return f'{_STYLE}<div class="tailrace">{"".join(parts)}</div>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int) -> str:
    """Return a table of cells that are HTML already; columns from ``numbers`` on are numbers."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="n">{cell}</td>' if place >= numbers else f"<td>{cell}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _more(left: int, what: str) -> str:
    return f"<div>{left:,} more {what} are not shown</div>" if left > 0 else ""


def _reason(text: str) -> str:
    return f'<div class="m">{_text(text)}</div>' if text else ""


def _span_row(span: Span, depth: int, first: int, total: int) -> str:
    left = 100 * (span.start_ns - first) / total
    width = 100 * (_end(span) - span.start_ns) / total
    kind = ' class="e"' if span.status is SpanStatus.ERROR else ""
    bar = f'<div class="t"><i style="left:{left:.3f}%;width:{width:.3f}%"></i></div>'
    took = "" if span.duration_ns is None else _duration(span.duration_ns)
    name = (
        f'<details style="margin-left:{min(depth, 40) * 14}px"><summary>{_text(span.name)}'
        f"</summary>{_facts(span)}</details>"
    )
    return f'<tr{kind}><td>{name}</td><td class="n">{took}</td><td class="b">{bar}</td></tr>'


def _facts(span: Span) -> str:
    known: dict[str, Any] = {"status": span.status.value, "span": span.span_id}
    if span.message:
        known["message"] = span.message
    known |= span.attributes
    known |= {f"resource.{name}": value for name, value in span.resource.items()}
    for event in span.events:
        after = _duration(event.time_ns - span.start_ns)
        tail = " ".join(f"{name}={_plain(value)}" for name, value in event.attributes.items())
        known[f"event {event.name} after {after}"] = tail
    return _pairs(known)


def _pairs(known: Mapping[str, Any]) -> str:
    items = "".join(f"<dt>{_text(name)}</dt><dd>{_text(v)}</dd>" for name, v in known.items())
    return f"<dl>{items}</dl>"


def _unfolding(trace: FoundTrace) -> str:
    lines = []
    for one in trace.sets:
        if one.values:
            facts = ", ".join(f"{name} = {_plain(value)}" for name, value in one.values.items())
            lines.append(f"<div><b>{_text(facts)}</b></div>")
        for span in one.spans:
            values = {"duration": _duration(span.duration_ns), **span.values}
            lines.append(f"<div>{_text(span.name)}</div>{_pairs(values)}")
    return f"<details><summary>{_text(trace.trace_id)}</summary>{''.join(lines)}</details>"


def _curve(values: Sequence[float | None]) -> str:
    """Return a line of 200 by 24 pixels, broken where there is no point."""
    known = [value for value in values if value is not None and abs(value) < float("inf")]
    if not known:
        return ""
    low, high = min(0.0, *known), max(0.0, *known)
    step = 200 / max(1, len(values) - 1)
    height = (high - low) or 1.0
    parts = []
    pen = "M"
    for place, value in enumerate(values):
        if value is None or not abs(value) < float("inf"):
            pen = "M"
            continue
        parts.append(f"{pen}{place * step:.1f} {23 - 22 * (value - low) / height:.1f}")
        pen = "L"
    path = " ".join(parts)
    return (
        '<svg width="200" height="24" viewBox="0 0 200 24">'
        f'<path d="{path}" fill="none" stroke="#4a90d9" stroke-linecap="round"/></svg>'
    )


def _depths(spans: Sequence[Span]) -> list[int]:
    """Return how deep each span stands."""
    parents = parents_of(spans)
    found = [-1] * len(spans)
    for number in range(len(spans)):
        path = [number]
        while found[path[-1]] < 0 and parents[path[-1]] >= 0:
            path.append(parents[path[-1]])
        depth = max(found[path[-1]], 0)
        for below, one in enumerate(reversed(path)):
            found[one] = depth + below
    return found


def _end(span: Span) -> int:
    return span.start_ns if span.end_ns is None else span.end_ns


def _plain(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _text(value: Any) -> str:
    text = _plain(value)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    return "".join(_visible(text))


def _visible(text: str) -> Iterator[str]:
    for character in escape(text):
        code = ord(character)
        is_odd = (code < 0x20 and character not in "\n\t") or 0x7F <= code < 0xA0
        if is_odd or character in _HIDDEN or 0xD800 <= code <= 0xDFFF:
            yield f"\\u{code:04x}"
        else:
            yield character


def _duration(ns: int) -> str:
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}" if ns < 1000 * size else f"{ns / size:,.0f} {unit}"
    return f"{ns} ns"
