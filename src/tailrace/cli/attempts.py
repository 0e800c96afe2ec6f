"""``tailrace failures attempts``: every attempt of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
from msgspec import Struct

from tailrace.cli.clock_text import duration, local_time, utc_time
from tailrace.cli.database import open_reader
from tailrace.cli.failure_rows import CATEGORY_STYLES, error_text, kind_text
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, counted, show_listing
from tailrace.cli.options import Store, format_option, store_option
from tailrace.cli.stores import failure_log
from tailrace.cli.table_text import Cell, Column
from tailrace.cli.trace_rows import error_type
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.span import Span, Trace
from tailrace.model.states import SpanStatus, SpanType

_COLUMNS = (
    Column(title="NODE", flex=True),
    Column(title="ATTEMPT", right=True),
    Column(title="STANDS"),
    Column(title="CATEGORY", drop=3),
    Column(title="WAITED", right=True, drop=4),
    Column(title="STARTED", drop=5),
    Column(title="DURATION", right=True, drop=2),
    Column(title="FAILURE", drop=1),
    Column(title="ERROR", flex=True),
)
_EVERY = 1_000_000


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt, and its failure where it has one on record."""

    node: str
    span: Span
    failure: FailureSnapshot | None

    @property
    def state(self) -> str:
        """How it stands."""
        if self.span.end_ns is None:
            return "open"
        return "failed" if self.span.status is SpanStatus.ERROR else "ok"


@command()
@click.argument("run_id", metavar="RUN", default="@last-failed")
@click.option("--node", help="Only of this node: its name, or its path in loops.")
@store_option
@format_option(*FORMATS)
def list_attempts(run_id: str, *, node: str | None, db: Store, output: str) -> int:
    """List every attempt of a run in the order they began (the last failed run by default).

    \b
      tailrace failures attempts
      tailrace failures attempts 019aa0c4 --node transform
    """  # noqa: D301 - \b is click's mark for lines to keep
    with open_reader(db) as reader:
        trace = reader.trace(reader.resolve(run_id), events=False)
    wanted = FailureFilter(run=trace.run.run_id)
    failures = {one.span_id: one for one in failure_log(db).failures(wanted, limit=_EVERY)}
    found = [
        attempt
        for attempt in attempts_of(trace, failures)
        if node is None or node in {attempt.node, attempt.node.rpartition(".")[2]}
    ]
    failed = sum(attempt.state == "failed" for attempt in found)
    show_listing(
        found,
        output,
        columns=_COLUMNS,
        row=_row,
        data=_to_dict,
        footer=f"{counted(len(found), 'attempt')}, {failed:,} of them failed"
        f" · tailrace trace show {trace.run.run_id}"
        if found
        else "no attempts match",
    )
    return 0


def attempts_of(trace: Trace, failures: Mapping[str, FailureSnapshot]) -> Iterator[Attempt]:
    """Yield the attempts of a trace; ``failures`` by span id."""
    nodes = {span.span_id: span for span in trace.spans if span.type is SpanType.NODE}
    for span in trace.spans:
        if span.type is not SpanType.ATTEMPT:
            continue
        node = nodes.get(span.parent_id) if span.parent_id is not None else None
        path = "" if node is None else str(node.attributes.get("tailrace.node.path") or "")
        if node is not None and not path:
            path = node.name.partition(" ")[2]
        yield Attempt(node=path or "-", span=span, failure=failures.get(span.span_id))


def _row(attempt: Attempt) -> list[str | Cell]:
    span, failure = attempt.span, attempt.failure
    get = span.attributes.get
    category = str(get("tailrace.category", "")) if failure is None else failure.category
    kind = category if failure is None else kind_text(category, failure.class_)
    error = ""
    if failure is not None:
        error = error_text(failure.type, failure.message)
    elif attempt.state == "failed":
        error = error_text(error_type(span), span.message)
    return [
        attempt.node,
        str(get("tailrace.attempt", "-")),
        Cell(attempt.state, {"failed": "red", "ok": "green"}.get(attempt.state, "cyan")),
        Cell(kind or "-", CATEGORY_STYLES.get(category, "")),
        f"{get('tailrace.delay_s'):g} s" if get("tailrace.delay_s") else "-",
        local_time(span.start_ns),
        duration(span.duration_ns),
        "-" if failure is None else failure.failure_id,
        error or "-",
    ]


def _to_dict(attempt: Attempt) -> dict[str, Any]:
    span, failure = attempt.span, attempt.failure
    return {
        "node": attempt.node,
        "attempt": span.attributes.get("tailrace.attempt"),
        "state": attempt.state,
        "waited_s": span.attributes.get("tailrace.delay_s"),
        "start": utc_time(span.start_ns),
        "duration_ns": span.duration_ns,
        "span_id": span.span_id,
        "failure_id": None if failure is None else failure.failure_id,
        "category": span.attributes.get("tailrace.category"),
        "class": None if failure is None else failure.class_,
        "type": span.attributes.get("error.type"),
        "message": span.message or None,
    }
