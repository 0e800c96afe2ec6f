"""How often groups failed in each part of a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tailrace.model.failure import FailureFilter, FailureGroup

if TYPE_CHECKING:
    from tailrace.cli.stores import AnyFailures

PARTS = 7
"""Parts of the time that is looked at: days, where it is a week."""


def trends(
    log: AnyFailures,
    groups: Sequence[FailureGroup],
    wanted: FailureFilter,
    *,
    now_ns: int,
) -> dict[str, list[int]]:
    """Return failures per part of the filter's time by fingerprint, the oldest part first.

    Where the filter does not say when it begins, it is at the first failure of the groups.
    """
    start = wanted.since_ns
    if start is None:
        start = min((group.first_ns for group in groups), default=now_ns)
    end = now_ns + 1 if wanted.until_ns is None else wanted.until_ns
    width = max(1, -(-(end - start) // PARTS))
    edges = [start + part * width for part in range(PARTS)]
    return log.trends(wanted, [group.fp_site for group in groups], [*edges, max(end, edges[-1])])
