"""Write the pages of the reference that come from the program itself: ``make reference``.

``docs/reference/cli.md`` comes from ``tailrace describe``, ``errors.md`` from the catalogue of
codes. A test fails when a page is not what this writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

from tailrace.errors.codes import catalogue

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by `make reference`; do not edit. -->"
SHARED = ("--no-color", "--debug")

CLI_HEAD = f"""\
# Command line

{NOTE}

stdout carries the result and nothing else; progress, logs and errors go to stderr. Tables and trees
are for people; `--format json` and `jsonl` are for programs, with whole ids and times in UTC.

- A run is named by its id, by the beginning of it, or as `@last` or `@last-failed`.
- Times are `2h`, `7d`, a date, or an ISO instant. Durations are `250ms`, `5s`, `1.5m`.
- The database is `.tailrace/tailrace.db`, looked for from here upwards; `--db` and `TAILRACE_DB`
  name another.
- Every command has `--help`, `--no-color` and `--debug`. Colour is used on a terminal only.
- `tailrace completion bash`, `zsh` or `fish` prints a completion script.
"""

ERRORS_HEAD = f"""\
# Error codes

{NOTE}

Codes are stable. `tailrace explain CODE` prints the same on the command line.
"""

RANGES = {
    "TR0": "Command line",
    "TR10": "The file and its YAML",
    "TR11": "The file and its YAML",
    "TR12": "The graph and its structure",
    "TR13": "The graph and its structure",
    "TR14": "Expressions",
    "TR15": "Binding",
    "TR16": "Tasks, modules and plug-ins",
    "TR17": "Policy",
    "TR18": "Params and inputs of a run",
    "TR19": "Settings",
    "TR2": "Queries",
    "TR3": "Runs",
    "TR4": "Transport",
    "TR5": "The database",
}


def pages() -> dict[str, str]:
    """Return the text of every generated page by its file name."""
    command = [sys.executable, "-m", "tailrace", "describe", "--format", "json"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - ourselves
    return {"cli.md": cli_page(json.loads(answer.stdout)), "errors.md": errors_page()}


def cli_page(described: Mapping[str, Any]) -> str:
    """Return the page of all commands."""
    lines = [CLI_HEAD, "## Exit codes", "", "| code | meaning |", "|---:|---|"]
    lines += [f"| {code} | {text} |" for code, text in described["exit_codes"].items()]
    lines += ["", "## Commands"]
    hidden = [entry["name"] for entry in described["commands"] if entry["hidden"]]
    for entry in described["commands"]:
        if not entry["hidden"]:
            lines += ["", *_command(entry)]
    if hidden:
        names = ", ".join(f"`{name}`" for name in hidden)
        lines += ["", "## Second names", "", f"These work as well: {names}."]
    return "\n".join(lines) + "\n"


def _command(entry: Mapping[str, Any]) -> Iterator[str]:
    arguments = "".join(
        f" {argument['name']}{'...' if argument['many'] else ''}"
        if argument["required"]
        else f" [{argument['name']}]{'...' if argument['many'] else ''}"
        for argument in entry["arguments"]
    )
    yield f"### {entry['name']}"
    yield ""
    yield from _prose(f"    {entry['name']}{arguments}", entry["help"])
    options = [option for option in entry["options"] if option["names"][0] not in SHARED]
    if options:
        yield ""
        yield from _options(options)


def _prose(usage: str, text: str) -> Iterator[str]:
    """Yield the usage and the help; indented lines of examples become a code block."""
    yield "```text"
    yield usage.strip()
    yield "```"
    in_code = False
    for line in ["", *cleandoc(text).splitlines()]:
        indented = line.startswith("  ")
        if indented != in_code:
            yield "```text" if indented else "```"
            in_code = indented
        yield line.strip() if in_code else line
    if in_code:
        yield "```"


def _options(options: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| option | meaning |"
    yield "|---|---|"
    for option in options:
        names = ", ".join(f"`{name}`" for name in option["names"])
        choices = f" ({', '.join(option['choices'])})" if option["choices"] else ""
        many = " Repeatable." if option["multiple"] else ""
        meaning = f"{option['help']}{many}".replace("|", "\\|")
        yield f"| {names}{choices} | {meaning} |"


def errors_page() -> str:
    """Return the page of all codes, by range."""
    lines = [ERRORS_HEAD]
    shown = ""
    for code, entry in catalogue().items():
        title = next(title for start, title in RANGES.items() if code.startswith(start))
        if title != shown:
            lines += [f"## {title}", ""]
            shown = title
        lines += [f"### {code}: {entry.title}", "", entry.text, "", f"Mend: {entry.mend}", ""]
    return "\n".join(lines)


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(f"wrote docs/reference/{name}")  # noqa: T201 - the voice of a script


if __name__ == "__main__":
    main()
