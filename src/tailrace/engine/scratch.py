"""Scratch: values that travel beside the payload, merged at joins.

Each key carries a version that remembers the version it replaced. At a join a version wins over
another when it descends from it; two that do not descend from each other are a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

from tailrace.errors import RunError
from tailrace.model import ScratchMerge


class ScratchConflict(RunError):  # noqa: N818 - reads as the state it reports
    """Two branches wrote different values to one scratch key."""

    default_code = "TR305"


class _Version:
    __slots__ = ("parent", "value", "writer")

    def __init__(self, value: Any, writer: str, parent: _Version | None) -> None:
        self.value = value
        self.writer = writer
        self.parent = parent

    def descends_from(self, other: _Version) -> bool:
        version: _Version | None = self
        while version is not None:
            if version is other:
                return True
            version = version.parent
        return False


class Scratch(MutableMapping[str, Any]):
    """A mapping one branch may write. ``fork`` gives another branch its own snapshot."""

    __slots__ = ("_versions", "_writer")

    def __init__(self) -> None:
        self._versions: dict[str, _Version] = {}
        self._writer = ""

    def fork(self, writer: str = "") -> Scratch:
        """Return a snapshot that ``writer`` may write without being seen here."""
        copy = Scratch()
        copy._versions = dict(self._versions)
        copy._writer = writer
        return copy

    def flattened(self) -> Scratch:
        """Return a snapshot without history: the start of a scope of its own."""
        if not self._versions:
            return self
        copy = Scratch()
        copy._versions = {
            key: _Version(version.value, version.writer, None)
            for key, version in self._versions.items()
        }
        return copy

    def differs_from(self, base: Scratch) -> bool:
        """Tell whether any key was written since ``base``, whose fork this is."""
        mine, theirs = self._versions, base._versions
        if len(mine) != len(theirs):
            return True
        return any(theirs.get(key) is not version for key, version in mine.items())

    def changed_since(self, base: Scratch) -> dict[str, Any]:
        """Return the keys written since ``base``, whose fork this is, with their values."""
        theirs = base._versions
        return {
            key: version.value
            for key, version in self._versions.items()
            if theirs.get(key) is not version
        }

    def __getitem__(self, key: str) -> Any:
        return self._versions[key].value

    def __setitem__(self, key: str, value: Any) -> None:
        previous = self._versions.get(key)
        if previous is not None and previous.writer == self._writer and self._writer:
            previous = previous.parent
        self._versions[key] = _Version(value, self._writer, previous)

    def __delitem__(self, key: str) -> None:
        del self._versions[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)

    def __repr__(self) -> str:
        return repr(dict(self))


def merge(branches: Sequence[Scratch], strategy: ScratchMerge) -> Scratch:
    """Return what a join sees, given the scratch of its branches in definition order.

    Raises:
        ScratchConflict: under ``error_on_conflict``, two branches wrote different values.
    """
    if len(branches) == 1:
        return branches[0]
    merged = Scratch()
    target = merged._versions  # noqa: SLF001 - the same module
    for branch in branches:
        for key, version in branch._versions.items():  # noqa: SLF001 - the same module
            present = target.get(key)
            target[key] = version if present is None else _choose(key, present, version, strategy)
    return merged


def _choose(key: str, first: _Version, second: _Version, strategy: ScratchMerge) -> _Version:
    if first is second or first.descends_from(second):
        return first
    if second.descends_from(first):
        return second
    if strategy is ScratchMerge.KEEP_FIRST:
        return first
    if strategy is ScratchMerge.OVERWRITE or _same(first.value, second.value):
        return second
    raise ScratchConflict(
        f"scratch key {key!r} was written by {first.writer!r} and by {second.writer!r}, "
        "which run side by side",
        hint="write different keys, or set flow.scratch_merge to overwrite or keep_first",
    )


def _same(left: Any, right: Any) -> bool:
    try:
        return bool(left == right)
    except Exception:  # noqa: BLE001 - comparing user values may raise anything
        return False
