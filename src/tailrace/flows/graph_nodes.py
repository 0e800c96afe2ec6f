"""From what ``graph:`` text says to the nodes of a flow: pipes put in, names looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, assert_never

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import ExpressionError
from tailrace.flows.case_key import Key, case_key, constant_case
from tailrace.flows.expressions import canonical
from tailrace.flows.findings import Findings, listed, meant
from tailrace.flows.graph_tokens import Kind, shortened, unquoted
from tailrace.flows.graph_tree import (
    CaseTerm,
    Group,
    LoopTerm,
    Pipeline,
    PipeTerm,
    SwitchTerm,
    TaskTerm,
    Term,
    Value,
)
from tailrace.model import (
    All,
    AnyOf,
    Case,
    Collect,
    ForEach,
    Node,
    Repeat,
    Seq,
    SourceSpan,
    Switch,
    TaskNode,
    Until,
)

MAX_DEPTH = 128
"""Pipes, groups and blocks inside one another, at most, once the pipes are put in."""
MAX_PIPED_TERMS = 4096
"""Terms that come out of pipes, at most."""
TOO_DEEP = f"pipes, groups and blocks are nested more than {MAX_DEPTH} deep"
_MAX_REPORTS = 50
"""Findings of one kind about names; more of them have one common cause."""


class Tasks(Protocol):
    """The tasks a graph may name."""

    def find(self, name: str) -> TaskNode | None:
        """Return a node of the task, to be given its name and its place; None: unknown."""
        ...

    def names(self) -> list[str]:
        """Return the names of the tasks of the file, for suggestions."""
        ...


class GraphBuilder(Struct, eq=False):
    """Builds nodes from terms. One builder sees all terms of one flow."""

    tasks: Tasks
    pipes: Mapping[str, Pipeline | None]
    """None: the pipe's text was found wrong."""
    mentioned: set[str]
    """Names in the text, which no new name may take."""
    findings: Findings
    is_whole: bool = True
    """False once a part had to be left out; why was reported."""
    taken: dict[str, SourceSpan] = field(default_factory=dict)
    """Names of nodes that can run together with the next one, with their places."""
    _pipes_around: list[str] = field(default_factory=list)
    _depth: int = 0
    _piped: int = 0
    _unknown: int = 0
    _renamed: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    """The number to try first, by the name of a task that comes again."""
    _variables: list[str] = field(default_factory=list)
    """Loop variables in sight."""

    def pipeline(self, pipeline: Pipeline) -> Node | None:
        """Return the nodes of a pipeline as one; None when nothing is left of it."""
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            self.leave_out("TR126", TOO_DEEP, pipeline.where, "Write it in fewer levels.")
            self._depth -= 1
            return None
        nodes = tuple(node for node in map(self.term, pipeline.terms) if node is not None)
        self._depth -= 1
        if len(nodes) < len(pipeline.terms):
            self.is_whole = False
        if not nodes:
            return None
        return nodes[0] if len(nodes) == 1 else Seq(children=nodes)

    def term(self, term: Term) -> Node | None:
        """Return the node of one term; None when it cannot be built, which is reported."""
        return self.build(term) if self.admits(term) else None

    def admits(self, term: Term) -> bool:
        """Count a term that may come out of a pipe; False when there are too many."""
        self._piped += bool(self._pipes_around)
        if self._piped == MAX_PIPED_TERMS + 1:
            message = f"the pipes stand for more than {MAX_PIPED_TERMS} terms"
            self.leave_out("TR126", message, term.where, "Use foreach or repeat for copies.")
        return self._piped <= MAX_PIPED_TERMS

    def build(self, term: Term) -> Node | None:
        """Return the node of one term that was admitted."""
        match term:
            case TaskTerm():
                return self._task(term)
            case PipeTerm():
                return self._pipe(term)
            case Pipeline():
                return self.pipeline(term)
            case Group():
                return self._group(term)
            case SwitchTerm():
                return self._switch(term)
            case LoopTerm():
                return self._loop(term)
            case _:
                assert_never(term)

    def enter_pipe(self, term: PipeTerm) -> Pipeline | None:
        """Return what a pipe stands for; None when it is unknown, broken or inside itself."""
        name = term.pipe
        if name not in self.pipes:
            known = list(self.pipes)
            self.leave_out(
                "TR124",
                f"no pipe is named {shortened(name)!r} (pipes: {listed(known)})"
                f"{meant(name, known)}",
                term.where,
                f"Define it: pipes: {{{shortened(name)}: …}}, or fix the name.",
            )
            return None
        if name in self._pipes_around:
            circle = [*self._pipes_around[self._pipes_around.index(name) :], name]
            self.leave_out(
                "TR125",
                f"the pipe {name!r} is inside itself: {' >> '.join(circle)}",
                term.where,
                f"Take pipe({name}) out of one of them.",
            )
            return None
        if len(self._pipes_around) >= MAX_DEPTH:
            self.leave_out("TR126", TOO_DEEP, term.where, "Write it in fewer levels.")
            return None
        return self.pipes[name]

    @contextmanager
    def inside_pipe(self, name: str) -> Iterator[None]:
        """Mark what is built as part of a pipe."""
        self._pipes_around.append(name)
        try:
            yield
        finally:
            self._pipes_around.pop()

    def _pipe(self, term: PipeTerm) -> Node | None:
        inner = self.enter_pipe(term)
        if inner is None:
            self.is_whole = False
            return None
        with self.inside_pipe(term.pipe):
            return self.pipeline(inner)

    def _task(self, term: TaskTerm) -> Node | None:
        found = None if self._unknown > _MAX_REPORTS else self.tasks.find(term.task)
        if found is None:
            self._refuse_task(term)
            return None
        name = self._named(term)
        return replace(found, name=name, where=term.where)

    def _named(self, term: TaskTerm) -> str:
        """Return the node's name; a task that comes again without one gets a number."""
        name = term.name or term.task
        if name in self.taken and not term.name:
            name = self._numbered(name)
            self._warn_again(term, name)
        self.taken.setdefault(name, term.where)
        return name

    def _warn_again(self, term: TaskTerm, name: str) -> None:
        self._renamed += 1
        if self._renamed <= _MAX_REPORTS:
            self.findings.warn(
                "TR129",
                f"the task {term.task!r} is already a node; here it becomes the node {name!r}",
                where=term.where,
                hint=f"Name the node yourself: {name}: {term.task}.",
            )

    def _numbered(self, name: str) -> str:
        count = self._counts.get(name, 2)
        while f"{name}_{count}" in self.mentioned or f"{name}_{count}" in self.taken:
            count += 1
        self._counts[name] = count
        return f"{name}_{count}"

    def _group(self, term: Group) -> Node | None:
        members = [self.pipeline(member) for member in term.members]
        nodes = tuple(member for member in members if member is not None)
        if len(nodes) < len(members):
            return None
        kind = AnyOf if term.is_race else All
        return kind(children=nodes, name=term.name)

    def _switch(self, term: SwitchTerm) -> Node | None:
        on = self._expression(term.on, "params")
        before = len(self.taken)
        added: dict[str, SourceSpan] = {}
        cases = []
        for case in term.cases:
            cases.append(self._case(case))
            self._set_aside(before, added)
        default = None if term.default is None else self.pipeline(term.default)
        for name, where in added.items():
            self.taken.setdefault(name, where)
        whole = [case for case in cases if case is not None]
        if on is None or len(whole) < len(cases) or (term.default and default is None):
            return None
        return Switch(name=term.name, on=on, cases=tuple(whole), default=default, where=term.where)

    def _set_aside(self, count: int, added: dict[str, SourceSpan]) -> None:
        """Free the names taken in one branch: the next branch never runs together with it."""
        while len(self.taken) > count:
            name, where = self.taken.popitem()
            added[name] = where

    def _case(self, term: CaseTerm) -> Case | None:
        body = self.pipeline(term.body)
        key = term.key
        match key.kind:
            case Kind.TEMPLATE:
                source = self._expression(key, "params")
                if body is None or source is None:
                    return None
                return constant_case(Case(key=source, body=body, template=True))
            case Kind.NUMBER:
                value: Key = _number(key.text)
            case _:
                value = case_key(key.text)
                if key.kind is Kind.STRING and not isinstance(value, str):
                    self._warn_quoted(key, value)
        return None if body is None else Case(key=value, body=body)

    def _warn_quoted(self, key: Value, value: Key) -> None:
        what = "boolean" if isinstance(value, bool) else "number"
        self.findings.warn(
            "TR112",
            f'the case "{key.text}" is the {what} {key.text}, although it is quoted',
            where=key.where,
            hint=f"Remove the quotes, or write {{{{ '{key.text}' }}}} for the text.",
        )

    def _loop(self, term: LoopTerm) -> Node | None:
        match term.kind:
            case "repeat":
                return self._repeat(term)
            case "foreach":
                return self._foreach(term)
            case _:
                return self._until(term)

    def _repeat(self, term: LoopTerm) -> Node | None:
        count = self._count(term.arguments["count"])
        collect = self._collect(term, Collect.LIST)
        body = self.pipeline(term.body)
        if body is None or count is None:
            return None
        return Repeat(name=term.name, count=count, body=body, collect=collect, where=term.where)

    def _foreach(self, term: LoopTerm) -> Node | None:
        arguments = term.arguments
        over = self._expression(arguments["over"], "params")
        concurrency = self._count(arguments["concurrency"]) if "concurrency" in arguments else 1
        collect = self._collect(term, Collect.LIST)
        item, index = (
            arguments[key].text if key in arguments else None for key in ("item", "index")
        )
        own = [name for name in (item, index) if name is not None]
        self._variables.extend(own)
        body = self.pipeline(term.body)
        del self._variables[len(self._variables) - len(own) :]
        if body is None or over is None or concurrency is None:
            return None
        return ForEach(
            name=term.name,
            over=over,
            body=body,
            item=item,
            index=index,
            collect=collect,
            concurrency=concurrency,
            where=term.where,
        )

    def _until(self, term: LoopTerm) -> Node | None:
        condition = self._expression(term.arguments["cond"], None)
        maximum = self._maximum(term.arguments.get("max_iter"))
        collect = self._collect(term, Collect.LAST)
        body = self.pipeline(term.body)
        if body is None or condition is None:
            return None
        return Until(
            name=term.name,
            condition=condition,
            body=body,
            max_iterations=maximum,
            collect=collect,
            where=term.where,
        )

    def _maximum(self, value: Value | None) -> int:
        if value is None:
            return 1000
        number = _integer(value)
        if number is None or number < 1:
            self.findings.add(
                "TR127",
                f"max_iter is {value.token}; it must be a whole number from 1 on",
                where=value.where,
                hint="Write max_iter=1000.",
            )
        return number or 1000

    def _collect(self, term: LoopTerm, default: Collect) -> Collect:
        value = term.arguments.get("collect")
        known = [member.value for member in Collect]
        if value is None or value.text in known:
            return default if value is None else Collect(value.text)
        self.findings.add(
            "TR127",
            f"collect is {value.token} (allowed: {listed(known)}){meant(value.text, known)}",
            where=value.where,
            hint=f"Write collect={default}, or leave it out.",
        )
        return default

    def _count(self, value: Value) -> int | str | None:
        number = _integer(value)
        return self._expression(value, "params") if number is None else number

    def _expression(self, value: Value, bare_root: str | None) -> str | None:
        """Return the canonical source of an argument; None when it is wrong, which is reported."""
        passage, token = value.passage, value.token
        offset = token.start
        text = passage.text[token.start : token.end]
        if value.kind is Kind.STRING:
            passage, offset, text = unquoted(passage, token), 0, token.text
        if text.strip(" {}$") in self._variables:
            bare_root = None
        try:
            return canonical(text, bare_root=bare_root)
        except ExpressionError as error:
            where = value.where
            if 0 <= error.column <= len(text):
                at = offset + error.column
                where = passage.span(at, min(at + 1, len(passage.text)))
            self.leave_out(error.code, error.message, where, error.hint)
            return None

    def _refuse_task(self, term: TaskTerm) -> None:
        self.is_whole = False
        self._unknown += 1
        if self._unknown > _MAX_REPORTS:
            return
        known = self.tasks.names()
        name = shortened(term.task)
        nodes = [*known, *self.taken]
        self.findings.add(
            "TR123",
            f"no task is named {name!r} (tasks: {listed(known)}){meant(term.task, nodes)}",
            where=term.where,
            hint=f"Define it: tasks: {{{name}: {{callable: module:function}}}}, or fix the name.",
        )

    def leave_out(self, code: str, message: str, where: SourceSpan, hint: str) -> None:
        """Report why a part is left out of the flow."""
        self.is_whole = False
        self.findings.add(code, message, where=where, hint=hint)


def _integer(value: Value) -> int | None:
    text = value.text.strip().removeprefix("-")
    is_written = value.kind in {Kind.NUMBER, Kind.STRING} and text.isdecimal()
    return int(value.text) if is_written and len(text) <= _DIGITS else None


_DIGITS = 4000
"""Python does not read integers that are longer."""


def _number(text: str) -> int | float:
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) <= _DIGITS else float(text)
