"""The way of a failure as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.cli.clock_text import local_time
from tailrace.cli.table_text import Cell, Column
from tailrace.model.failure import Hop

HOP_COLUMNS = (
    Column(title="REACHED"),
    Column(title="PATH", flex=True),
    Column(title="DECIDED"),
    Column(title="REASON", flex=True),
    Column(title="POLICY", drop=2),
    Column(title="AT", drop=1),
)
_RUN = "run:"
_STYLES = {"resume": "green", "retry": "yellow", "restart": "yellow", "stop": "red"}


def hop_row(hop: Hop) -> list[str | Cell]:
    """Return the row of one hop."""
    return [
        hop.level,
        _place(hop.path),
        Cell(hop.directive, _STYLES.get(hop.directive, "")),
        hop.reason or "-",
        hop.policy_ref or "-",
        local_time(hop.at_ns),
    ]


def _place(path: Sequence[str]) -> str:
    """Return the path within its run, which is the same for all hops but those beyond it."""
    runs = [place for place, segment in enumerate(path) if segment.startswith(_RUN)]
    inner = path[runs[0] + 1 :] if runs else ()
    return " / ".join(inner or path[-1:]) or "-"
