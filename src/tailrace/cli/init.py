"""``tailrace init``: a first flow to start from."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tailrace.cli.group import command
from tailrace.cli.session import current_session

_FLOW = """\
# yaml-language-server: $schema=.tailrace/flow.schema.json
version: 1
name: hello
tasks:
  greet:
    callable: "tasks:greet"
  shout:
    callable: "tasks:shout"
    policy: {timeout: "5s", retry: {max_attempts: 2, delay: "200ms"}}
flow:
  defaults: {names: [Ada, Grace]}
  graph: |
    greet >> shout
"""

_TASKS = '''\
"""Tasks of the flow in flow.yaml: plain functions."""


def greet(names: list[str]) -> list[str]:
    """Return one greeting per name; ``names`` is a param of the flow."""
    return [f"Hello, {name}" for name in names]


def shout(greet: list[str]) -> str:
    """Return all greetings, loudly; ``greet`` is the result of the node of that name."""
    return "! ".join(greet).upper() + "!"
'''


@command(name="init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def write_first_flow(folder: Path) -> int:
    """Write flow.yaml and tasks.py into FOLDER (here by default) and say how to run them.

    The JSON Schema goes along, so that an editor completes and checks flow.yaml.
    Files that exist are never overwritten.
    """
    from tailrace.flows.schema import json_schema  # noqa: PLC0415 - help needs no schema

    schema = json.dumps(json_schema(), ensure_ascii=False, indent=2) + "\n"
    files = {
        folder / "flow.yaml": _FLOW,
        folder / "tasks.py": _TASKS,
        folder / ".tailrace" / "flow.schema.json": schema,
    }
    present = [str(path) for path in list(files)[:2] if path.exists()]
    if present:
        raise click.UsageError(
            f"{' and '.join(present)} already there, and nothing is overwritten;"
            " name another folder: tailrace init FOLDER"
        )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    terminal = current_session().out
    terminal.lines(
        [
            f"wrote {folder / 'flow.yaml'} and {folder / 'tasks.py'}",
            f"next: tailrace run {folder / 'flow.yaml'}",
        ]
    )
    return 0
