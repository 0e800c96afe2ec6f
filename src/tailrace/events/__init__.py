"""The resilient event stream: events that are on disk before and after what they tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.events.causality import causes_of, effects_of
    from tailrace.events.drive import CurrentAttempt, current_attempt
    from tailrace.events.emitted import Emitted
    from tailrace.events.event_json import from_json, to_json
    from tailrace.events.exporter import error_report, export_events
    from tailrace.events.importer import ImportReport, follow_file, import_file
    from tailrace.events.metrics import prometheus_text, stream_metrics
    from tailrace.events.recover import Recovery
    from tailrace.events.redrive import redrive_event_letter
    from tailrace.events.stream import ResilientEventStream

_HOMES = {
    "CurrentAttempt": "drive",
    "Emitted": "emitted",
    "ImportReport": "importer",
    "Recovery": "recover",
    "ResilientEventStream": "stream",
    "causes_of": "causality",
    "current_attempt": "drive",
    "effects_of": "causality",
    "error_report": "exporter",
    "export_events": "exporter",
    "follow_file": "importer",
    "from_json": "event_json",
    "import_file": "importer",
    "prometheus_text": "metrics",
    "redrive_event_letter": "redrive",
    "stream_metrics": "metrics",
    "to_json": "event_json",
}
"""The module of this room that defines each name; loaded when first used."""

__all__ = [
    "CurrentAttempt",
    "Emitted",
    "ImportReport",
    "Recovery",
    "ResilientEventStream",
    "causes_of",
    "current_attempt",
    "effects_of",
    "error_report",
    "export_events",
    "follow_file",
    "from_json",
    "import_file",
    "prometheus_text",
    "redrive_event_letter",
    "stream_metrics",
    "to_json",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
