"""Reading the parts of a YAML file: known keys of known kinds, everything else explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from tailrace.flows.findings import Findings, listed, meant
from tailrace.flows.graph_tokens import shortened
from tailrace.flows.passage import Passage, SourceFile
from tailrace.flows.yaml_text import Entry, Items, Scalar, Table, Tree, passage_of, plain
from tailrace.model import SourceSpan


class Section:
    """A mapping of the file with its path, such as ``tasks.load``.

    Keys that are not known are reported when it is made; values of another kind than asked for
    are reported when they are read, and read as missing. ``null`` is missing.
    """

    def __init__(
        self,
        table: Table,
        path: str,
        source: SourceFile,
        findings: Findings,
        *,
        known: Sequence[str] | None = None,
    ) -> None:
        self.path = path
        self.source = source
        self.findings = findings
        self.table = table
        self._entries = {entry.key.value: entry for entry in table.entries}
        if known is not None:
            self._check_keys(known)

    @property
    def where(self) -> SourceSpan:
        """Where the section stands: its first key."""
        first = self.table.entries[0].key if self.table.entries else self.table
        return self.source.span(first.start, first.end)

    def at(self, tree: Tree) -> SourceSpan:
        """Return where a value stands."""
        return self.source.span(tree.start, tree.end)

    def key_at(self, key: str) -> SourceSpan:
        """Return where a key stands; the section itself where it is missing."""
        entry = self._entries.get(key)
        return self.where if entry is None else self.at(entry.key)

    def get(self, key: str) -> Tree | None:
        """Return the value of a key as it is; None when it is missing or null."""
        entry = self._entries.get(key)
        if entry is None or (isinstance(entry.value, Scalar) and entry.value.value is None):
            return None
        return entry.value

    def subject(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def text(self, key: str) -> str | None:
        """Return a text that is not blank."""
        scalar = self.scalar(key)
        return None if scalar is None else str(scalar.value)

    def scalar(self, key: str) -> Scalar | None:
        """Return the scalar of a text that is not blank."""
        found = self.get(key)
        if found is None or self._is_text(found, self.subject(key)):
            return found if isinstance(found, Scalar) else None
        return None

    def passage(self, key: str) -> Passage | None:
        """Return a text with the places of its characters."""
        scalar = self.scalar(key)
        return None if scalar is None else passage_of(scalar, self.source)

    def texts(self, key: str) -> list[Scalar]:
        """Return the texts of a list."""
        found = self.get(key)
        if found is None:
            return []
        if not isinstance(found, Items):
            self.refuse(found, self.subject(key), "a list of texts", f"Write {key}: [first].")
            return []
        path = self.subject(key)
        return [
            member
            for member in found.members
            if self._is_text(member, path) and isinstance(member, Scalar)
        ]

    def whole(self, key: str, *, minimum: int) -> int | None:
        """Return a whole number of at least ``minimum``."""
        found = self.get(key)
        if found is None:
            return None
        value = found.value if isinstance(found, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
            return value
        allowed = f"a whole number from {minimum} on"
        self.refuse(found, self.subject(key), allowed, f"Write {key}: 8.")
        return None

    def flag(self, key: str) -> bool | None:
        """Return a boolean."""
        found = self.get(key)
        if found is None or (isinstance(found, Scalar) and isinstance(found.value, bool)):
            return None if found is None else found.value is True
        self.refuse(found, self.subject(key), "true or false", f"Write {key}: true.")
        return None

    def choice(self, key: str, allowed: Sequence[str]) -> str | None:
        """Return one of a few words."""
        scalar = self.scalar(key)
        if scalar is None or scalar.value in allowed:
            return None if scalar is None else str(scalar.value)
        self.findings.add(
            "TR117",
            f"{self.subject(key)} is {shown(scalar)} (allowed: {listed(allowed)})"
            f"{meant(str(scalar.value), allowed)}",
            where=self.at(scalar),
            hint=f"Write {key}: {allowed[0]}.",
            subject=self.subject(key),
        )
        return None

    def table_of(self, key: str) -> Table | None:
        """Return a mapping whose keys are texts."""
        found = self.get(key)
        return None if found is None else self.as_table(found, self.subject(key))

    def as_table(self, tree: Tree, path: str) -> Table | None:
        """Return a value that must be a mapping whose keys are texts."""
        if not isinstance(tree, Table):
            self.refuse(tree, path, "a mapping", f"Write {path.rpartition('.')[2]}: {{key: …}}.")
            return None
        return Table(tuple(filter(self._has_name, tree.entries)), tree.start, tree.end, tree.size)

    def section(self, key: str, known: Sequence[str] | None = None) -> Section | None:
        """Return a mapping as a section of its own."""
        table = self.table_of(key)
        if table is None:
            return None
        return Section(table, self.subject(key), self.source, self.findings, known=known)

    def refuse(self, tree: Tree, path: str, allowed: str, hint: str) -> None:
        """Report a value of the wrong kind."""
        self.findings.add(
            "TR107",
            f"{path} is {shown(tree)}; it must be {allowed}",
            where=self.at(tree),
            hint=hint,
            subject=path,
        )

    def _is_text(self, tree: Tree, path: str) -> bool:
        if isinstance(tree, Scalar) and isinstance(tree.value, str) and tree.value.strip():
            return True
        hint = "Write a text."
        if isinstance(tree, Scalar) and tree.is_plain:
            hint = f'Quote it: "{self.source.text[tree.start : tree.end]}".'
        elif self.source.text.startswith("{{", tree.start):
            hint = 'Quote templates: "{{ … }}".'
        self.refuse(tree, path, "a text that is not empty", hint)
        return False

    def _has_name(self, entry: Entry) -> bool:
        return self._is_text(entry.key, f"the key of {self.path}" if self.path else "a key")

    def _check_keys(self, known: Sequence[str]) -> None:
        for entry in self.table.entries:
            name = str(entry.key.value)
            if name in known:
                continue
            place = f" in {self.path}" if self.path else ""
            self.findings.add(
                "TR106",
                f"unknown key {shortened(name)!r}{place} (known: {listed(known, limit=20)})"
                f"{meant(name, known)}",
                where=self.at(entry.key),
                hint="Remove it, or write a known key.",
                subject=self.subject(shortened(name)),
            )


def shown(tree: Tree) -> str:
    """Return a value as a message shows it, bounded."""
    match tree:
        case Scalar():
            value = tree.value
            if value is None or isinstance(value, bool):
                return "null" if value is None else str(value).lower()
            return repr(shortened(value)) if isinstance(value, str) else shortened(repr(value))
        case Items():
            return f"a list of {len(tree.members)}"
        case Table():
            return "a mapping"
        case _:
            assert_never(tree)


def data_of(table: Table) -> dict[str, Any]:
    """Return a mapping whose keys are texts as plain data."""
    return {str(entry.key.value): plain(entry.value) for entry in table.entries}
