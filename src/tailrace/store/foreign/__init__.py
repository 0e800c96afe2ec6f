"""Traces from elsewhere: taking spans in, and reading them back.

Names are loaded when first used: whoever reads has no use for the writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.store.foreign.bodies import (
        pack_bodies,
        read_resource,
        read_scope,
        sealed_batch,
        spans_of,
    )
    from tailrace.store.foreign.intake import Intake, Limits
    from tailrace.store.foreign.older import OlderImport, import_older
    from tailrace.store.foreign.traces import ForeignTraces
    from tailrace.store.foreign.writer import ForeignWriter

_HOMES = {
    "ForeignTraces": "traces",
    "ForeignWriter": "writer",
    "Intake": "intake",
    "Limits": "intake",
    "OlderImport": "older",
    "import_older": "older",
    "pack_bodies": "bodies",
    "read_resource": "bodies",
    "read_scope": "bodies",
    "sealed_batch": "bodies",
    "spans_of": "bodies",
}
"""The module of this room that defines each name."""

__all__ = [
    "ForeignTraces",
    "ForeignWriter",
    "Intake",
    "Limits",
    "OlderImport",
    "import_older",
    "pack_bodies",
    "read_resource",
    "read_scope",
    "sealed_batch",
    "spans_of",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
