"""``tailrace version``."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session
from tailrace.cli.table_text import render_pairs

_PARTS = ("click", "msgspec", "PyYAML", "rich")


@command(name="version")
@format_option("text", "json")
def show_version(output: str) -> int:
    """Show the version of tailrace, Python and the parts it stands on."""
    facts = {"tailrace": version("tailrace"), "python": platform.python_version()}
    facts["platform"] = f"{sys.platform} {platform.machine()}"
    facts |= {name.lower(): _installed(name) for name in _PARTS}
    terminal = current_session().out
    if output == "json":
        terminal.lines([pretty(facts)])
    else:
        terminal.lines(render_pairs(list(facts.items()), terminal))
    return 0


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
