"""What stands behind an exception: its causes, and the members of a group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MAX_CAUSES = 8
"""Causes of a failure that are looked at and kept."""
MAX_LEAVES = 32
"""Members of an exception group that are looked at and kept."""
MOST_LEAVES = 65_535
"""Members are counted up to here."""


def causes(error: BaseException) -> Sequence[BaseException]:
    """Return the causes of an exception, nearest first, each once, at most ``MAX_CAUSES``."""
    if error.__cause__ is None and error.__context__ is None:
        return ()
    found: list[BaseException] = []
    seen = {id(error)}
    for _ in range(MAX_CAUSES):
        cause = error.__cause__
        if cause is None and not error.__suppress_context__:
            cause = error.__context__
        if cause is None or id(cause) in seen:
            break
        seen.add(id(cause))
        found.append(cause)
        error = cause
    return found


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the members of a group that are no groups, in order, at most ``MAX_LEAVES``."""
    found: list[BaseException] = []
    for leaf in _walk(group):
        found.append(leaf)
        if len(found) == MAX_LEAVES:
            break
    return found


def count_leaves(group: BaseExceptionGroup[BaseException]) -> int:
    """Return how many members that are no groups a group has, at most ``MOST_LEAVES``."""
    count = 0
    for count, _ in enumerate(_walk(group), 1):
        if count == MOST_LEAVES:
            break
    return count


def _walk(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(error.exceptions))
        else:
            yield error
