"""What of an export could not be taken, and why."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field


class Broken(ValueError):  # noqa: N818 - reads as the state it reports
    """An export, or one span of it, that cannot be read; the message says why."""


class Problem(Struct, frozen=True, kw_only=True):
    """A piece of a file that could not be read. ``line`` counts from 1; 0: the file as a whole."""

    line: int
    reason: str


class ReadReport(Struct):
    """What was read so far."""

    spans: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Spans that were left out, by reason."""
    problems: list[Problem] = field(default_factory=list)
    """The first pieces that could not be read."""
    broken: int = 0
    """How many pieces could not be read."""
    line: int = 0
    """The line that is being read; 0: it has no number."""
    first: dict[str, int] = field(default_factory=dict)
    """The line of the first span that was left out, by reason; none where lines have no number."""

    def refuse(self, reason: str) -> None:
        """Count a span that was left out."""
        known = reason in self.refused or len(self.refused) < MAX_REASONS
        self.refused[reason if known else "for other reasons"] += 1
        if known and self.line:
            self.first.setdefault(reason, self.line)

    def add(self, other: ReadReport, lines: int) -> None:
        """Count what another report of the same file has, which began after so many lines."""
        self.spans += other.spans
        self.broken += other.broken
        self.refused.update(other.refused)
        for reason, line in other.first.items():
            self.first.setdefault(reason, line + lines)
        for one in other.problems[: MAX_PROBLEMS - len(self.problems)]:
            line = one.line + lines if one.line else 0
            self.problems.append(Problem(line=line, reason=one.reason))

    def note(self, line: int, reason: str) -> None:
        """Count a piece that could not be read; the first ones are kept."""
        self.broken += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(line=line, reason=reason))


MAX_PROBLEMS = 100
MAX_REASONS = 50
