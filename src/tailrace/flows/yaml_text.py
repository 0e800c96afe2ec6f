"""YAML 1.2 (core schema) read into a tree that knows where each value stands.

The text is read as events and put together here: no tags beyond the core ones, no booleans but
``true`` and ``false``, no dates, no duplicate keys, and no aliases that explode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn, assert_never

import yaml
from msgspec import Struct, field

from tailrace.flows.findings import Findings
from tailrace.flows.passage import Passage, SourceFile, aligned

MAX_DEPTH = 64
"""Collections inside one another, at most."""
MAX_EXPANDED = 1_048_576
"""Characters and values a file may stand for once its aliases are expanded."""


class Scalar(Struct, frozen=True, eq=False):
    """A single value. ``start`` and ``end`` are offsets in the file, as for the others."""

    value: str | int | float | bool | None
    start: int
    end: int
    size: int = 1
    is_plain: bool = False


class Items(Struct, frozen=True, eq=False):
    """A sequence. ``size`` counts values and characters, aliases expanded."""

    members: tuple[Tree, ...]
    start: int
    end: int
    size: int = 1


class Entry(Struct, frozen=True, eq=False):
    """A key with its value."""

    key: Scalar
    value: Tree


class Table(Struct, frozen=True, eq=False):
    """A mapping, in the order of the text, without duplicate keys."""

    entries: tuple[Entry, ...]
    start: int
    end: int
    size: int = 1


Tree = Scalar | Items | Table


def plain(tree: Tree) -> Any:
    """Return the value as plain Python data."""
    match tree:
        case Scalar():
            return tree.value
        case Items():
            return [plain(member) for member in tree.members]
        case Table():
            return {entry.key.value: plain(entry.value) for entry in tree.entries}
        case _:
            assert_never(tree)


def scalars(tree: Tree) -> Iterator[Scalar]:
    """Yield every single value of a tree; keys are none."""
    match tree:
        case Scalar():
            yield tree
        case Items():
            for member in tree.members:
                yield from scalars(member)
        case Table():
            for entry in tree.entries:
                yield from scalars(entry.value)
        case _:
            assert_never(tree)


def passage_of(scalar: Scalar, source: SourceFile) -> Passage:
    """Return the text of a scalar with the places of its characters."""
    text = str(scalar.value)
    return Passage(text, source, aligned(text, source, scalar.start, scalar.end))


def read_yaml(source: SourceFile, findings: Findings) -> Tree | None:
    """Return the one document of a file; what is wrong with it is reported.

    None: the file is empty, or too broken to go on.
    """
    try:
        source.text.encode()  # the C loader does not say where a lone surrogate stands
        return _Reader(source, findings).read()
    except _GivenUpError:
        return None
    except UnicodeEncodeError as error:
        _report_character(error.start, source, findings)
    except yaml.reader.ReaderError as error:
        _report_character(error.position, source, findings)
    except yaml.MarkedYAMLError as error:
        _report_syntax(error, source, findings)
    return None


class _GivenUpError(Exception):
    """The rest of the document cannot be read; why has been reported."""


class _Open(Struct, eq=False):
    """A collection whose end has not been read."""

    start: int
    anchor: str | None
    is_table: bool
    members: list[Tree] = field(default_factory=list)


class _Reader:
    def __init__(self, source: SourceFile, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._open: list[_Open] = []
        self._anchors: dict[str, Tree | None] = {}
        """None while the anchored collection is open."""
        self._root: Tree | None = None
        self._expanded = len(source.text)

    def read(self) -> Tree | None:
        documents = 0
        for event in _events(self._source.text):
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        self._give_up(
                            "TR104",
                            "the file has a second document",
                            event,
                            "Keep one flow per file: remove everything from '---' on.",
                        )
                case yaml.ScalarEvent():
                    self._add(self._scalar(event), event.anchor)
                case yaml.AliasEvent():
                    self._add(self._alias(event), None)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._enter(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._leave(event)
                case _:
                    pass
        return self._root

    def _enter(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._give_up(
                "TR110",
                f"the file is nested more than {MAX_DEPTH} deep",
                event,
                "Take the inner part out into a task or a param.",
            )
        is_table = isinstance(event, yaml.MappingStartEvent)
        core = "tag:yaml.org,2002:map" if is_table else "tag:yaml.org,2002:seq"
        if event.tag not in {None, "!", core}:
            self._refuse_tag(event)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Open(_bounds(event)[0], event.anchor, is_table))

    def _leave(self, event: yaml.CollectionEndEvent) -> None:
        done = self._open.pop()
        end = max(done.start + 1, _bounds(event)[1])
        size = 1 + sum(member.size for member in done.members)
        tree: Tree
        if done.is_table:
            tree = Table(self._entries(done.members), done.start, end, size)
        else:
            tree = Items(tuple(done.members), done.start, end, size)
        self._add(tree, done.anchor)

    def _add(self, tree: Tree, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = tree
        if self._open:
            self._open[-1].members.append(tree)
        else:
            self._root = tree

    def _alias(self, event: yaml.AliasEvent) -> Tree:
        name = event.anchor or ""
        tree = self._anchors.get(name)
        if tree is None:
            inside = name in self._anchors
            what = "stands inside itself" if inside else "has no anchor before it"
            self._give_up(
                "TR109", f"the alias *{name} {what}", event, "Write the value out instead."
            )
        self._expanded += tree.size
        if self._expanded > MAX_EXPANDED:
            self._give_up(
                "TR109",
                f"the aliases stand for more than {MAX_EXPANDED:,} values and characters",
                event,
                "Pass large data as a file that a task reads.",
            )
        return tree

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        text = event.value
        is_plain = not event.style and event.tag is None
        value: str | int | float | bool | None = text
        if is_plain:
            value = self._core_value(event)
        elif event.tag not in {None, "!", _TAGS["str"]}:
            value = self._tagged(event)
        start, end = _bounds(event)
        return Scalar(value, start, end, 1 + len(text), is_plain)

    def _core_value(self, event: yaml.ScalarEvent) -> str | int | float | bool | None:
        try:
            return core_value(event.value)
        except ValueError:  # Python refuses to read integers of thousands of digits
            self._report(
                "TR107",
                f"a number of {len(event.value):,} digits is too long",
                event,
                "Quote it to keep it as text.",
            )
            return None

    def _tagged(self, event: yaml.ScalarEvent) -> str | int | float | bool | None:
        value = self._core_value(event)
        kinds = {"int": int, "float": int | float, "bool": bool, "null": type(None)}
        for name, kind in kinds.items():
            if event.tag != _TAGS[name]:
                continue
            if isinstance(value, kind) and not (name != "bool" and isinstance(value, bool)):
                return float(value) if name == "float" and isinstance(value, int) else value
            self._report(
                "TR111",
                f"{event.value!r} is tagged !!{name} and is none",
                event,
                f"Remove the tag !!{name}.",
            )
            return event.value
        self._refuse_tag(event)
        return event.value

    def _entries(self, members: list[Tree]) -> tuple[Entry, ...]:
        entries: dict[Any, Entry] = {}
        merged: list[Tree] = []
        for key, value in zip(members[::2], members[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._refuse_key(key)
            elif key.is_plain and key.value == "<<":
                merged.append(value)
            elif key.value in entries:
                self._refuse_duplicate(key, entries[key.value].key)
            else:
                entries[key.value] = Entry(key, value)
        for tree in merged:
            for entry in self._merged(tree):
                entries.setdefault(entry.key.value, entry)
        return tuple(entries.values())

    def _merged(self, tree: Tree) -> Iterator[Entry]:
        for part in tree.members if isinstance(tree, Items) else (tree,):
            if isinstance(part, Table):
                yield from part.entries
            else:
                self._findings.add(
                    "TR107",
                    "'<<' merges mappings, and this is none",
                    where=self._source.span(part.start, part.end),
                    hint="Write <<: *anchor, where the anchor is at a mapping.",
                )

    def _refuse_key(self, key: Tree) -> None:
        place = self._source.span(key.start, key.end)
        is_template = self._source.text.startswith("{{", max(0, key.start - 1))
        self._findings.add(
            "TR111",
            "a key must be a single value, and this is a collection",
            where=place,
            hint='Quote templates: "{{ … }}".' if is_template else "Write the key as text.",
        )

    def _refuse_duplicate(self, key: Scalar, first: Scalar) -> None:
        line = self._source.span(first.start, first.end).line
        self._findings.add(
            "TR105",
            f"the key {key.value!r} stands here a second time; the first is on line {line}",
            where=self._source.span(key.start, key.end),
            hint="Remove one of them.",
        )

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        self._report(
            "TR111",
            f"the tag {event.tag!r} is not allowed",
            event,
            "Remove the tag, and build such values in a task.",
        )

    def _report(self, code: str, message: str, event: yaml.Event, hint: str) -> None:
        start, end = _bounds(event)
        where = self._source.span(start, max(start + 1, end))
        self._findings.add(code, message, where=where, hint=hint)

    def _give_up(self, code: str, message: str, event: yaml.Event, hint: str) -> NoReturn:
        self._report(code, message, event, hint)
        raise _GivenUpError


def _bounds(event: yaml.Event) -> tuple[int, int]:
    start = 0 if event.start_mark is None else event.start_mark.index
    return start, start if event.end_mark is None else max(start, event.end_mark.index)


def _events(text: str) -> Iterator[Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return iter(yaml.parse(text, Loader=loader))


_TAGS = {name: f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def core_value(text: str) -> str | int | float | bool | None:
    """Return what a plain scalar means in the core schema of YAML 1.2 (section 10.3.2).

    Raises:
        ValueError: an integer has more digits than Python reads.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        bases = {"0o": 8, "0x": 16}
        return int(text, bases.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL.fullmatch(text)
    if special:
        return float(f"{special[1] or ''}inf") if special[1] is not None else float("nan")
    return text


def _report_syntax(error: yaml.MarkedYAMLError, source: SourceFile, findings: Findings) -> None:
    mark = error.problem_mark or error.context_mark
    start = 0 if mark is None else min(mark.index, len(source.text))
    problem = error.problem or "this is no YAML"
    context = f"{error.context}: " if error.context else ""
    findings.add(
        "TR104",
        f"the file is no valid YAML: {context}{problem}",
        where=source.span(start, start + 1),
        hint=_syntax_hint(source.text, start),
    )


def _syntax_hint(text: str, at: int) -> str:
    line_start = text.rfind("\n", 0, at) + 1
    line = text[line_start:].partition("\n")[0]
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return "Indent with spaces; YAML does not allow tabs."
    if "{{" in line:
        return 'Quote templates: "{{ … }}".'
    if ": " in line.partition(": ")[2]:
        return 'Quote a value that holds ": ".'
    return "Look at the indentation and the quotes here and on the line above."


def _report_character(position: object, source: SourceFile, findings: Findings) -> None:
    at = position if isinstance(position, int) else 0
    char = source.text[at : at + 1] or "\0"
    findings.add(
        "TR103",
        f"the character U+{ord(char):04X} is not allowed in YAML",
        where=source.span(at, at + 1),
        hint="Remove it, or write it as an escape in a quoted text.",
    )
