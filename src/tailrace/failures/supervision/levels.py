"""The scopes a failure passes, from the inside out, and the step from one to the next."""

from __future__ import annotations

from msgspec.structs import replace

from tailrace.model.failure import (
    INITIAL,
    MOST_HOPS,
    Disposition,
    EscalationStage,
    FailureSnapshot,
    Hop,
    ScopeLevel,
)

LEVELS = tuple(ScopeLevel)
"""Task, node, flow, run, worker, root."""
_KEPT_STAGES = 64
_STAGES = (
    INITIAL,
    *(EscalationStage(kind="escalated", count=count) for count in range(1, _KEPT_STAGES)),
)
_BY_START = {level.value[:3]: level.value for level in LEVELS}
"""Three letters tell the levels of segments apart; a hop has no time for more."""
_OPEN, _TASK = Disposition.OPEN.value, ScopeLevel.TASK.value


def is_around(outer: ScopeLevel, inner: ScopeLevel) -> bool:
    """Return whether scopes of level ``outer`` lie around those of level ``inner``."""
    return LEVELS.index(outer) > LEVELS.index(inner)


def stage_at(hops: int) -> EscalationStage:
    """Return the stage of a failure that has crossed so many scope boundaries."""
    if hops < _KEPT_STAGES:
        return _STAGES[hops]
    return EscalationStage(kind="escalated", count=min(hops, MOST_HOPS))


def advance(
    snapshot: FailureSnapshot,
    directive: str,
    at_ns: int,
    reason: str = "",
    policy_ref: str = "",
    *,
    disposition: str = _OPEN,
) -> FailureSnapshot:
    """Return the failure one scope further out, where ``directive`` was decided.

    Its id, origin and instant of capture stay. A failure at the root stays there.
    """
    path = snapshot.path[:-1]
    if not path:
        return replace(snapshot, disposition=disposition)
    level = _BY_START.get(path[-1][:3], _TASK)
    trail = (*snapshot.trail, Hop(level, path, directive, policy_ref, reason, at_ns))
    hops = len(trail)
    return replace(
        snapshot,
        path=path,
        level=level,
        stage=_STAGES[hops] if hops < _KEPT_STAGES else stage_at(hops),
        trail=trail,
        disposition=disposition,
    )
