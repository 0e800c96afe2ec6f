"""``tailrace events metrics`` and ``prometheus``: the stream in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tailrace.cli.clock_text import utc_time
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, show_facts
from tailrace.cli.options import db_option, format_option
from tailrace.cli.session import current_session
from tailrace.cli.stores import event_log


@command()
@db_option
@format_option(*FORMATS)
def metrics(db: Path | None, output: str) -> int:
    """Show the stream in numbers: events, and the work they tell of.

    A piece of work that succeeded at its fourth attempt is one success with three retries.

    \b
      tailrace events metrics --format json
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.events import stream_metrics  # noqa: PLC0415 - not for --help

    found = stream_metrics(event_log(db))
    for name in ("first", "last"):
        at = found.pop(f"{name}_ns", 0)
        found[name] = utc_time(at) if at else None
    show_facts(list(_pairs(found)), output, data=lambda: found)
    return 0


def _pairs(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _pairs(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "-" if value is None else str(value)


@command()
@db_option
def prometheus(db: Path | None) -> int:
    """Show the stream's numbers in Prometheus' text format.

    \b
      tailrace events prometheus > /var/lib/node_exporter/tailrace_events.prom
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.events import prometheus_text  # noqa: PLC0415 - not for --help

    current_session().out.lines(prometheus_text(event_log(db)).splitlines())
    return 0
