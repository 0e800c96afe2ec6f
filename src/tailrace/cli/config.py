"""``tailrace config``: settings and where each comes from."""

from __future__ import annotations

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
        name: (settings.shown(name), origin) for name, origin in settings.origins.items()
    }
    rules, origin = rows["failures.rules"]
    rows["failures.rules"] = ([rule.as_table() for rule in rules], origin)
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
        case tuple() | list() if not value:
            return "-"
        case tuple():
            return " ".join(value)
        case list():
            return "; ".join(
                " ".join(f"{key}={one}" for key, one in table.items()) for table in value
            )
        case "":
            return "-"
        case _:
            return str(value)
