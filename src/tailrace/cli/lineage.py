"""``tailrace trace list --lineage``: the runs that went on with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.database import open_local
from tailrace.cli.listing import counted, show_listing
from tailrace.cli.table_text import Cell, Column
from tailrace.cli.trace_json import run_to_dict
from tailrace.cli.trace_rows import STATUS_STYLES
from tailrace.model.span import RunSummary
from tailrace.tracing.account import Tally, tally

_COLUMNS = (
    Column(title="RUN"),
    Column(title="STATUS"),
    Column(title="STARTED", drop=2),
    Column(title="DURATION", right=True, drop=3),
    Column(title="REUSED", right=True),
    Column(title="RAN", right=True),
    Column(title="FAILED NODE", drop=1),
    Column(title="REASON", flex=True, drop=4),
    Column(title="RESUMED FROM", drop=5),
)


class _Link(Struct, frozen=True, kw_only=True):
    run: RunSummary
    nodes: Tally


def list_lineage(run_id: str, db: Path | None, *, limit: int, output: str) -> int:
    """List the newest runs of the chain that a run is part of, oldest first."""
    with open_local(db) as reader:
        runs = reader.lineage(reader.resolve(run_id))
        links = [_Link(run=run, nodes=tally(reader.states(run.run_id))) for run in runs[-limit:]]
    show_listing(
        links,
        output,
        columns=_COLUMNS,
        row=_row,
        data=_to_dict,
        footer=f"{counted(len(runs), 'run')} of one lineage"
        f" · what differs: tailrace trace diff {links[-1].run.run_id}",
    )
    return 0


def _row(link: _Link) -> list[str | Cell]:
    run, nodes = link.run, link.nodes
    return [
        run.run_id,
        Cell(run.status.value, STATUS_STYLES.get(run.status, "")),
        local_time(run.start_ns),
        duration(None if run.end_ns is None else run.end_ns - run.start_ns),
        f"{nodes.reused:,}",
        f"{nodes.ran:,}",
        run.failed_node or "-",
        run.reason or "-",
        run.resumed_from or "-",
    ]


def _to_dict(link: _Link) -> dict[str, Any]:
    nodes = link.nodes
    counts = {
        "reused": nodes.reused,
        "ran": nodes.ran,
        "failed": nodes.failed,
        "skipped": nodes.skipped,
    }
    return run_to_dict(link.run) | {"nodes": counts}
