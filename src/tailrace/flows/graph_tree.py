"""What ``graph:`` text says, before names are looked up: terms with their places."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.flows.graph_tokens import Kind, Token
from tailrace.flows.passage import Passage
from tailrace.model import SourceSpan


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """An argument or a case key, as written."""

    token: Token
    passage: Passage

    @property
    def kind(self) -> Kind:
        """What it is written as."""
        return self.token.kind

    @property
    def text(self) -> str:
        """What it says, without quotes and braces."""
        return self.token.text

    @property
    def where(self) -> SourceSpan:
        """Where it stands."""
        return self.passage.span(self.token.start, self.token.end)


@dataclass(frozen=True, slots=True, eq=False)
class TaskTerm:
    """``task``, or ``name: task``."""

    task: str
    name: str
    """Empty: the task's own."""
    where: SourceSpan


@dataclass(frozen=True, slots=True, eq=False)
class PipeTerm:
    """``pipe(name)``."""

    pipe: str
    where: SourceSpan


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """``(a & b)`` or ``(a | b)``. ``is_race``: the first success wins."""

    members: tuple[Pipeline, ...]
    is_race: bool
    name: str
    where: SourceSpan


@dataclass(frozen=True, slots=True, eq=False)
class CaseTerm:
    """One branch of a switch."""

    key: Value
    body: Pipeline


@dataclass(frozen=True, slots=True, eq=False)
class SwitchTerm:
    """``switch(on=…){ key: branch; default: branch }``."""

    on: Value
    cases: tuple[CaseTerm, ...]
    default: Pipeline | None
    name: str
    where: SourceSpan


@dataclass(frozen=True, slots=True, eq=False)
class LoopTerm:
    """``repeat``, ``foreach`` or ``until``: ``kind(arguments){ body }``."""

    kind: str
    arguments: dict[str, Value]
    body: Pipeline
    name: str
    where: SourceSpan


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """Terms one after the other; also a term, in parentheses."""

    terms: tuple[Term, ...]
    where: SourceSpan


Term = TaskTerm | PipeTerm | Group | SwitchTerm | LoopTerm | Pipeline
