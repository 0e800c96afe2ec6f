"""``tailrace describe``: every command with its options, for programs and for the docs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from tailrace.cli.group import LazyGroup, command
from tailrace.cli.json_text import pretty
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Column, render_markdown, render_table
from tailrace.errors.codes import catalogue

EXIT_CODES = {
    0: "done",
    1: "the run failed, or a check found something",
    2: "usage or definition is wrong",
    3: "not found",
    4: "not allowed or not configured",
    5: "store or server unreachable",
    6: "partly done",
    124: "--timeout reached",
    130: "interrupted",
}
_COLUMNS = (Column(title="COMMAND"), Column(title="WHAT IT DOES", flex=True))


@command(name="describe")
@format_option("table", "markdown", "json")
def describe_commands(output: str) -> int:
    """Describe every command; as JSON with all options, exit codes and error codes."""
    context = click.get_current_context().find_root()
    root = context.command
    assert isinstance(root, LazyGroup)  # noqa: S101 - the root of the command line
    commands = list(_walk(root, context, ""))
    terminal = current_session().out
    rows = [(entry["name"], entry["help"].partition("\n")[0]) for entry in commands]
    match output:
        case "json":
            body = {
                "commands": commands,
                "exit_codes": {str(code): text for code, text in EXIT_CODES.items()},
                "error_codes": {code: entry.title for code, entry in catalogue().items()},
            }
            terminal.lines([pretty(body)])
        case "markdown":
            terminal.lines(render_markdown(_COLUMNS, rows))
        case _:
            terminal.lines(render_table(_COLUMNS, rows, terminal))
    return 0


def _walk(
    group: LazyGroup, context: click.Context, prefix: str, *, hidden: bool = False
) -> Iterator[dict[str, Any]]:
    shown = set(group.list_commands(context))
    for name in group.all_commands():
        found = group.get_command(context, name)
        is_hidden = hidden or name not in shown
        if isinstance(found, LazyGroup):
            yield from _walk(found, context, f"{prefix}{name} ", hidden=is_hidden)
        elif found is not None:
            yield _described(f"tailrace {prefix}{name}", found, hidden=is_hidden)


def _described(name: str, found: click.Command, *, hidden: bool) -> dict[str, Any]:
    return {
        "name": name,
        "help": (found.help or "").replace("\b\n", ""),
        "hidden": hidden,
        "arguments": [_argument(p) for p in found.params if isinstance(p, click.Argument)],
        "options": [_option(p) for p in found.params if isinstance(p, click.Option)],
    }


def _argument(parameter: click.Argument) -> dict[str, Any]:
    return {
        "name": parameter.metavar or parameter.name,
        "required": parameter.required,
        "many": parameter.nargs == -1,
    }


def _option(parameter: click.Option) -> dict[str, Any]:
    kind = parameter.type
    return {
        "names": [*parameter.opts, *parameter.secondary_opts],
        "help": parameter.help or "",
        "flag": parameter.is_flag,
        "multiple": parameter.multiple,
        "choices": [str(choice) for choice in kind.choices]
        if isinstance(kind, click.Choice)
        else None,
    }
