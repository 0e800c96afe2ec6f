"""``tailrace trace list --lineage``: the runs that went on with each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.database import open_local
from tailrace.cli.listing import counted, show_listing
from tailrace.cli.options import Store, steps_for
from tailrace.cli.table_text import Cell, Column
from tailrace.cli.trace_json import run_to_dict
from tailrace.cli.trace_rows import STATUS_STYLES
from tailrace.model.span import RunSummary
from tailrace.tracing.account import Tally, tally

if TYPE_CHECKING:
    from tailrace.cli.remote import Server

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


def list_lineage(run_id: str, db: Store, *, limit: int, output: str) -> int:
    """List the newest runs of the chain that a run is part of, oldest first."""
    if isinstance(db, Path | None):
        links, total = _here(run_id, db, limit)
    else:
        links, total = _of_server(run_id, db, limit)
    step = f"tailrace trace diff {links[-1].run.run_id}"
    show_listing(
        links,
        output,
        columns=_COLUMNS,
        row=_row,
        data=_to_dict,
        footer=f"{counted(total, 'run')} of one lineage · what differs: {steps_for(db, step)}",
    )
    return 0


def _here(run_id: str, db: Path | None, limit: int) -> tuple[list[_Link], int]:
    with open_local(db) as reader:
        runs = reader.lineage(reader.resolve(run_id))
        links = [_Link(run=run, nodes=tally(reader.states(run.run_id))) for run in runs[-limit:]]
    return links, len(runs)


def _of_server(run_id: str, server: Server, limit: int) -> tuple[list[_Link], int]:
    from tailrace.cli.remote import open_client  # noqa: PLC0415 - most ask a database
    from tailrace.client.traces import RemoteTraces  # noqa: PLC0415 - likewise

    with RemoteTraces(open_client(server)) as traces:
        chain = traces.chain(run_id, limit=limit)
    return [_Link(run=one, nodes=one.nodes) for one in chain.items], chain.total


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
