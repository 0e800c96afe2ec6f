"""Regular expressions matched in linear time, for texts and patterns that ``re`` may hang on.

The pattern is the one that ``regex`` writes for ``re``. It becomes instructions (Thompson), and
these a deterministic automaton of which only the states that texts lead to are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, prod

from tailrace.errors import QueryError
from tailrace.traceql.budget import Budget

_ATOM = re.compile(
    r"(?P<look>\\A|\\Z|\(\?m:[\^$]\)|\(\?a:\\b\)|\(\?a:\(\?!\\b\)\))"
    r"|(?P<never>\(\?!\))"
    r"|(?P<any>\(\?s:\.\))"
    r"|(?P<one>\(\?i:(?:\[[^\]]*\]|\\.|.)\)|\[[^\]]*\]|\\.|[^()|])"
    r"|(?P<open>\(\?:)",
    re.DOTALL,
)
_MARK = re.compile(r"[*+?]|\{(\d+)(?:(,)(\d*))?\}")
_MOST_INSTRUCTIONS = 200_000
_MOST_TRANSITIONS = 50_000
_MOST_TRIED = 8
"""Repetitions of something with choices, beyond which their number is not counted any more."""


@dataclass(frozen=True, slots=True)
class One:
    """One character; ``atom`` is a pattern for it, empty: none fits."""

    atom: str


@dataclass(frozen=True, slots=True)
class Look:
    """A place between characters."""

    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """One part after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any of the parts."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part repeated; ``most`` None: without end."""

    part: Part
    least: int
    most: int | None


Part = One | Look | Row | Choice | Repeat
ANY = One("(?s:.)")


def read(pattern: str) -> Part:
    """Return the parts of a pattern as ``regex`` writes it."""
    part, _ = _alternatives(pattern, 0)
    return part


def _alternatives(pattern: str, at: int) -> tuple[Part, int]:
    branches: list[list[Part]] = [[]]
    while at < len(pattern) and pattern[at] != ")":
        if pattern[at] == "|":
            branches.append([])
            at += 1
            continue
        part, at = _one_part(pattern, at)
        branches[-1].append(part)
    rows = [branch[0] if len(branch) == 1 else Row(tuple(branch)) for branch in branches]
    return (rows[0] if len(rows) == 1 else Choice(tuple(rows))), at


def _one_part(pattern: str, at: int) -> tuple[Part, int]:
    found = _ATOM.match(pattern, at)
    assert found is not None  # noqa: S101 - the pattern was written by us
    at = found.end()
    if found["look"]:
        return Look(found["look"]), at
    if found["never"]:
        return One(""), at
    if not found["open"]:
        return One(found.group()), at
    part, at = _alternatives(pattern, at)
    at += 1
    mark = _MARK.match(pattern, at)
    if mark is None:
        return part, at
    return _repeat(part, mark), mark.end()


def _repeat(part: Part, mark: re.Match[str]) -> Repeat:
    match mark.group():
        case "*":
            return Repeat(part, 0, None)
        case "+":
            return Repeat(part, 1, None)
        case "?":
            return Repeat(part, 0, 1)
    least = int(mark[1])
    most = int(mark[3]) if mark[3] else (None if mark[2] else least)
    return Repeat(part, least, most)


def ways(part: Part, length: int) -> float:
    """Return about how many ways there are to try a pattern on a text of some length."""
    match part:
        case One() | Look():
            return 1
        case Choice(parts):
            return sum(ways(one, length) for one in parts)
        case Row(parts):
            tried = parts[:-1] if parts and parts[-1] == Repeat(ANY, 0, None) else parts
            return prod(ways(one, length) for one in tried)
        case Repeat(inner, least, most):
            each = ways(inner, length)
            last = length if most is None else min(most, length)
            if each <= 1:
                return max(1, last - least + 1)
            return each**last * 2 if last <= _MOST_TRIED else inf


