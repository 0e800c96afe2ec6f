"""What ``graph:`` text says, before names are looked up: terms with their places."""

from __future__ import annotations

from msgspec import Struct

from tailrace.flows.graph_tokens import Kind, Token
from tailrace.flows.passage import Passage
from tailrace.model import SourceSpan


class Value(Struct, frozen=True, eq=False):
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


class TaskTerm(Struct, frozen=True, eq=False):
    """``task``, or ``name: task``."""

    task: str
    name: str
    """Empty: the task's own."""
    where: SourceSpan


class PipeTerm(Struct, frozen=True, eq=False):
    """``pipe(name)``."""

    pipe: str
    where: SourceSpan


class Group(Struct, frozen=True, eq=False):
    """``(a & b)`` or ``(a | b)``. ``is_race``: the first success wins."""

    members: tuple[Pipeline, ...]
    is_race: bool
    name: str
    where: SourceSpan


class CaseTerm(Struct, frozen=True, eq=False):
    """One branch of a switch."""

    key: Value
    body: Pipeline


class SwitchTerm(Struct, frozen=True, eq=False):
    """``switch(on=…){ key: branch; default: branch }``."""

    on: Value
    cases: tuple[CaseTerm, ...]
    default: Pipeline | None
    name: str
    where: SourceSpan


class LoopTerm(Struct, frozen=True, eq=False):
    """``repeat``, ``foreach`` or ``until``: ``kind(arguments){ body }``."""

    kind: str
    arguments: dict[str, Value]
    body: Pipeline
    name: str
    where: SourceSpan


class Pipeline(Struct, frozen=True, eq=False):
    """Terms one after the other; also a term, in parentheses."""

    terms: tuple[Term, ...]
    where: SourceSpan


Term = TaskTerm | PipeTerm | Group | SwitchTerm | LoopTerm | Pipeline
