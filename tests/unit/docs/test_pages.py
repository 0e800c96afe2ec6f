"""The docs tell the truth: their code runs, their output is real, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from processes import tailrace

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    page
    for folder in (".", "docs", "examples")
    for page in sorted((ROOT / folder).glob("*.md" if folder == "." else "**/*.md"))
]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w./-]+\.(?:py|yaml|toml))\n")
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
EXIT = re.compile(r"\s+# exit (\d+)$")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file it stands for, named in its first line."""
        found = FILE_NAME.match(self.text)
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text("utf-8"))]


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block, the exit code it promises and the output it shows."""

    line: str
    code: int
    shown: list[str]


def commands_of(block: Block) -> list[Command]:
    commands: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            exits = EXIT.search(line)
            text = line[2:].partition("  #")[0].strip()
            commands.append(Command(text, int(exits[1]) if exits else 0, []))
        elif line.strip() and commands:
            commands[-1].shown.append(line)
    return commands


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples, in which a reader of the docs sits."""
    shutil.copytree(
        ROOT / "examples",
        tmp_path / "examples",
        ignore=shutil.ignore_patterns("__pycache__", ".tailrace", "logs"),
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for variable in [name for name in os.environ if name.startswith(("TAILRACE_", "GITHUB_"))]:
        monkeypatch.delenv(variable)
    return tmp_path


PAGES_WITH_CODE = [
    page
    for page in PAGES
    if any(block.language in {"python", "console"} for block in blocks_of(page))
]


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name_of)
def test_what_a_page_shows_runs_and_gives_what_it_says(page: Path, desk: Path) -> None:
    blocks = blocks_of(page)
    for block in blocks:
        if block.file is not None:
            (desk / block.file).parent.mkdir(parents=True, exist_ok=True)
            (desk / block.file).write_text(block.text, "utf-8")
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        if block.file is not None:
            continue
        if block.language == "python":
            exec(compile(block.text, name_of(page), "exec"), namespace)  # noqa: S102 - the docs' own code
        elif block.language == "console":
            for command in commands_of(block):
                check_command(command, desk)


def check_command(command: Command, desk: Path) -> None:
    words = shlex.split(command.line)
    if words[0] != "tailrace":
        return  # make, git and the like are not run here
    done = tailrace(desk, *words[1:], more={"COLUMNS": "80"})
    output = done.stdout + done.stderr
    assert done.returncode == command.code, f"$ {command.line}\n{output}"
    real = {plain(line) for line in output.splitlines()}
    missing = [line for line in command.shown if line.strip() != "…" and plain(line) not in real]
    assert not missing, f"$ {command.line}\nnot in the output: {missing}\n{output}"


def plain(line: str) -> str:
    """Return a line without what differs from run to run: ids, times, durations, bars, paths."""
    line = re.sub(r"\b[0-9a-f]{32}\b", "ID", line)
    line = re.sub(r"\b(F|DL|B)-[0-9A-HJKMNP-TV-Z]{26}\b", r"\1-ID", line)
    line = re.sub(
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d{4}| [A-Z]{3,4}|Z)?", "TIME", line
    )
    line = re.sub(r"\d[\d.,]* ?(µs|ms|s|min)\b", "SPAN", line)
    line = re.sub(r"\b\d+ % of", "N % of", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
    line = re.sub(r"[█░·▏▎▍▌▋▊▉]{2,}", "BAR", line)
    line = re.sub(r"(/[\w.-]+)+/artifacts/", "…/artifacts/", line)
    return " ".join(line.split())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    prose = FENCE.sub("", page.read_text("utf-8"))
    broken = [link for link in LINK.findall(prose) if not leads_somewhere(page, link)]
    assert not broken


def leads_somewhere(page: Path, link: str) -> bool:
    if "://" in link or link.startswith("mailto:"):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or unquote(anchor) in set(anchors_of(target))


def anchors_of(page: Path) -> Iterator[str]:
    """Yield the anchors that forges make of headings."""
    for heading in HEADING.findall(FENCE.sub("", page.read_text("utf-8"))):
        text = re.sub(r"[`*]", "", heading).strip().lower()
        yield re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
            target = (page.parent / link.partition("#")[0]).resolve()
            target = target / "README.md" if target.is_dir() else target
            if target.is_file():
                waiting.append(target)
    unreached = [name_of(page) for page in PAGES if page not in reached]
    assert not unreached


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ("✓ read   12 ms", "✓ read  3.4 ms"),
        ("run 0197d6a4c7f87e1ab0c9d2e3f4a5b6c7", "run ffffffffffffffffffffffffffffffff"),
        ("started 2026-11-21 07:58:02 +0900", "started 2025-01-02 03:04:05 UTC"),
    ],
)
def test_ids_times_and_durations_may_differ_from_run_to_run(shown: str, real: str) -> None:
    assert plain(shown) == plain(real)


def test_other_differences_count() -> None:
    assert plain("✓ read 12 ms") != plain("✓ write 12 ms")
