"""The height of a tree, which the passes recurse into."""

from __future__ import annotations

from tailrace.traceql.fault import Fault
from tailrace.traceql.limits import MAX_HEIGHT
from tailrace.traceql.tree import Node


def check_height(tree: Node) -> None:
    """Refuse a tree that is too high for the passes.

    Raises:
        Fault: there are more than MAX_HEIGHT levels.
    """
    level: list[Node] = [tree]
    for _ in range(MAX_HEIGHT):
        level = [child for node in level for child in children(node)]
        if not level:
            return
    message = f"more than {MAX_HEIGHT} operators on top of one another"
    hint = 'Use a regular expression, such as .name =~ "a|b|c", or brackets: (a || b) || (c || d).'
    raise Fault(message, level[0].place, code="TR208", hint=hint)


def children(node: Node) -> list[Node]:
    """Return the nodes right below a node, in the order they were written."""
    found: list[Node] = []
    for name in node.__struct_fields__:
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple):
            found += [item for item in value if isinstance(item, Node)]
    return found
