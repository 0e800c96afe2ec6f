"""A run as a tree that is redrawn in place while it goes on; the last frame stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from tailrace.cli.clock_text import duration
from tailrace.cli.terminal import Terminal
from tailrace.cli.trace_rows import Branch, Mark, View, build_branches, label_of
from tailrace.cli.tree_text import render_tree
from tailrace.cli.width import clean
from tailrace.model import (
    All,
    Flow,
    Graph,
    Node,
    RunId,
    RunStatus,
    RunSummary,
    Seq,
    Span,
    SpanId,
    SpanStatus,
    SpanType,
    Trace,
)

_FRAME_SECONDS = 0.1
_BAR_CELLS = 24
_UP_AND_ERASE = "\x1b[{}F\x1b[J"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_CALM = (Mark.DONE, Mark.SKIPPED)


class LiveTree:
    """A tracer that redraws the tree of the run ten times a second; thread-safe.

    Iterations that went well are counted and forgotten, so memory follows what is open.
    """

    def __init__(self, terminal: Terminal, flow: str, planned: Sequence[str] = ()) -> None:
        """Start drawing.

        Args:
            terminal: where to draw.
            flow: the flow's name.
            planned: names of the nodes to come, in order; shown until they start.
        """
        self._terminal = terminal
        self._flow = flow
        self._pending = dict.fromkeys(planned)
        self._lock = threading.Lock()
        self._spans: dict[SpanId, Span] = {}
        self._children: dict[SpanId, list[SpanId]] = {}
        self._finished: dict[SpanId, int] = {}
        self._partial: dict[str, str] = {}
        self._drawn = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="tailrace-watch", daemon=True)
        self._thread.start()

    def on_start(self, span: Span) -> None:
        """Take the span in; its attributes change in place while it is open."""
        with self._lock:
            self._spans[span.span_id] = span
            self._pending.pop(label_of(span), None)
            if span.parent_id is not None:
                self._children.setdefault(span.parent_id, []).append(span.span_id)

    def on_end(self, span: Span) -> None:
        """Forget an iteration that went well, with all that is under it."""
        with self._lock:
            self._spans[span.span_id] = span
            if span.type is not SpanType.ITERATION or span.status is SpanStatus.ERROR:
                return
            parent = span.parent_id
            if parent is not None and parent in self._children:
                self._finished[parent] = self._finished.get(parent, 0) + 1
                self._children[parent].remove(span.span_id)
                self._forget(span.span_id)

    def _forget(self, root: SpanId) -> None:
        pending = [root]
        while pending:
            place = pending.pop()
            self._spans.pop(place, None)
            self._finished.pop(place, None)
            pending += self._children.pop(place, [])

    def close(self) -> None:
        """Draw the last frame and leave it."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            with self._lock:
                self._erase()
                self._terminal.lines(text for text in self._partial.values() if text)
                self._draw()

    def echo(self, stream: str, text: str) -> None:
        """Write what a task printed or logged above the tree, line by line."""
        with self._lock:
            whole, newline, rest = (self._partial.get(stream, "") + text).rpartition("\n")
            self._partial[stream] = rest
            if newline:
                self._erase()
                self._terminal.lines([whole])
                self._terminal.stream.flush()

    def _redraw(self) -> None:
        while not self._over.wait(_FRAME_SECONDS):
            with self._lock:
                self._draw()

    def _erase(self) -> None:
        if self._drawn:
            self._terminal.stream.write(_UP_AND_ERASE.format(self._drawn))
            self._drawn = 0

    def _draw(self) -> None:
        lines = self.frame(time.time_ns())
        self._erase()
        self._terminal.stream.write(_NO_WRAP)
        self._terminal.lines(lines)
        self._terminal.stream.write(_WRAP)
        self._terminal.stream.flush()
        self._drawn = len(lines)

    def frame(self, now_ns: int) -> list[str]:
        """Return the lines of the present moment, at most as many as the terminal is high."""
        spans = list(self._spans.values())
        if not spans:
            return []
        trace = Trace(run=_summary(self._flow, spans), spans=spans)
        roots = build_branches(trace, View())
        for root in roots:
            self._decorate(root)
        if trace.run.status is RunStatus.RUNNING:
            to_come = [Branch(label=name, mark=Mark.PENDING) for name in self._pending]
            roots[0].children += to_come
        room = max(4, self._terminal.height - 2)
        if _size(roots) > room:
            _calm_down(roots)
        lines = render_tree(roots, self._terminal, now_ns=now_ns)
        if len(lines) > room:
            hidden = len(lines) - room + 1
            lines = [*lines[: room - 1], f"{self._terminal.marks.ellipsis} {hidden:,} more lines"]
        return lines

    def _decorate(self, root: Branch) -> None:
        """Add counts of forgotten iterations, and bars where progress is known."""
        pending = [root]
        while pending:
            branch = pending.pop()
            pending += branch.children
            if branch.span is None:
                continue
            finished = self._finished.get(branch.span.span_id, 0)
            notes = [branch.note] if branch.note else []
            if finished and branch.mark is Mark.RUNNING:
                notes.append(f"{finished:,} done")
            bar = self._progress(branch.span)
            if bar and branch.mark is Mark.RUNNING:
                notes.insert(0, bar)
            branch.note = " · ".join(notes)

    def _progress(self, span: Span) -> str:
        """Return a bar, the rate and the time left, from the newest ``ctx.progress``."""
        sources = [span, *(self._spans[child] for child in self._children.get(span.span_id, []))]
        for source in sources:
            done = source.attributes.get("tailrace.progress.done")
            total = source.attributes.get("tailrace.progress.total")
            if done is not None and total:
                return self._bar(float(done), float(total), time.time_ns() - source.start_ns)
        return ""

    def _bar(self, done: float, total: float, elapsed_ns: int) -> str:
        share = min(1.0, max(0.0, done / total))
        full, empty = ("━", "─") if self._terminal.unicode else ("=", "-")
        filled = round(share * _BAR_CELLS)
        bar = full * filled + empty * (_BAR_CELLS - filled)
        if not 0 < share < 1 or elapsed_ns <= 0:
            return bar
        rate = done / (elapsed_ns / 1e9)
        left = duration(int((total - done) / rate * 1e9))
        return f"{bar}  {rate:.1f}/s  {left} left"


