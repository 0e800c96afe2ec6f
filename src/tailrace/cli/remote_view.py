"""A run elsewhere, shown as one here is: by its spans, and by what its tasks print and log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from tailrace.cli.live import LiveTree, live_terminal
from tailrace.cli.progress import ProgressLines
from tailrace.cli.remote_lines import RemoteLines
from tailrace.cli.trace_rows import label_of
from tailrace.cli.width import clean
from tailrace.client.telling import Said, Step, steps_of
from tailrace.errors import TailraceError
from tailrace.model.span import Span
from tailrace.model.states import SpanType

if TYPE_CHECKING:
    from tailrace.cli.terminal import Terminal
    from tailrace.client import Run
    from tailrace.client.sync import Client
    from tailrace.model.ids import SpanId

_LATE = 5.0
"""Seconds that the server's index has to catch up with a run that is over."""
_OUTPUT = ("stdout", "stderr")


class SpanPlayer:
    """Plays the spans of a run to a view, in the order in which everything happened.

    The view gets from it what it gets from the engine of a run here.
    """

    def __init__(self, view: LiveTree | ProgressLines) -> None:
        self._view = view
        self._open: dict[SpanId, Span] = {}
        self._places: dict[SpanId, tuple[SpanId | None, SpanType, str]] = {}
        """Parent, type and path of each span that was begun."""
        self._next_said = 0

    @property
    def has_begun(self) -> bool:
        """Whether anything was shown."""
        return bool(self._places)

    def play(self, step: Step) -> None:
        """Show what is new of a step; all of it may have been there before."""
        acts: list[tuple[int, int, int, Callable[[], None]]] = []
        for number, span in enumerate(step.spans):
            acts += self._acts(number, span)
        for said in step.said:
            if said.number >= self._next_said:
                self._next_said = said.number + 1
                acts.append((said.event.time_ns, 1, said.number, partial(self._echo, said)))
        for *_, act in sorted(acts, key=lambda one: one[:3]):
            act()

    def _acts(self, number: int, span: Span) -> Iterator[tuple[int, int, int, Callable[[], None]]]:
        """Yield what a span has to say: when, in which order at that time, and how."""
        place = span.span_id
        known = self._open.get(place)
        if known is None:
            if place in self._places or self._is_of_queue(span):
                return
            self._places[place] = span.parent_id, span.type, _path(span)
            self._open[place] = span
            yield span.start_ns, 0, number, partial(self._view.on_start, span)
        elif span.end_ns is None:
            known.attributes.clear()  # the view looks at them as they change
            known.attributes.update(span.attributes)
        if span.end_ns is not None:
            del self._open[place]
            yield span.end_ns, 2, -number, partial(self._view.on_end, span)

    def _is_of_queue(self, span: Span) -> bool:
        """Whether a span tells of the way of a run to its worker, which a run here has not."""
        if span.type is not SpanType.USER:
            return False
        above = None if span.parent_id is None else self._places.get(span.parent_id)
        return above is None or above[1] is SpanType.RUN

    def _echo(self, said: Said) -> None:
        name, attributes = said.event.name, said.event.attributes
        text = str(attributes.get("message", ""))
        if name == "log":
            text = f"{attributes.get('level', '')} {self._path_of(said.span_id)}: {text}"
        elif name not in _OUTPUT:
            return
        self._view.echo(name, "\n".join(map(clean, text.split("\n"))) + "\n")

    def _path_of(self, place: SpanId | None) -> str:
        while place in self._places:
            place, _, path = self._places[place]
            if path:
                return path
        return ""


def _path(span: Span) -> str:
    if span.type in (SpanType.ATTEMPT, SpanType.USER):
        return ""
    return str(span.attributes.get("tailrace.node.path") or label_of(span))


class RemoteView:
    """Shows a run of a server: as a live tree, else as lines, as ``tailrace run`` does.

    Where the server does not tell of spans, a line per node is shown by its snapshots.

    Args:
        terminal: where to.
        client: the server.
        tree: whether a tree is wanted; there is one only on a terminal.
    """

    def __init__(self, terminal: Terminal, client: Client, *, tree: bool = True) -> None:
        self._terminal = terminal
        self._client = client
        self._wants_tree = tree and terminal.is_tty
        self._snapshots = RemoteLines(terminal)
        self._view: LiveTree | ProgressLines | None = None
        self._thread: threading.Thread | None = None
        self._is_refused = threading.Event()
        self._is_left = threading.Event()
        self._worker = ""
        self._status = ""

    def show(self, run: Run) -> None:
        """Take in how the run stands now."""
        if self._is_refused.is_set():
            self._show_snapshot(run)
            return
        if self._view is None:
            if run.start_time is None:
                return
            self._begin(run)
        if run.worker_id and run.worker_id != self._worker:
            if self._worker:
                self._say(f"{self._worker} is lost; {run.worker_id} goes on")
            self._worker = run.worker_id
        if run.status == "CANCELLING" and run.status != self._status:
            self._say("cancelling")
        self._status = run.status
        if run.is_terminal:
            self._catch_up(run)

    def _begin(self, run: Run) -> None:
        if self._wants_tree:
            names = [*dict.fromkeys(name.partition(".")[0] for name in run.tasks)]
            self._view = LiveTree(live_terminal(self._terminal), run.flow_name, names)
        else:
            self._view = ProgressLines(self._terminal)
        player = SpanPlayer(self._view)
        self._thread = threading.Thread(
            target=self._follow, args=(run.run_id, player), name="tailrace-follow", daemon=True
        )
        self._thread.start()

    def _follow(self, run_id: str, player: SpanPlayer) -> None:
        try:
            for step in steps_of(self._client, run_id):
                if self._is_left.is_set():
                    return
                player.play(step)
        except (TailraceError, RuntimeError) as error:  # httpx: the client was closed meanwhile
            if not player.has_begun:
                self._is_refused.set()
            elif not self._is_left.is_set():
                self._say(f"what happens in the run is told no more: {error}")

    def _catch_up(self, run: Run) -> None:
        """Wait until all was shown that has happened."""
        assert self._thread is not None  # noqa: S101 - the view has begun
        self._thread.join(_LATE)
        is_late = self._thread.is_alive()
        self._is_left.set()
        if self._is_refused.is_set():
            self._show_snapshot(run)
        elif is_late:
            self._say("the server has not told of the last moments of the run yet")

    def _show_snapshot(self, run: Run) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None
        self._snapshots.show(run)

    def _say(self, text: str) -> None:
        if self._view is not None:
            self._view.echo("", self._terminal.style(clean(text), "dim") + "\n")

    def close(self) -> None:
        """Draw the last frame and leave it."""
        self._is_left.set()
        if self._view is not None:
            self._view.close()
