"""A trace as a ``rich.tree.Tree``. Names of users travel as ``Text``, never as markup."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from tailrace.cli.clock_text import duration
from tailrace.cli.trace_rows import Branch, Mark, View, build_branches
from tailrace.cli.width import clean

if TYPE_CHECKING:
    from tailrace.cli.terminal import Terminal
    from tailrace.model.span import Trace

_STYLES = {Mark.DONE: "green", Mark.FAILED: "red", Mark.TIMEOUT: "red", Mark.RUNNING: "cyan"}


def rich_tree(trace: Trace, terminal: Terminal) -> Tree:
    """Return the tree of a run, folded like ``trace show``."""
    root = Tree(Text(f"{clean(trace.run.flow)}  {trace.run.run_id}", "bold"))
    pending = [(root, branch) for branch in reversed(build_branches(trace, View()))]
    while pending:
        parent, branch = pending.pop()
        grown = parent.add(_line(branch, terminal))
        pending += [(grown, child) for child in reversed(branch.children)]
    return root


def print_tree(trace: Trace, terminal: Terminal) -> None:
    """Write the tree to the terminal's stream."""
    console = Console(
        file=terminal.stream, width=terminal.width, no_color=not terminal.color, highlight=False
    )
    console.print(rich_tree(trace, terminal))


def _line(branch: Branch, terminal: Terminal) -> Text:
    mark = getattr(terminal.marks, branch.mark)
    line = Text(f"{mark} ", _STYLES.get(branch.mark, "dim"))
    line.append(clean(branch.label), "default")
    span = branch.span
    if span is not None and branch.mark is not Mark.SKIPPED:
        end = span.end_ns if span.end_ns is not None else time.time_ns()
        line.append(f"  {duration(max(0, end - span.start_ns))}", "dim")
    if branch.note:
        line.append(f"  {clean(branch.note)}", "dim")
    for text in branch.below:
        line.append(f"\n  {clean(text)}", "red")
    return line
