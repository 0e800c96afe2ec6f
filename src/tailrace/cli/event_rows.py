"""Events of the resilient stream as rows and lines."""

from __future__ import annotations

from tailrace.cli.clock_text import local_time
from tailrace.cli.failure_rows import error_text
from tailrace.cli.json_text import compact
from tailrace.cli.table_text import Cell, Column
from tailrace.model.event import Event

EVENT_COLUMNS = (
    Column(title="EVENT"),
    Column(title="AT", drop=3),
    Column(title="TYPE", flex=True),
    Column(title="SOURCE", flex=True, drop=2),
    Column(title="STATUS"),
    Column(title="CATEGORY", drop=1),
    Column(title="WHAT", flex=True, drop=4),
)
STATUS_STYLES = {
    "success": "green",
    "failed": "red",
    "dead_letter": "bold red",
    "retrying": "yellow",
    "pending": "cyan",
}


def event_row(event: Event) -> list[str | Cell]:
    """Return the row of an event."""
    return [
        event.event_id,
        local_time(event.ts_ns),
        event.type or "-",
        event.source or "-",
        Cell(event.status, STATUS_STYLES.get(event.status, "")),
        event.category or "-",
        what_text(event),
    ]


def what_text(event: Event) -> str:
    """Return its error, or else its data, whatever an older program left there."""
    error = event.body.get("error_info")
    if isinstance(error, dict) and (error.get("type") or error.get("message")):
        return error_text(str(error.get("type") or "error"), str(error.get("message") or ""))
    data = event.body.get("data")
    return compact(data) if data else "-"
