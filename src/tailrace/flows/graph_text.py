"""Reading ``graph:`` text.

A recursive descent over the tokens. After a mistake it goes on behind the next ``>>``, ``;`` or
closing bracket, so that one reading finds all mistakes.
"""

from __future__ import annotations

from typing import NoReturn

from tailrace.flows.findings import Findings, listed, meant
from tailrace.flows.graph_tokens import Kind, Token, shortened, tokenize, unquoted
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
from tailrace.flows.passage import Passage
from tailrace.model import SourceSpan

MAX_DEPTH = 48
"""Groups and blocks inside one another, at most."""

BLOCKS = {
    "switch": ("on",),
    "repeat": ("count", "collect"),
    "foreach": ("over", "item", "index", "collect", "concurrency"),
    "until": ("cond", "max_iter", "collect"),
}
"""Arguments of each block; the first one is required."""

_KEYS = frozenset({Kind.NAME, Kind.NUMBER, Kind.STRING, Kind.TEMPLATE})
_VALUES = _KEYS | {Kind.PATH}
_GROUP_STOPS = frozenset({Kind.AND, Kind.OR, Kind.CLOSE})
_BRANCH_STOPS = frozenset({Kind.SEMICOLON, Kind.STOP})
_CLOSING = {Kind.OPEN: Kind.CLOSE, Kind.BEGIN: Kind.STOP}


def parse_graph(passage: Passage, findings: Findings, *, depth: int = 0) -> Pipeline | None:
    """Return what a graph says; None when nothing of it can be read.

    Mistakes are reported as TR120 (syntax), TR121 (never closed), TR122 (``&`` and ``|`` mixed),
    TR126 (too deep) and TR127 (arguments of blocks).
    """
    return _Parser(passage, findings, depth).parse()


class _MistakeError(Exception):
    """The term cannot be read; why has been reported."""


