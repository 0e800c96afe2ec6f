"""A Python prompt inside a finished run: the inputs of one node as names."""

from __future__ import annotations

import sys
from code import InteractiveConsole
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tailrace.cli.replay_text import show_nodes

if TYPE_CHECKING:
    from tailrace.cli.terminal import Terminal
    from tailrace.runtime.replay import ReplayedNode


def names_of(node: ReplayedNode) -> dict[str, Any]:
    """Return the names of the prompt: each input, then what is there for every node.

    An input named like one of those is in ``inputs`` alone.
    """
    args, kwargs = node.arguments

    def debug() -> Any:
        """Step through the task with its recorded inputs; it really runs."""
        import pdb  # noqa: PLC0415, T100 - this is what the user asked for

        return pdb.runcall(node.function, *args, **kwargs)

    return {
        **{name: value for name, value in node.inputs.items() if name.isidentifier()},
        "inputs": dict(node.inputs),
        "arguments": node.arguments,
        "task": node.function,
        "output": node.output,
        "failure": node.failure,
        "debug": debug,
    }


def banner_of(node: ReplayedNode, terminal: Terminal) -> str:
    """Return what is said before the first prompt."""
    rows = [
        *show_nodes((node,), terminal, fold=False),
        "",
        "names: the inputs, and inputs, output, failure, task",
        "task(**inputs) and debug() really run the code; nothing else does",
    ]
    return "\n".join(rows)


def open_prompt(names: dict[str, Any], banner: str) -> None:
    """Read and run statements until the input ends; IPython is taken where it is installed.

    In a pipe the statements are those of standard input, and no prompts are written.
    """
    if not sys.stdin.isatty():
        sys.stderr.write(f"{banner}\n")
        _PipedConsole(names).interact(banner="", exitmsg="")
    elif find_spec("IPython") is not None:
        import_module("IPython").embed(user_ns=names, banner1=banner, colors="Neutral")
    else:
        InteractiveConsole(names).interact(banner=banner, exitmsg="")


class _PipedConsole(InteractiveConsole):
    """Reads its statements from standard input as a file."""

    _is_over = False

    def raw_input(self, prompt: str = "") -> str:  # noqa: ARG002 - the console's own signature
        """Return the next line; at the end first an empty one, which closes an open block."""
        line = sys.stdin.readline()
        if line:
            return line.rstrip("\n")
        if self._is_over:
            raise EOFError
        self._is_over = True
        return ""

    def write(self, data: str) -> None:
        """Write tracebacks; the empty lines around a session are left out."""
        if data.strip():
            sys.stderr.write(data)
