"""What an expression reads, as far as that is known without values."""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.flows.expressions.tree import (
    And,
    Comparison,
    Conditional,
    Field,
    Filtered,
    Index,
    Name,
    Or,
    Tree,
    children,
    static_path,
)

Path = tuple[str, ...]


def references(tree: Tree) -> tuple[Path, ...]:
    """Return the paths a tree reads and cannot do without, each once, in order of appearance.

    A path ends before its first position or computed key. What may be missing (under ``default``,
    left of ``or``, or guarded by ``"key" in path``) is cut to its root name.
    """
    return tuple(dict.fromkeys(_read(tree, frozenset(), optional=False)))


def _read(tree: Tree, guarded: frozenset[Path], *, optional: bool) -> Iterator[Path]:
    match tree:
        case Name() | Field() | Index():
            yield from _path(tree, guarded, optional=optional)
        case Or(left, right):
            yield from _read(left, guarded, optional=True)
            yield from _read(right, guarded, optional=optional)
        case Filtered(operand, "default", (fallback,)):
            yield from _read(operand, guarded, optional=True)
            yield from _read(fallback, guarded, optional=optional)
        case Conditional(then, condition, otherwise):
            yield from _read(condition, guarded, optional=optional)
            inner = guarded | _guards(condition)
            yield from _read(then, inner, optional=optional)
            yield from _read(otherwise, inner, optional=optional)
        case And(left, right):
            yield from _read(left, guarded, optional=optional)
            yield from _read(right, guarded | _guards(left), optional=optional)
        case _:
            for child in children(tree):
                yield from _read(child, guarded, optional=optional)


def _path(
    tree: Name | Field | Index, guarded: frozenset[Path], *, optional: bool
) -> Iterator[Path]:
    keys: list[str] = []
    current: Tree = tree
    while not isinstance(current, Name):
        match current:
            case Field(operand, key):
                keys.append(key)
                current = operand
            case Index(operand, index):
                keys.clear()
                yield from _read(index, guarded, optional=optional)
                current = operand
            case _:
                yield from _read(current, guarded, optional=optional)
                return
    path = (current.name, *reversed(keys))
    is_guarded = any(path[: len(guard)] == guard for guard in guarded)
    yield path[:1] if optional or is_guarded else path


def _guards(condition: Tree) -> frozenset[Path]:
    """Return the paths whose keys a condition asks for with ``in``."""
    found: set[Path] = set()
    pending = [condition]
    while pending:
        current = pending.pop()
        pending.extend(children(current))
        if isinstance(current, Comparison):
            for op, operand in current.rest:
                path = static_path(operand) if op in {"in", "not in"} else None
                if path is not None and all(isinstance(key, str) for key, _ in path[1]):
                    found.add((path[0].name, *(str(key) for key, _ in path[1])))
    return frozenset(found)
