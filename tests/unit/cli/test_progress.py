from collections.abc import Callable
from typing import Any

from tailrace.cli.live import LiveTree
from tailrace.cli.progress import ProgressLines
from tailrace.cli.terminal import Terminal
from tailrace.model import RunStatus
from tailrace.tracing.spans import Spans

Screen = Callable[..., Terminal]


def show(journal: Any, tracer: Any) -> None:
    """Hand the records over one by one, as a run does."""
    spans = Spans(keep=False)
    for record in journal.records:
        changes = spans.apply([record])
        for span in changes.started:
            tracer.on_start(span)
        for span in changes.ended:
            tracer.on_end(span)


def lines_of(journal: Any, terminal: Terminal) -> list[str]:
    tracer = ProgressLines(terminal)
    show(journal, tracer)
    tracer.close()
    return str(terminal.stream.getvalue()).splitlines()  # type: ignore[attr-defined]  # a StringIO


def test_every_finished_node_is_one_line(journal: Any, screen: Screen) -> None:
    journal.node("fetch")
    journal.node("transform", failure=journal.failure)
    journal.skip("load", "needs transform")
    journal.end(RunStatus.FAILED)
    lines = lines_of(journal, screen())
    assert [line.split()[:2] for line in lines] == [
        ["✔", "fetch"],
        ["✘", "transform"],
        ["⏭", "load"],
    ]
    assert lines[0].endswith("1.0 ms")
    assert lines[1].endswith("ValueError: bad row 17")
    assert lines[2].endswith("skipped: needs transform")


def test_a_retry_is_said_when_it_begins(journal: Any, screen: Screen) -> None:
    spans = journal.retry(journal.start("transform"))
    journal.finish(spans)
    lines = lines_of(journal, screen())
    assert lines[0].endswith("attempt 2 of 3 after 0.5 s: ValueError")
    assert lines[1].endswith("2 attempts")


def test_a_loop_does_not_flood_the_terminal(journal: Any, screen: Screen) -> None:
    loop = journal.open("container", "foreach", "each")
    for index in range(1_000):
        iteration = journal.open("iteration", "foreach", f"each[{index}]", loop)
        failure = journal.failure if index == 900 else None
        journal.finish(journal.start("load", iteration, f"each[{index}].load"), failure)
        journal.close(iteration, failure)
    journal.close(loop, count=1_000)
    lines = lines_of(journal, screen())
    assert len(lines) == 8
    assert lines[4].startswith("✔ each[4].load")
    assert "each[].load" in lines[5]
    assert lines[6].startswith("✘ each[900].load")
    assert lines[7].endswith("foreach · 1,000 iterations")


def test_what_tasks_print_stays_on_the_same_stream(journal: Any, screen: Screen) -> None:
    terminal = screen()
    ProgressLines(terminal).echo("stdout", "hello\n")
    assert terminal.stream.getvalue() == "hello\n"  # type: ignore[attr-defined]  # a StringIO


def test_a_line_that_a_task_left_open_is_ended_first(journal: Any, screen: Screen) -> None:
    terminal = screen()
    tracer = ProgressLines(terminal)
    tracer.echo("stdout", "50 %")
    journal.node("fetch")
    show(journal, tracer)
    assert terminal.stream.getvalue().startswith("50 %\n✔ fetch")  # type: ignore[attr-defined]  # a StringIO


def test_the_live_tree_leaves_its_last_frame(journal: Any, screen: Screen) -> None:
    terminal = screen(is_tty=True)
    tracer = LiveTree(terminal, "nightly")
    journal.node("fetch")
    journal.end()
    show(journal, tracer)
    tracer.close()
    last = terminal.stream.getvalue().rpartition("\x1b[?7l")[2]  # type: ignore[attr-defined]  # a StringIO
    assert "✔ nightly" in last
    assert "✔ fetch" in last


def test_the_live_tree_forgets_iterations_that_went_well(journal: Any, screen: Screen) -> None:
    tracer = LiveTree(screen(is_tty=True), "nightly")
    loop = journal.open("container", "foreach", "each")
    for index in range(500):
        iteration = journal.open("iteration", "foreach", f"each[{index}]", loop)
        journal.node("load", iteration)
        journal.close(iteration)
    show(journal, tracer)
    assert any("500 done" in line for line in tracer.frame(journal.now))
    assert len(tracer._spans) == 2
    tracer.close()


def test_the_live_tree_shows_progress_with_rate_and_time_left(journal: Any, screen: Screen) -> None:
    tracer = LiveTree(screen(is_tty=True), "nightly")
    spans = journal.start("map_prices")
    journal.progress(spans[1], 60, 120)
    show(journal, tracer)
    (line,) = [line for line in tracer.frame(journal.now) if "map_prices" in line]
    assert line.count("━") == line.count("─") - 1 == 12
    assert "left" in line
    assert "60/120" in line
    tracer.close()


def test_nodes_to_come_are_shown_until_they_start(journal: Any, screen: Screen) -> None:
    tracer = LiveTree(screen(is_tty=True), "nightly", ["fetch", "load"])
    journal.start("fetch")
    show(journal, tracer)
    lines = tracer.frame(journal.now)
    assert lines[1].startswith("├─ ● fetch")
    assert lines[2] == "└─ ○ load"
    tracer.close()


def test_the_live_tree_never_grows_over_the_terminal(journal: Any, screen: Screen) -> None:
    tracer = LiveTree(screen(is_tty=True, height=10), "nightly")
    group = journal.open("container", "all", "all")
    for index in range(50):
        journal.node(f"done_{index}", group)
    journal.start("slow", group)
    show(journal, tracer)
    lines = tracer.frame(journal.now)
    assert len(lines) <= 8
    assert any("slow" in line for line in lines)
    assert any("50 done" in line for line in lines)
    tracer.close()
