"""A run as lines: one per finished node, as it happens."""

from __future__ import annotations

import re
import threading
from collections import Counter

from tailrace.cli.clock_text import duration
from tailrace.cli.terminal import Terminal
from tailrace.cli.trace_rows import Mark, error_type, facts, label_of, mark_of, reason_lines
from tailrace.cli.tree_text import MARK_STYLES
from tailrace.cli.width import cells, clean, cut, pad
from tailrace.model import Span, SpanId, SpanStatus, SpanType

_LABEL_CELLS = 20
_LISTED_PER_LOOP = 5
_LISTED_FAILURES = 20
_INDEX = re.compile(r"\[[^\]]*\]")


class ProgressLines:
    """A tracer that writes a line per finished node; thread-safe.

    Nodes inside loops are listed a few times each and then only when they fail; the loop's own
    line says how many there were.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._nodes: dict[SpanId, Span] = {}
        self._attempts: dict[SpanId, Span] = {}
        self._line_is_open = False
        self._listed: Counter[tuple[str, bool]] = Counter()

    def on_start(self, span: Span) -> None:
        """Say when a node is tried again."""
        with self._lock:
            if span.type is SpanType.NODE:
                self._nodes[span.span_id] = span
            elif span.type is SpanType.ATTEMPT and span.parent_id is not None:
                before = self._attempts.get(span.parent_id)
                self._attempts[span.parent_id] = span
                if before is not None:
                    self._retried(self._nodes.get(span.parent_id, span), before, span)

    def on_end(self, span: Span) -> None:
        """Write the line of a node, a loop or a sub-flow that ended."""
        if span.type is SpanType.NODE:
            self._node_ended(span)
        elif span.type is SpanType.CONTAINER and "tailrace.count" in span.attributes:
            with self._lock:
                if self._is_listed(_key(span), failed=span.status is SpanStatus.ERROR):
                    self._span_line(span, [])

    def close(self) -> None:
        """Flush."""
        with self._lock:
            self._terminal.stream.flush()

    def echo(self, _: str, text: str) -> None:
        """Write what a task printed or logged; standard output is kept for the result."""
        with self._lock:
            self._terminal.stream.write(text)
            self._line_is_open = not text.endswith("\n") if text else self._line_is_open

    def _retried(self, node: Span, before: Span, attempt: Span) -> None:
        if self._is_listed(_key(node), failed=True):
            get = attempt.attributes.get
            delay = get("tailrace.delay_s", 0)
            waited = f" after {delay:g} s" if delay else ""
            number, of = get("tailrace.attempt", 2), get("tailrace.max_attempts", "?")
            note = f"attempt {number} of {of}{waited}: {error_type(before)}"
            self._write(Mark.RUNNING, _name(node), "", note)

    def _node_ended(self, span: Span) -> None:
        with self._lock:
            self._nodes.pop(span.span_id, None)
            attempt = self._attempts.pop(span.span_id, None)
            failed = span.status is SpanStatus.ERROR
            if not self._is_listed(_key(span), failed=failed):
                return
            number = 1 if attempt is None else attempt.attributes.get("tailrace.attempt", 1)
            notes = [f"{number} attempts"] if number > 1 else []
            if failed:
                notes.append(reason_lines(span, span)[0])
            self._span_line(span, notes)

    def _span_line(self, span: Span, notes: list[str]) -> None:
        mark = mark_of(span, alive=True)
        took = "" if mark is Mark.SKIPPED else duration(span.duration_ns)
        self._write(mark, _name(span), took, " · ".join([*facts(span, mark), *notes]))

    def _is_listed(self, key: str, *, failed: bool) -> bool:
        """Return whether a span of this kind is still worth a line; say once when it is not."""
        if "[" not in key:
            return True
        self._listed[key, failed] += 1
        seen = self._listed[key, failed]
        limit = _LISTED_FAILURES if failed else _LISTED_PER_LOOP
        if seen == limit + 1:
            which = "failures" if failed else "iterations"
            self._write(Mark.FOLDED, key, "", f"further {which} are not listed")
        return seen <= limit

    def _write(self, mark: Mark, name: str, took: str, note: str) -> None:
        terminal = self._terminal
        line = mark_line(terminal, mark, name, took, note)
        terminal.lines([*([""] if self._line_is_open else []), line])
        self._line_is_open = False
        terminal.stream.flush()


def mark_line(terminal: Terminal, mark: Mark, name: str, took: str, note: str) -> str:
    """Return the line of a node: its sign, its name, how long it took, and what is to be said."""
    sign = terminal.style(getattr(terminal.marks, mark), MARK_STYLES[mark])
    label = pad(clean(name), _LABEL_CELLS)
    room = max(16, terminal.width - max(cells(label), _LABEL_CELLS) - 15)
    text = note if terminal.unicode else note.replace(" · ", " - ")
    tail = cut(clean(text), room, ellipsis=terminal.marks.ellipsis)
    return f"{sign} {label} {pad(took, 9, right=True)}  {terminal.style(tail, 'dim')}".rstrip()


def _name(span: Span) -> str:
    return str(span.attributes.get("tailrace.node.path") or label_of(span))


def _key(span: Span) -> str:
    """Return the path without indices, so that all iterations share one key."""
    return _INDEX.sub("[]", _name(span))
