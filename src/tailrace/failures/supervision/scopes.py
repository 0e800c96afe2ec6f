"""The containers around a node of a run, by the paths under which the journal names them."""

from __future__ import annotations


def containers_around(path: tuple[str, ...], node: str) -> dict[str, int]:
    """Return the path of each container around a node, and how long ``path`` is up to it.

    A container's own path begins those of the nodes inside it only where it is a loop
    (``each[3].load``) or a sub-flow (``inner.load``); those inside a switch or a race do not
    bear its name.

    Args:
        path: of the failure's origin, such as ``("run:…", "flow:etl", "node:each", "node:load")``.
        node: path of the node, such as ``each[3].load``.
    """
    steps = [index for index, segment in enumerate(path) if segment.startswith("node:")]
    found: dict[str, int] = {}
    prefix = ""
    for index in steps[:-1]:
        scope = prefix + path[index].removeprefix("node:")
        found[scope] = index + 1
        if path[index + 1].startswith("flow:"):
            prefix = f"{scope}."
        elif node.startswith(f"{scope}["):
            prefix = node[: _end_of_key(node, len(scope) + 1)]
    return found


def _end_of_key(node: str, start: int) -> int:
    """Return where the inside of an iteration begins: after its key, its bracket and its dot."""
    if node.startswith('"', start):
        start += 1
        while start < len(node) and node[start] != '"':
            start += 2 if node[start] == "\\" else 1
    end = node.find("].", start)
    return len(node) if end < 0 else end + 2
