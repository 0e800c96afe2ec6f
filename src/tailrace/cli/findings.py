"""What a summary counts in the spans of runs: failures, slow nodes, retries."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from tailrace.cli.trace_rows import error_type, label_of
from tailrace.model.span import Span, Trace
from tailrace.model.states import RunStatus, SpanStatus, SpanType


class FailureRow(Struct, kw_only=True):
    """Failures of one kind."""

    fingerprint: str
    """Empty: of spans from elsewhere."""
    where: str
    text: str
    count: int = 0
    runs: set[str] = field(default_factory=set)
    newest_ns: int = 0
    newest_run: str = ""


class NodeRow(Struct, kw_only=True):
    """All executions of one node, of one flow; or of one span's name, of one service."""

    where: str
    count: int = 0
    failed: int = 0
    total_ns: int = 0
    longest_ns: int = -1
    longest_run: str = ""


class RetryRow(Struct, kw_only=True):
    """Attempts of one node beyond the first."""

    where: str
    retries: int = 0
    healed: int = 0
    """Nodes that succeeded in the end."""
    runs: set[str] = field(default_factory=set)
    most: int = 0
    """Attempts of the node that needed the most."""
    most_run: str = ""


class Findings:
    """Counts what it is shown, trace by trace."""

    def __init__(self) -> None:
        self.failures: dict[str, FailureRow] = {}
        self.nodes: dict[str, NodeRow] = {}
        self.retries: dict[str, RetryRow] = {}
        self.statuses: dict[RunStatus, int] = {}
        self.in_part = 0
        """Traces so large that not all of their spans were looked at."""

    def add(self, trace: Trace) -> None:
        """Count a trace."""
        run = trace.run
        self.statuses[run.status] = self.statuses.get(run.status, 0) + 1
        self.in_part += bool(trace.folded)
        attempts: dict[str, int] = {}
        for span in trace.spans:
            match span.type:
                case SpanType.ATTEMPT:
                    if span.parent_id is not None:
                        attempts[span.parent_id] = attempts.get(span.parent_id, 0) + 1
                    self._failed_attempt(span, run.flow)
                case SpanType.NODE:
                    self._node(span, run.flow)
                case SpanType.FOREIGN:
                    self._foreign(span)
                case _:
                    pass
        for span in trace.spans:
            if attempts.get(span.span_id, 0) > 1:
                self._retried(span, run.flow, attempts[span.span_id])

    def _failed_attempt(self, span: Span, flow: str) -> None:
        fingerprint = str(span.attributes.get("tailrace.fingerprint") or "")
        if span.status is SpanStatus.ERROR and fingerprint:
            self._failure(fingerprint, fingerprint, f"{flow}/{_node_of(span)}", span)

    def _foreign(self, span: Span) -> None:
        service = str(span.resource.get("service.name") or "(no service)")
        where = f"{service}/{span.name}"
        self._time(where, span)
        if span.status is SpanStatus.ERROR:
            self._failure(f"{where} {error_type(span)}", "", where, span)

    def _failure(self, key: str, fingerprint: str, where: str, span: Span) -> None:
        row = self.failures.get(key)
        if row is None:
            row = FailureRow(fingerprint=fingerprint, where=where, text=_text(span))
            self.failures[key] = row
        row.count += 1
        row.runs.add(span.trace_id)
        if span.start_ns >= row.newest_ns:
            row.newest_ns, row.newest_run = span.start_ns, span.trace_id
            row.text = _text(span)

    def _node(self, span: Span, flow: str) -> None:
        if span.attributes.get("tailrace.state") != "SKIPPED":
            self._time(f"{flow}/{label_of(span)}", span)

    def _time(self, where: str, span: Span) -> None:
        took = span.duration_ns
        if took is None:
            return
        row = self.nodes.setdefault(where, NodeRow(where=where))
        row.count += 1
        row.failed += span.status is SpanStatus.ERROR
        row.total_ns += took
        if took > row.longest_ns:
            row.longest_ns, row.longest_run = took, span.trace_id

    def _retried(self, node: Span, flow: str, attempts: int) -> None:
        where = f"{flow}/{label_of(node)}"
        row = self.retries.setdefault(where, RetryRow(where=where))
        row.retries += attempts - 1
        row.healed += node.end_ns is not None and node.status is not SpanStatus.ERROR
        row.runs.add(node.trace_id)
        if attempts > row.most:
            row.most, row.most_run = attempts, node.trace_id


def most_failures(rows: Iterable[FailureRow]) -> list[FailureRow]:
    """Return the rows with the most failures first, of equal ones the newest."""
    return sorted(rows, key=lambda row: (-row.count, -row.newest_ns))


def slowest(rows: Iterable[NodeRow]) -> list[NodeRow]:
    """Return the rows that took the most time in all first."""
    return sorted(rows, key=lambda row: -row.total_ns)


def most_retries(rows: Iterable[RetryRow]) -> list[RetryRow]:
    """Return the rows with the most retries first."""
    return sorted(rows, key=lambda row: -row.retries)


def _node_of(attempt: Span) -> str:
    return attempt.name.partition(" ")[2] or attempt.name


def _text(span: Span) -> str:
    message = span.message or str(span.attributes.get("exception.message", ""))
    kind = error_type(span)
    return message if kind == "error" or message.startswith(kind) else f"{kind}: {message}"