class Automaton:
    """A pattern ready to be matched against whole texts."""

    def __init__(self, part: Part) -> None:
        self._program = _Program()
        self._program.add(part)
        self._program.end()
        self._states: dict[tuple[frozenset[int], int], _State] = {}
        self._transitions = 0

    def matches(self, text: str, budget: Budget) -> bool:
        """Return whether a whole text matches.

        Raises:
            OutOfBudget: it takes more than the query may cost.
        """
        budget.spend(len(text))
        state = self._state(frozenset({0}), _START)
        for character in text:
            following = state.get(character)
            if following is None:
                following = self._step(state, character, budget)
            if not following.kernel:
                return False
            state = following
        if state.accepts is None:
            state.accepts = self._program.last in self._closure(state, None)
        return state.accepts

    def _state(self, kernel: frozenset[int], context: int) -> _State:
        key = kernel, context
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _State(kernel, context)
        return state

    def _step(self, state: _State, character: str, budget: Budget) -> _State:
        open_places = self._closure(state, character)
        budget.spend(len(open_places))
        if self._transitions > _MOST_TRANSITIONS:
            self._states.clear()
            self._transitions = 0
        fits = self._program.fits
        kernel = frozenset(at + 1 for at in open_places if fits(at, character))
        following = self._state(kernel, _context(character) if self._program.looks else 0)
        state[character] = following
        self._transitions += 1
        return following

    def _closure(self, state: _State, following: str | None) -> set[int]:
        """Return the instructions that a state leads to before the next character."""
        program = self._program
        seen: set[int] = set()
        waiting = list(state.kernel)
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            waiting += program.after(at, state.context, following)
        return seen


class _State(dict[str, "_State"]):
    """Instructions before a character, with the states that characters lead to."""

    __slots__ = ("accepts", "context", "kernel")

    def __init__(self, kernel: frozenset[int], context: int) -> None:
        self.kernel = kernel
        self.context = context
        self.accepts: bool | None = None


_START, _WORD, _LINE, _OTHER = range(4)


def _context(character: str) -> int:
    if character == "\n":
        return _LINE
    return _WORD if character.isascii() and (character.isalnum() or character == "_") else _OTHER


class _Program:
    """Instructions: a character, a place to look at, or where to go on."""

    def __init__(self) -> None:
        self._steps: list[str | Look | list[int]] = []
        self._tests: dict[str, Callable[[str], object]] = {}
        self.looks = False
        self.last = 0

    def end(self) -> None:
        """Add the instruction that stands for a match."""
        self.last = len(self._steps)
        self._steps.append([])

    def fits(self, at: int, character: str) -> bool:
        """Return whether an instruction is a character that this one fits."""
        step = self._steps[at]
        return isinstance(step, str) and bool(step) and self._tests[step](character) is not None

    def after(self, at: int, context: int, following: str | None) -> Sequence[int]:
        """Return where an instruction leads without a character."""
        step = self._steps[at]
        if isinstance(step, list):
            return step
        if isinstance(step, Look):
            return (at + 1,) if _looks(step.kind, context, following) else ()
        return ()

    def add(self, part: Part) -> None:
        """Add the instructions of a part."""
        steps = self._steps
        if len(steps) > _MOST_INSTRUCTIONS:
            hint = "Take smaller counts in {…}."
            raise QueryError("the regular expression is too large", code="TR205", hint=hint)
        match part:
            case One(atom):
                steps.append(atom)
                if atom and atom not in self._tests:
                    self._tests[atom] = re.compile(atom).fullmatch
            case Look():
                self.looks = True
                steps.append(part)
            case Row(parts):
                for one in parts:
                    self.add(one)
            case Choice(parts):
                self._choice(parts)
            case Repeat():
                self._repeat(part)

    def _choice(self, parts: Sequence[Part]) -> None:
        fork: list[int] = []
        self._steps.append(fork)
        ends: list[list[int]] = []
        for one in parts:
            fork.append(len(self._steps))
            self.add(one)
            end: list[int] = []
            ends.append(end)
            self._steps.append(end)
        for end in ends:
            end.append(len(self._steps))

    def _repeat(self, part: Repeat) -> None:
        for _ in range(part.least):
            self.add(part.part)
        if part.most is None:
            fork = [len(self._steps) + 1]
            start = len(self._steps)
            self._steps.append(fork)
            self.add(part.part)
            self._steps.append([start])
            fork.append(len(self._steps))
            return
        forks: list[list[int]] = []
        for _ in range(part.most - part.least):
            skip = [len(self._steps) + 1]
            forks.append(skip)
            self._steps.append(skip)
            self.add(part.part)
        for skip in forks:
            skip.append(len(self._steps))


def _looks(kind: str, context: int, following: str | None) -> bool:
    match kind:
        case "\\A":
            return context == _START
        case "\\Z":
            return following is None
        case "(?m:^)":
            return context in (_START, _LINE)
        case "(?m:$)":
            return following is None or following == "\n"
    border = (context == _WORD) != (following is not None and _context(following) == _WORD)
    return border == (kind == "(?a:\\b)")
