"""``tailrace config``: settings and where each comes from."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Column, render_table
from tailrace.settings import database_for, load_settings

_COLUMNS = (Column(title="SETTING"), Column(title="VALUE", flex=True), Column(title="FROM"))


@command()
@format_option("table", "json")
def show(output: str) -> int:
    """Show every setting, its value and its origin: default, tailrace.toml or TAILRACE_*."""
    settings = load_settings()
    rows: dict[str, tuple[Any, str]] = {
        field.name: (getattr(settings, field.name), settings.origins[field.name])
        for field in fields(settings)
        if field.name in settings.origins
    }
    if settings.db is None:
        rows["db"] = (database_for(Path.cwd(), settings), "default")
    terminal = current_session().out
    if output == "json":
        body = {name: {"value": value, "from": origin} for name, (value, origin) in rows.items()}
        terminal.lines([pretty(body)])
        return 0
    table = [(name, _text(value), origin) for name, (value, origin) in rows.items()]
    terminal.lines(render_table(_COLUMNS, table, terminal))
    return 0


def _text(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return " ".join(value) or "-"
        case _:
            return str(value)