class _Parser:
    def __init__(self, passage: Passage, findings: Findings, depth: int) -> None:
        self._passage = passage
        self._findings = findings
        self._depth = depth
        self._tokens = tokenize(passage, findings)
        self._levels = _levels(self._tokens)
        self._at = 0
        self._has_ended = False
        """True once the end was reported where more was needed."""

    def parse(self) -> Pipeline | None:
        if self._token.kind is Kind.END:
            if not self._findings.has_errors:
                self._report("TR120", "the graph is empty", self._token, "Name at least one task.")
            return None
        return self._pipeline(frozenset({Kind.END}))

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _peek(self, kind: Kind) -> bool:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)].kind is kind

    def _take(self) -> Token:
        token = self._token
        if token.kind is not Kind.END:
            self._at += 1
        return token

    def _skip(self, kind: Kind) -> bool:
        if self._token.kind is kind:
            self._take()
            return True
        return False

    def _pipeline(self, stops: frozenset[Kind]) -> Pipeline:
        start = self._token
        depth = self._depth
        level = self._levels[self._at]
        terms: list[Term] = []
        while True:
            try:
                terms.append(self._term())
                if self._token.kind not in stops | {Kind.THEN, Kind.END}:
                    self._refuse_next(stops)
            except _MistakeError:
                self._depth = depth
                self._resume(stops, level)
            if not self._skip(Kind.THEN):
                break
        last = self._tokens[max(self._at - 1, 0)]
        return Pipeline(tuple(terms), self._passage.span(start.start, max(last.end, start.end)))

    def _resume(self, stops: frozenset[Kind], level: int) -> None:
        """Skip what cannot be read, up to a stop or ``>>`` in the same brackets."""
        while self._token.kind is not Kind.END:
            here = self._levels[self._at]
            if here < level or (here == level and self._token.kind in stops | {Kind.THEN}):
                return
            self._take()

    def _term(self) -> Term:
        token = self._token
        if token.kind is Kind.OPEN:
            return self._group("", token)
        if token.kind is not Kind.NAME:
            self._refuse_term(token)
        self._take()
        if self._token.kind is Kind.COLON:
            self._take()
            return self._named(token)
        if self._token.kind is Kind.OPEN:
            return self._block("", token, token)
        return TaskTerm(token.text, "", self._where(token))

    def _named(self, name: Token) -> Term:
        """Read what stands behind ``name:``."""
        token = self._token
        if token.kind is Kind.OPEN:
            return self._group(name.text, name)
        if token.kind is not Kind.NAME:
            self._fail(
                f"a task or block must follow '{name.text}:', and here is {token}",
                token,
                f"Write {name.text}: task.",
            )
        self._take()
        if self._token.kind is Kind.OPEN:
            return self._block(name.text, name, token)
        return TaskTerm(token.text, name.text, self._where(name, token))

    def _group(self, name: str, start: Token) -> Term:
        opening = self._take()
        self._enter(opening)
        members = [self._pipeline(_GROUP_STOPS)]
        sign: Token | None = None
        while self._token.kind in {Kind.AND, Kind.OR}:
            here = self._take()
            sign = sign or here
            if here.kind is not sign.kind:
                self._report(
                    "TR122",
                    f"{sign} and {here} are mixed in one group",
                    here,
                    "Add parentheses: (a & (b | c)), or ((a & b) | c).",
                )
            members.append(self._pipeline(_GROUP_STOPS))
        self._close(opening)
        where = self._where(start, self._tokens[self._at - 1])
        if sign is None:
            if name:
                self._fail(f"{name!r} names a group, and this is none", start, "Name its tasks.")
            return Pipeline(members[0].terms, where)
        return Group(tuple(members), sign.kind is Kind.OR, name, where)

    def _block(self, name: str, start: Token, kind: Token) -> Term:
        if kind.text == "pipe":
            return self._pipe(name, start, kind)
        if kind.text not in BLOCKS:
            known = ["pipe", *BLOCKS]
            self._fail(
                f"there is no block {shortened(kind.text)!r} (known: {listed(known)})"
                f"{meant(kind.text, known)}",
                kind,
                f"Remove the parentheses to name the task {kind.text!r}.",
            )
        arguments = self._arguments(kind)
        if self._token.kind is not Kind.BEGIN:
            self._fail(
                f"'{{' must follow {kind.text}(…), and here is {self._token}",
                self._token,
                f"Write {kind.text}(…){{ task }}.",
            )
        opening = self._take()
        self._enter(opening)
        if kind.text == "switch":
            cases, default = self._cases()
            self._close(opening)
            where = self._where(start, kind)
            return SwitchTerm(self._needed(arguments, kind), cases, default, name, where)
        body = self._pipeline(frozenset({Kind.STOP}))
        self._close(opening)
        self._needed(arguments, kind)
        return LoopTerm(kind.text, arguments, body, name, self._where(start, kind))

    def _pipe(self, name: str, start: Token, kind: Token) -> PipeTerm:
        opening = self._take()
        token = self._token
        if token.kind not in {Kind.NAME, Kind.STRING}:
            self._fail(f"pipe(…) takes a name, and here is {token}", token, "Write pipe(name).")
        self._take()
        if not self._skip(Kind.CLOSE):
            self._refuse_open(opening)
        if name:
            self._fail(f"a pipe cannot be named {name!r}", start, f"Write pipe({token.text}).")
        return PipeTerm(token.text, self._where(kind, self._tokens[self._at - 1]))

    def _arguments(self, kind: Token) -> dict[str, Value]:
        opening = self._take()
        arguments: dict[str, Value] = {}
        while self._token.kind is not Kind.CLOSE:
            self._argument(kind, arguments)
            if not self._skip(Kind.COMMA):
                break
        if not self._skip(Kind.CLOSE):
            self._refuse_open(opening)
        return arguments

    def _argument(self, kind: Token, arguments: dict[str, Value]) -> None:
        key = self._take()
        if key.kind is not Kind.NAME or not self._skip(Kind.EQUALS):
            known = BLOCKS[kind.text]
            self._fail(
                f"{kind.text}(…) takes arguments such as {known[0]}=…, and here is {key}",
                key,
                f"Write {kind.text}({known[0]}=…).",
            )
        value = self._take()
        if value.kind not in _VALUES:
            self._fail(
                f"{key.text}= must be a name, a number, a quoted text or a template, "
                f"and here is {value}",
                value,
                f"Write {key.text}={{{{ … }}}}.",
            )
        known = BLOCKS[kind.text]
        if key.text in arguments:
            self._report(
                "TR127", f"{key.text}= is given twice", key, f"Remove one of the {key.text}=."
            )
        elif key.text not in known:
            self._report(
                "TR127",
                f"{kind.text} has no argument {shortened(key.text)!r} (known: {listed(known)})"
                f"{meant(key.text, known)}",
                key,
                f"Remove {shortened(key.text)}=, or write a known one.",
            )
        arguments.setdefault(key.text, Value(value, self._passage))

    def _needed(self, arguments: dict[str, Value], kind: Token) -> Value:
        needed = BLOCKS[kind.text][0]
        if needed in arguments:
            return arguments[needed]
        if arguments.keys() <= set(BLOCKS[kind.text]):  # else the misspelt one was reported
            self._report(
                "TR127",
                f"{kind.text}(…) needs {needed}=",
                kind,
                f"Write {kind.text}({needed}={{{{ … }}}}){{ … }}.",
            )
        raise _MistakeError

    def _cases(self) -> tuple[tuple[CaseTerm, ...], Pipeline | None]:
        cases: list[CaseTerm] = []
        default: Pipeline | None = None
        level = self._levels[self._at - 1] + 1
        while self._token.kind not in {Kind.STOP, Kind.END}:
            if self._skip(Kind.SEMICOLON):
                continue
            key = self._take()
            if key.kind not in _KEYS or not self._skip(Kind.COLON):
                self._refuse_case(key)
                self._resume(_BRANCH_STOPS, level)
                continue
            body = self._branch()
            if key.kind is not Kind.NAME or key.text != "default":
                cases.append(CaseTerm(Value(key, self._passage), body))
            elif default is None:
                default = body
            else:
                self._report("TR127", "the switch has two defaults", key, "Remove one of them.")
        return tuple(cases), default

    def _branch(self) -> Pipeline:
        token = self._token
        if token.kind is not Kind.STRING or not (
            self._peek(Kind.SEMICOLON) or self._peek(Kind.STOP)
        ):
            return self._pipeline(_BRANCH_STOPS)
        self._take()
        inner = parse_graph(unquoted(self._passage, token), self._findings, depth=self._depth + 1)
        return inner or Pipeline((), self._where(token))

    def _enter(self, opening: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            if not self._has_ended:
                self._report(
                    "TR126",
                    f"groups and blocks are nested more than {MAX_DEPTH} deep",
                    opening,
                    "Take the inner part out into a pipe or a flow of its own.",
                )
            self._has_ended = True
            self._at = len(self._tokens) - 1
            raise _MistakeError

    def _close(self, opening: Token) -> None:
        self._depth -= 1
        if not self._skip(_CLOSING[opening.kind]):
            self._refuse_open(opening)

    def _refuse_open(self, opening: Token) -> NoReturn:
        closing = _CLOSING[opening.kind]
        token = self._token
        if token.kind is not Kind.END:
            self._fail(f"{closing} must follow, and here is {token}", token, f"Add {closing}.")
        if not self._has_ended:
            self._has_ended = True
            self._report("TR121", f"this {opening} is never closed", opening, f"Add {closing}.")
        raise _MistakeError

    def _refuse_case(self, key: Token) -> None:
        follower = "" if key.kind not in _KEYS else f" behind {key}"
        seen = key if not follower else self._token
        self._report(
            "TR120",
            f"a case is written 'key: branch', and{follower} here is {seen}",
            seen,
            "Write key: task; with ';' between the branches.",
        )

    def _refuse_term(self, token: Token) -> NoReturn:
        hint = "Put a task, a group in (), or a block here."
        if token.kind is Kind.STRING:
            hint = "Remove the quotes to name a task."
        elif token.kind is Kind.PATH:
            hint = "Names of tasks hold no dots."
        elif token.kind is Kind.BEGIN:
            hint = "Braces belong to switch, repeat, foreach and until."
        self._fail(f"a task, group or block is needed, and here is {token}", token, hint)

    def _refuse_next(self, stops: frozenset[Kind]) -> NoReturn:
        token = self._token
        wanted = [str(kind) for kind in (Kind.THEN, *sorted(stops))]
        hint = "Put '>>' before it."
        if token.kind in {Kind.AND, Kind.OR}:
            hint = "Put the group in parentheses: (a & b)."
        elif token.kind in _CLOSING.values():
            hint = f"Remove the {token}, or open it before."
        self._fail(f"{' or '.join(wanted)} must follow, and here is {token}", token, hint)

    def _where(self, first: Token, last: Token | None = None) -> SourceSpan:
        return self._passage.span(first.start, (last or first).end)

    def _report(self, code: str, message: str, token: Token, hint: str) -> None:
        where = self._passage.span(token.start, token.end)
        self._findings.add(code, message, where=where, hint=hint)

    def _fail(self, message: str, token: Token, hint: str) -> NoReturn:
        if token.kind is not Kind.END or not self._has_ended:
            self._report("TR120", message, token, hint)
        self._has_ended |= token.kind is Kind.END
        raise _MistakeError


def _levels(tokens: list[Token]) -> list[int]:
    """Return for each token how many brackets are open around it; a bracket is outside itself."""
    levels = []
    level = 0
    for token in tokens:
        if token.kind in _CLOSING.values():
            level = max(0, level - 1)
        levels.append(level)
        level += token.kind in _CLOSING
    return levels
