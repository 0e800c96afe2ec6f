"""What becomes of a group of equal failures: pure decisions, the same for every store."""

from __future__ import annotations

from tailrace.model.failure import GroupState


def state_after(
    state: str, *, at_ns: int, ignored_until_ns: int = 0, version: int = 0, resolved: int = 0
) -> str:
    """Return a group's state after a failure of it was seen.

    Versions are numbered in the order in which a store saw them first; 0 is an unknown one. A
    resolved group comes back only with newer code: what older code does proves nothing.

    Args:
        state: the group's state before.
        at_ns: when the failure happened, in nanoseconds since the epoch.
        ignored_until_ns: when an ignored group opens again; 0: never.
        version: of the code that failed.
        resolved: of the code that had failed last when the group was resolved.
    """
    match state:
        case GroupState.RESOLVED if version > resolved:
            return GroupState.REGRESSED.value
        case GroupState.IGNORED if 0 < ignored_until_ns <= at_ns:
            return GroupState.OPEN.value
        case _:
            return state
