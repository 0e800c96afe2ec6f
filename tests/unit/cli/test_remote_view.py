"""A run elsewhere is shown by its spans as one here is, else by its snapshots."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from tailrace.cli.progress import ProgressLines
from tailrace.cli.remote_view import RemoteView, SpanPlayer
from tailrace.cli.terminal import Terminal
from tailrace.client import Run
from tailrace.client.sse import Event
from tailrace.client.telling import Said, Step
from tailrace.errors import NotFound
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span, SpanEvent
from tailrace.model.states import SpanStatus, SpanType

ESCAPES = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")
RUN_ID = "ab" * 16
OVER = ("COMPLETED", "FAILED", "CANCELLED")


def span(
    place: str, name: str, kind: SpanType, start: int, end: int | None, **attributes: Any
) -> Span:
    parent = place.rpartition("/")[0]
    return Span(
        trace_id=RunId(RUN_ID),
        span_id=SpanId(place),
        parent_id=SpanId(parent) if parent else None,
        name=name,
        type=kind,
        start_ns=start,
        end_ns=end,
        status=SpanStatus.ERROR if attributes.get("state") == "FAILED" else SpanStatus.UNSET,
        attributes={f"tailrace.{name}": value for name, value in attributes.items()},
    )


def root(end: int | None = None) -> Span:
    return span("r", "run nightly", SpanType.RUN, 1, end, status="COMPLETED" if end else "RUNNING")


def node(name: str, start: int, end: int | None = None) -> list[Span]:
    state = "SUCCEEDED" if end else "RUNNING"
    given = {"state": state, "node.path": name}
    return [
        span(f"r/{name}", f"node {name}", SpanType.NODE, start, end, **given),
        span(f"r/{name}/1", f"attempt {name}", SpanType.ATTEMPT, start, end, attempt=1),
    ]


def said(number: int, place: str, at: int, name: str = "stdout", **attributes: Any) -> Said:
    event = SpanEvent(time_ns=at, name=name, attributes=attributes)
    return Said(number=number, span_id=SpanId(place), event=event)


def played(*steps: Step) -> list[str]:
    stream = io.StringIO()
    player = SpanPlayer(ProgressLines(Terminal(stream=stream, width=80)))
    for step in steps:
        player.play(step)
    return [line.split("  ")[0] for line in stream.getvalue().splitlines()]


def test_what_tasks_say_stands_between_their_nodes_in_the_order_of_time() -> None:
    whole = Step(
        spans=[root(), *node("load", 2, 20), *node("save", 21, 30)],
        said=[
            said(0, "r/save/1", 25, message="saved"),
            said(1, "r/load/1", 5, "log", level="INFO", message="asking"),
            said(2, "r/load/1", 6, "mark", message="of the user's own"),
        ],
    )
    told = ["INFO load: asking", "✔ load", "saved", "✔ save"]
    assert played(whole) == told
    assert played(whole, whole) == told


def test_what_comes_bit_by_bit_is_shown_once() -> None:
    first = Step(spans=[root(), *node("load", 2)], said=[said(0, "r/load/1", 3, message="one")])
    second = Step(spans=node("load", 2, 9), said=[said(1, "r/load/1", 3, message="two")])
    assert played(first, second) == ["one", "two", "✔ load"]


def test_the_way_of_a_run_to_its_worker_is_not_shown() -> None:
    stream = io.StringIO()
    seen: list[str] = []

    class Names(ProgressLines):
        def on_start(self, span: Span) -> None:
            seen.append(span.name)

    player = SpanPlayer(Names(Terminal(stream=stream, width=80)))
    queue = span("r/q", "queue", SpanType.USER, 1, 2)
    own = span("r/load/1/u", "ask", SpanType.USER, 3, 4)
    player.play(Step(spans=[root(), queue, *node("load", 2), own]))
    assert seen == ["run nightly", "node load", "attempt load", "ask"]


def test_signs_that_move_the_cursor_are_not_passed_on() -> None:
    told = played(
        Step(
            spans=[root(), *node("load", 2)],
            said=[said(0, "r/load/1", 3, message="\x1b[31mred\u202e")],
        )
    )
    assert not any("\x1b" in line or "\u202e" in line for line in told)


class Server:
    """Tells steps of a run as a client hears them; none: it knows of no such stream."""

    def __init__(self, steps: Sequence[Step] | None) -> None:
        self._steps = steps

    def events(self, path: str, query: object) -> Iterator[Event]:
        assert path == f"/api/runs/{RUN_ID}/tail"
        assert query
        if self._steps is None:
            raise NotFound("there is no such stream")
        yield Event(kind="heartbeat", data="{}")
        for step in self._steps:
            yield Event(kind="step", data=msgspec.json.encode(step).decode())


def run(status: str = "RUNNING", worker: str = "w1", **tasks: str) -> Run:
    return Run(
        run_id=RUN_ID,
        flow_name="nightly",
        status=status,
        worker_id=worker,
        tasks=tasks,
        start_time=1.0,
        end_time=2.0 if status in OVER else None,
    )


def shown(server: Server, *runs: Run, **terminal: Any) -> list[str]:
    stream = io.StringIO()
    view = RemoteView(
        Terminal(stream=stream, width=60, height=24, unicode=True, **terminal), cast("Any", server)
    )
    for one in runs:
        view.show(one)
    view.close()
    return ESCAPES.sub("", stream.getvalue()).splitlines()


def test_nothing_of_the_end_is_missing_when_the_run_is_over() -> None:
    steps = [
        Step(spans=[root(), *node("load", 2)], is_behind=True),
        Step(said=[said(0, "r/load/1", 3, message="one")]),
        Step(spans=[*node("load", 2, 9), root(10)], is_over=True),
    ]
    lines = shown(Server(steps), run(load="RUNNING"), run("COMPLETED", load="SUCCEEDED"))
    assert [line.split()[:2] for line in lines] == [["one"], ["✔", "load"]]


def test_a_terminal_gets_a_tree_whose_last_frame_stays() -> None:
    steps = [Step(spans=[root(10_000_000), *node("load", 2, 9_000_000)], is_over=True)]
    lines = shown(
        Server(steps), run(load="RUNNING"), run("COMPLETED", load="SUCCEEDED"), is_tty=True
    )
    assert [line.split()[:3] for line in lines[-2:]] == [
        ["✔", "nightly", "10"],
        ["└─", "✔", "load"],
    ]


def test_where_no_spans_are_told_nodes_are_shown_by_their_snapshots() -> None:
    over = run("COMPLETED", load="SUCCEEDED")
    for terminal in ({}, {"is_tty": True}):
        lines = shown(Server(None), run(load="RUNNING"), over, **terminal)
        assert [line.split() for line in lines] == [["✔", "load"]]


def test_a_run_that_waits_shows_nothing_and_a_lost_worker_is_said() -> None:
    waiting = Run(run_id=RUN_ID, flow_name="nightly", tasks={"load": "PENDING"})
    steps = [Step(spans=[root(10)], is_over=True)]
    assert shown(Server(steps), waiting) == []
    lines = shown(Server(steps), run(), run("CANCELLING", worker="w2"), run("CANCELLED", "w2"))
    assert lines == ["w1 is lost; w2 goes on", "cancelling"]
