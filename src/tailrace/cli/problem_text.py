"""How one problem looks: a headline, the place with a caret, the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells, clean, cut

if TYPE_CHECKING:
    from tailrace.model import SourceSpan

_TAB = "    "
_COLORS = {"error": "bold red", "warning": "bold yellow"}


class Problem(NamedTuple):
    """An error or a warning, ready to be told."""

    code: str
    message: str
    severity: str = "error"
    hint: str = ""
    where: SourceSpan | None = None
    subject: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it for programs; lines and columns count from 1."""
        body: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "hint": self.hint,
            "subject": self.subject,
        }
        if self.where is not None:
            body |= {
                "file": self.where.file,
                "line": self.where.line,
                "column": self.where.column,
                "end_line": self.where.end_line,
                "end_column": self.where.end_column,
            }
        return body


def render_problem(problem: Problem, terminal: Terminal) -> list[str]:
    """Return the lines of one problem: headline, source line with a caret, help."""
    label = f"{problem.severity}[{problem.code}]"
    headline, *more = problem.message.split("\n")
    lines = [f"{terminal.style(label, _COLORS[problem.severity])}: {clean(headline)}"]
    gutter = 2
    if problem.where is not None:
        gutter = len(str(problem.where.line))
        lines += _place(problem.where, gutter, terminal)
    lines += [f"{' ' * gutter} | {clean(line)}" for line in more]
    if problem.hint:
        first, *rest = problem.hint.split("\n")
        lines.append(f"{' ' * gutter} {terminal.style('= help:', 'cyan')} {clean(first)}")
        lines += [f"{' ' * gutter}         {clean(line)}" for line in rest]
    return lines


def _place(where: SourceSpan, gutter: int, terminal: Terminal) -> list[str]:
    margin = " " * gutter
    arrow = terminal.style("-->", "blue")
    lines = [f"{margin}{arrow} {clean(str(where))}"]
    if not where.text.strip():
        return lines
    start = max(0, where.column - 1)
    end = where.end_column - 1 if where.end_line == where.line else len(where.text)
    room = max(20, terminal.width - gutter - 3)
    before, marked, after = _window(where.text, start, max(end, start + 1), room)
    bar = terminal.style("|", "blue")
    caret = terminal.style("^" * max(1, cells(marked)), "bold red")
    return [
        *lines,
        f"{margin} {bar}",
        f"{where.line} {bar} {before}{marked}{after}".rstrip(),
        f"{margin} {bar} {' ' * cells(before)}{caret}",
    ]


def _window(text: str, start: int, end: int, room: int) -> tuple[str, str, str]:
    """Return what stands before, in and after the marked part, cut so that the mark is seen."""
    before, marked, after = (
        clean(part.replace("\t", _TAB)) for part in (text[:start], text[start:end], text[end:])
    )
    marked = cut(marked, room)
    spare = room - max(1, cells(marked))  # the caret takes a cell also where nothing is marked
    if cells(before) > spare:
        while before and cells(before) + 3 > spare // 2:
            before = before[1:]
        before = f"...{before}"
    return before, marked, cut(after, max(0, spare - cells(before)), ellipsis="...")


def annotation(problem: Problem) -> str:
    """Return the problem as a workflow command of GitHub Actions."""
    fields = [f"title={_escape(problem.code, in_field=True)}"]
    if problem.where is not None:
        fields = [
            f"file={_escape(problem.where.file, in_field=True)}",
            f"line={problem.where.line}",
            f"col={problem.where.column}",
            *fields,
        ]
    text = problem.message + (f"\n{problem.hint}" if problem.hint else "")
    return f"::{problem.severity} {','.join(fields)}::{_escape(text)}"


def _escape(text: str, *, in_field: bool = False) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if in_field else escaped
