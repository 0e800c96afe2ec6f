"""``tailrace explain``: what an error code means and how to mend it."""

from __future__ import annotations

import os
from textwrap import wrap

import click

from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Column, render_table
from tailrace.cli.terminal import Terminal
from tailrace.errors import NotFound
from tailrace.errors.codes import Explanation, catalogue, nearest_codes

_LINE = 88


@command(name="explain")
@click.argument("code", required=False)
@click.option("--lang", type=click.Choice(["en", "ja"]), help="Language of the title.")
@format_option("text", "json")
def explain_code(code: str | None, lang: str | None, output: str) -> int:
    """Explain an error code, or list all codes.

    \b
      tailrace explain TR122
      tailrace explain --lang ja
    """  # noqa: D301 - \b is click's mark for lines to keep
    terminal = current_session().out
    japanese = (lang or _language()) == "ja"
    known = catalogue()
    if code is None:
        terminal.lines(_listing(list(known.values()), terminal, output, japanese=japanese))
        return 0
    entry = known.get(code.upper())
    if entry is None:
        raise NotFound(
            f"there is no code {code!r}",
            code="TR003",
            hint=f"near it: {', '.join(nearest_codes(code))}; all: tailrace explain",
        )
    lines = [pretty(_to_dict(entry))] if output == "json" else _text(entry, terminal, japanese)
    terminal.lines(lines)
    return 0


def _language() -> str:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return os.environ[name][:2]
    return "en"


def _title(entry: Explanation, *, japanese: bool) -> str:
    return entry.title_ja if japanese else entry.title


def _text(entry: Explanation, terminal: Terminal, japanese: bool) -> list[str]:  # noqa: FBT001 - one of two languages
    width = min(_LINE, terminal.width)
    return [
        terminal.style(f"{entry.code}: {_title(entry, japanese=japanese)}", "bold"),
        "",
        *wrap(entry.text, width),
        "",
        *wrap(f"Mend: {entry.mend}", width),
    ]


def _listing(
    entries: list[Explanation], terminal: Terminal, output: str, *, japanese: bool
) -> list[str]:
    if output == "json":
        return [pretty([_to_dict(entry) for entry in entries])]
    columns = (Column(title="CODE"), Column(title="MEANING", flex=True))
    rows = [(entry.code, _title(entry, japanese=japanese)) for entry in entries]
    return render_table(columns, rows, terminal)


def _to_dict(entry: Explanation) -> dict[str, str]:
    return {
        "code": entry.code,
        "title": entry.title,
        "title_ja": entry.title_ja,
        "text": entry.text,
        "mend": entry.mend,
    }