def _summary(flow: str, spans: Sequence[Span]) -> RunSummary:
    first = spans[0]
    alive = any(span.end_ns is None for span in spans)
    return RunSummary(
        run_id=RunId(first.trace_id),
        flow=clean(flow),
        status=RunStatus.RUNNING if alive else RunStatus.COMPLETED,
        start_ns=first.start_ns,
        end_ns=None,
        spans=len(spans),
    )


def _size(roots: Sequence[Branch]) -> int:
    count, pending = 0, list(roots)
    while pending:
        branch = pending.pop()
        count += 1 + len(branch.below)
        pending += branch.children
    return count


def _calm_down(roots: Sequence[Branch]) -> None:
    """Fold siblings that are done into one line, so that what runs or failed stays in sight."""
    pending = list(roots)
    while pending:
        branch = pending.pop()
        calm = [child for child in branch.children if child.mark in _CALM]
        if len(calm) > 1:
            fold = Branch(label=f"… {len(calm):,} done", mark=Mark.FOLDED)
            rest = [child for child in branch.children if child.mark not in _CALM]
            branch.children = [fold, *rest]
        pending += branch.children
        branch.below = branch.below[:1]


def planned_names(flow: Flow) -> list[str]:
    """Return the names of the nodes on the flow's top level, in definition order."""
    names: list[str] = []
    stack: list[Node] = [] if flow.root is None else [flow.root]
    while stack:
        node = stack.pop()
        if isinstance(node, Seq | All):
            stack.extend(reversed(node.children))
        elif isinstance(node, Graph):
            stack.extend(reversed(node.nodes))
        else:
            names.append(node.name)
    return names


def live_terminal(terminal: Terminal) -> Terminal:
    """Return the terminal with one column less, so that a full line never wraps."""
    return terminal._replace(width=max(20, terminal.width - 1))
