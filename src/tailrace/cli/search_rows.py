"""What a search found, for people: traces with their spans under them, tables, Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.search_json import picked_values
from tailrace.cli.table_text import Column, render_markdown, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells, clean, cut, pad
from tailrace.model.search import FoundSet, FoundSpan, FoundTrace, Value
from tailrace.model.states import SpanStatus

_DURATION_CELLS = 9
_NAME_CELLS = 40
_SHOWN_ANYWAY = frozenset(
    {"name", "span:name", "status", "span:status", "duration", "span:duration"}
)
_NS_FIELDS = ("uration", "event:timeSinceStart")
_LONGEST = 200
"""Characters of a value that a line shows at most; a text of a megabyte is not looked through."""
_COLUMNS = (
    Column(title="TRACE"),
    Column(title="STARTED"),
    Column(title="SERVICE"),
    Column(title="TRACE NAME"),
    Column(title="SPAN"),
    Column(title="DURATION", right=True),
    Column(title="STATUS"),
)


def search_lines(traces: Sequence[FoundTrace], terminal: Terminal) -> Iterator[str]:
    """Yield a line for each trace, and under it one for each span that matched."""
    for trace in traces:
        yield _headline(trace, terminal)
        yield from _sets(trace, terminal)


def _headline(trace: FoundTrace, terminal: Terminal) -> str:
    service = brief(trace.root_service or "(no service)")
    name = brief(trace.root_name or "(no root span)")
    count = f"{trace.matched:,} of {trace.spans:,} span{'s' * (trace.spans != 1)}"
    facts = [local_time(trace.start_ns), duration(trace.duration_ns), count]
    if trace.errors:
        facts.append(terminal.style(f"{trace.errors:,} failed", "red"))
    what = service if trace.is_run and name == f"run {service}" else f"{service}  {name}"
    return "  ".join([terminal.style(trace.trace_id, "bold"), what, *facts])


def _sets(trace: FoundTrace, terminal: Terminal) -> Iterator[str]:
    marks = terminal.marks
    grouped = len(trace.sets) > 1 or any(one.values for one in trace.sets)
    for place, one in enumerate(trace.sets):
        is_last = place == len(trace.sets) - 1
        if not grouped:
            yield from _spans(trace, one, "", terminal)
            continue
        corner, rest = (marks.corner, "   ") if is_last else (marks.tee, marks.bar)
        label = "  ".join(f"{name} = {shown_value(name, v)}" for name, v in one.values.items())
        text = f"{label or 'spans'}  ({one.matched:,} span{'s' * (one.matched != 1)})"
        room = max(20, terminal.width - cells(corner))
        yield terminal.style(corner, "dim") + cut(clean(text), room, ellipsis=marks.ellipsis)
        yield from _spans(trace, one, rest, terminal)


def _spans(trace: FoundTrace, one: FoundSet, guide: str, terminal: Terminal) -> Iterator[str]:
    marks = terminal.marks
    hidden = one.matched - len(one.spans)
    names = [brief(span.name) for span in one.spans]
    width = min(_NAME_CELLS, max(map(cells, names), default=0))
    for place, (span, name) in enumerate(zip(one.spans, names, strict=True)):
        is_last = place == len(one.spans) - 1 and not hidden
        stroke = terminal.style(guide + (marks.corner if is_last else marks.tee), "dim")
        failed = span.status is SpanStatus.ERROR
        mark = terminal.style(marks.failed, "red") if failed else marks.done
        shown = pad(cut(name, width, ellipsis=marks.ellipsis), width)
        took = pad(duration(span.duration_ns), _DURATION_CELLS, right=True)
        used = cells(guide) + 3 + 2 + width + 2 + _DURATION_CELLS + 2
        note = cut(_note(trace, span), max(12, terminal.width - used), ellipsis=marks.ellipsis)
        yield f"{stroke}{mark} {shown}  {took}  {terminal.style(note, 'dim')}".rstrip()
    if hidden:
        more = f"{marks.ellipsis} {hidden:,} more span{'s' * (hidden != 1)}"
        yield terminal.style(f"{guide}{marks.corner}{more}", "dim")


def _note(trace: FoundTrace, span: FoundSpan) -> str:
    parts = [brief(span.service)] if span.service not in ("", trace.root_service) else []
    parts += [
        f"{clean(name)}={shown_value(name, value)}"
        for name, value in span.values.items()
        if name not in _SHOWN_ANYWAY
    ]
    return "  ".join(parts)


def shown_value(name: str, value: Value) -> str:
    """Return a field's value for a person: durations with their unit, texts on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and name.rstrip(")").endswith(_NS_FIELDS):
        return duration(round(value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return brief(str(value))


def brief(text: str) -> str:
    """Return a text on one line, without its end where it is very long."""
    return clean(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def picked_table(
    traces: Sequence[FoundTrace], columns: Sequence[str], terminal: Terminal, *, markdown: bool
) -> list[str]:
    """Return a table of the columns that ``pick(…)`` names."""
    heads = [Column(title=name.upper(), right=name == "span_count") for name in columns]
    rows = []
    for trace in traces:
        values = picked_values(trace) | {
            "start_time": local_time(trace.start_ns),
            "end_time": local_time(trace.start_ns + trace.duration_ns),
            "span_count": f"{trace.spans:,}",
        }
        rows.append([brief(str(values[name])) for name in columns])
    return render_markdown(heads, rows) if markdown else render_table(heads, rows, terminal)


def search_markdown(traces: Sequence[FoundTrace]) -> list[str]:
    """Return a Markdown table with a row for each span that matched."""
    found = [(trace, one, span) for trace in traces for one in trace.sets for span in one.spans]
    names = dict.fromkeys(name for _, one, _ in found for name in one.values)
    fields = dict.fromkeys(
        name for _, _, span in found for name in span.values if name not in _SHOWN_ANYWAY
    )
    extra = [Column(title=brief(name)) for name in (*names, *fields)]
    rows = [
        [
            trace.trace_id,
            local_time(trace.start_ns),
            brief(span.service or trace.root_service),
            brief(trace.root_name),
            brief(span.name),
            duration(span.duration_ns),
            span.status.value,
            *(_cell(one.values, name) for name in names),
            *(_cell(span.values, name) for name in fields),
        ]
        for trace, one, span in found
    ]
    return render_markdown((*_COLUMNS, *extra), rows)


def _cell(values: Mapping[str, Value], name: str) -> str:
    return shown_value(name, values[name]) if name in values else ""
