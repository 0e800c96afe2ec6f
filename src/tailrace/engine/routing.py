"""What a route answers, checked against where it can go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tailrace.errors import RunError
from tailrace.model import Routing


class UnknownRoute(RunError):  # noqa: N818 - reads as the state it reports
    """A route named something that does not follow it."""

    default_code = "TR309"


def chosen_routes(answer: Any, successors: Iterable[str]) -> tuple[frozenset[str], Any]:
    """Return the chosen names and the value to record: one name, or a list of several.

    Raises:
        UnknownRoute: the answer is no name, or names no successor.
    """
    target = answer.target if isinstance(answer, Routing) else answer
    if isinstance(target, str):
        names: tuple[Any, ...] = (target,)
    elif isinstance(target, list | tuple | set | frozenset):
        names = tuple(target)
    else:
        raise UnknownRoute(
            f"a route returns a name, several names or Routing(...), not {type(target).__name__}"
        )
    known = sorted(successors)
    for name in names:
        if name not in known:
            import difflib  # noqa: PLC0415 - only where a name is wrong

            near = difflib.get_close_matches(str(name), known, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownRoute(
                f"{name!r} does not follow this route (known: {', '.join(known) or 'none'}){meant}"
            )
    recorded = names[0] if isinstance(target, str) else list(names)
    return frozenset(names), recorded
