"""``tailrace context``: servers under a name, saved for this user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, counted, say, show_listing
from tailrace.cli.options import format_option
from tailrace.cli.table_text import Column

if TYPE_CHECKING:
    from tailrace.client.contexts import Contexts

_COLUMNS = (
    Column(title="NAME"),
    Column(title="SERVER"),
    Column(title="KEY"),
    Column(title="CURRENT"),
)


@command()
@click.argument("name")
@click.option("--server", metavar="URL", required=True, help="Address of the server.")
@click.option("--api-key", metavar="KEY|-", default="", help="Key for it; - reads a line of stdin.")
@click.option("--api-key-header", default="X-API-Key", show_default=True, help="Carries the key.")
@click.option("--use", is_flag=True, help="Make it the current one.")
def add_context(name: str, server: str, api_key: str, api_key_header: str, *, use: bool) -> int:
    """Save a server under a name; the first one becomes the current one.

    \b
      tailrace context add prod --server https://tailrace.example.com --api-key - < key.txt
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.client import contexts as saved  # noqa: PLC0415 - help needs none of it
    from tailrace.client.target import checked  # noqa: PLC0415 - likewise

    if not name.strip() or name != name.strip():
        raise click.UsageError("a context has a name without spaces around it")
    key = sys.stdin.readline().strip() if api_key == "-" else api_key
    if api_key == "-" and not key:
        raise click.UsageError("standard input has no line with a key")
    file = saved.contexts_file()
    context = saved.Context(server=checked(server), api_key=key, api_key_header=api_key_header)
    changed = saved.load_contexts(file).with_context(name, context)
    changed = changed.using(name) if use else changed
    saved.save_contexts(file, changed)
    current = " and is the current one" if changed.current == name else ""
    say(f"context {name} is saved in {file}{current}")
    return 0


@command()
@click.argument("name")
def use_context(name: str) -> int:
    """Make a context the current one: commands speak to its server."""
    _change(lambda contexts: contexts.using(name))
    say(f"context {name} is the current one")
    return 0


@command()
@format_option(*FORMATS)
def list_contexts(output: str) -> int:
    """List the saved contexts."""
    from tailrace.client import contexts as saved  # noqa: PLC0415 - help needs none of it

    found = saved.load_contexts(saved.contexts_file())
    show_listing(
        sorted(found.contexts.items()),
        output,
        columns=_COLUMNS,
        row=lambda one: (
            one[0],
            one[1].server,
            "yes" if one[1].api_key else "-",
            "*" if one[0] == found.current else "",
        ),
        data=lambda one: {
            "name": one[0],
            "server": one[1].server,
            "has_key": bool(one[1].api_key),
            "current": one[0] == found.current,
        },
        footer=counted(len(found.contexts), "context"),
    )
    return 0


@command()
@click.argument("name")
def remove_context(name: str) -> int:
    """Forget a context and its key."""
    _change(lambda contexts: contexts.without(name))
    say(f"context {name} is forgotten")
    return 0


def _change(changed: Callable[[Contexts], Contexts]) -> None:
    from tailrace.client import contexts as saved  # noqa: PLC0415 - help needs none of it

    file = saved.contexts_file()
    saved.save_contexts(file, changed(saved.load_contexts(file)))
