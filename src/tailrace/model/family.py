"""Who is whose parent among the spans of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.model.span import Span


def find_parents(
    span_ids: Sequence[str], parent_ids: Sequence[str], kinds: Sequence[str], first: int = 0
) -> tuple[list[int], list[int]]:
    """Return the parents (number or -1) and the orphans of the spans of one trace.

    Two spans may share an id, as a client and its server did in Zipkin: the parent of a server is
    then the client, of others the server. Where that does not decide, or three spans share it,
    the child is an orphan. A cycle is cut at its first span, which becomes an orphan. Whatever
    shows or searches a trace asks here.

    Args:
        span_ids: of the trace's spans, in their order in the block.
        parent_ids: likewise; empty: a root.
        kinds: likewise, the names of their kinds.
        first: number of the first span in the block; added to all numbers returned.
    """
    numbers: dict[str, int] = {}
    shared: dict[str, list[int]] = {}
    for number, span_id in enumerate(span_ids):
        if numbers.setdefault(span_id, number) != number:
            shared.setdefault(span_id, [numbers[span_id]]).append(number)
    parents = [numbers.get(parent_id, -1) if parent_id else -1 for parent_id in parent_ids]
    if shared:
        for number, parent_id in enumerate(parent_ids):
            if parent_id in shared:
                parents[number] = _choose(number, shared[parent_id], kinds)
    _cut_cycles(parents)
    orphans = [
        first + number
        for number, parent_id in enumerate(parent_ids)
        if parent_id and parents[number] < 0
    ]
    if first:
        parents = [parent + first if parent >= 0 else -1 for parent in parents]
    return parents, orphans


def parents_of(spans: Sequence[Span]) -> list[int]:
    """Return for each span of a trace the number of its parent, or -1."""
    span_ids = [span.span_id for span in spans]
    parent_ids = [span.parent_id or "" for span in spans]
    return find_parents(span_ids, parent_ids, [span.kind.value for span in spans])[0]


def _choose(number: int, candidates: list[int], kinds: Sequence[str]) -> int:
    if len(candidates) > 2:
        return -1
    others = [candidate for candidate in candidates if candidate != number]
    if len(others) == 1:
        return others[0]
    wanted = "client" if kinds[number] == "server" else "server"
    found = [candidate for candidate in others if kinds[candidate] == wanted]
    return found[0] if len(found) == 1 else -1


def _cut_cycles(parents: list[int]) -> None:
    """Make every walk up end: of each cycle its first span loses its parent."""
    if all(parent < number for number, parent in enumerate(parents)):
        return
    done = bytearray(len(parents))
    for number in range(len(parents)):
        walk: list[int] = []
        at = number
        while at >= 0 and not done[at]:
            done[at] = 1
            walk.append(at)
            at = parents[at]
        if at >= 0 and done[at] == 1:
            cycle = walk[walk.index(at) :]
            parents[min(cycle)] = -1
        for one in walk:
            done[one] = 2
