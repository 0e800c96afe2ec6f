"""How often groups failed in each part of a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tailrace.model.failure import FailureFilter, FailureGroup
from tailrace.ports import FailureLog

PARTS = 7
"""Parts of the time that is looked at: days, where it is a week."""


def trends(
    log: FailureLog, groups: Sequence[FailureGroup], wanted: FailureFilter, *, now_ns: int
) -> dict[str, list[int]]:
    """Return failures per part of the filter's time by fingerprint, the oldest part first.

    Where the filter does not say when it begins, it is at the first failure of the groups. Each
    part of each group is one look-up: it costs what is shown, not what there is.
    """
    start = wanted.since_ns
    if start is None:
        start = min((group.first_ns for group in groups), default=now_ns)
    end = now_ns + 1 if wanted.until_ns is None else wanted.until_ns
    width = max(1, -(-(end - start) // PARTS))
    edges = [start + part * width for part in range(PARTS)]
    return {
        group.fp_site: [_count(log, group, wanted, since, since + width) for since in edges]
        for group in groups
    }


def _count(
    log: FailureLog, group: FailureGroup, wanted: FailureFilter, since: int, until: int
) -> int:
    if group.last_ns < since or group.first_ns >= until:
        return 0
    part = msgspec.structs.replace(
        wanted, fingerprint=group.fp_site, since_ns=since, until_ns=until
    )
    return log.counts(part).get("total", {}).get("failures", 0)
