from collections.abc import Callable
from typing import Any

from tailrace.cli.rich_tree import print_tree, rich_tree
from tailrace.cli.terminal import Terminal

Screen = Callable[..., Terminal]


def test_names_are_never_read_as_markup(journal: Any, screen: Screen) -> None:
    for name in ("[red]boom[/red]", "array[int]", "[/red]"):
        journal.node(name)
    journal.end()
    terminal = screen(80)
    print_tree(journal.trace(), terminal)
    out = terminal.stream.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert all(name in out for name in ("[red]boom[/red]", "array[int]", "[/red]"))
    assert "\x1b" not in out


def test_the_tree_has_the_shape_of_the_run(journal: Any, screen: Screen) -> None:
    loop = journal.open("container", "repeat", "three")
    for index in range(3):
        iteration = journal.open("iteration", "repeat", f"three[{index}]", loop)
        journal.node("step", iteration)
        journal.close(iteration)
    journal.close(loop, count=3)
    journal.end()
    tree = rich_tree(journal.trace(), screen())
    (run,) = tree.children
    (three,) = run.children
    assert len(three.children) == 3
    assert [len(iteration.children) for iteration in three.children] == [1, 1, 1]


def test_the_reason_of_a_failure_stands_under_it(journal: Any, screen: Screen) -> None:
    journal.node("bad", failure=journal.failure)
    journal.end()
    terminal = screen(80)
    print_tree(journal.trace(), terminal)
    out = terminal.stream.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "ValueError: bad row 17" in out
