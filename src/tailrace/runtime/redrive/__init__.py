"""Redrives: doing the work of dead letters again, one by one or in batches.

Names are loaded when first used: whoever pauses a batch has no use for the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.runtime.redrive.batch import Desk, find_batch, redrive
    from tailrace.runtime.redrive.outcome import RedriveMode, Rerun, RerunOutcome
    from tailrace.runtime.redrive.patch import patch_inputs
    from tailrace.runtime.redrive.preview import (
        PlannedRedrive,
        RedrivePlan,
        nothing_matches,
        plan_redrive,
    )
    from tailrace.runtime.redrive.progress import BatchState
    from tailrace.runtime.redrive.start import continue_batch, pause_batch, plan, start_batch

_HOMES = {
    "BatchState": "progress",
    "Desk": "batch",
    "PlannedRedrive": "preview",
    "RedriveMode": "outcome",
    "RedrivePlan": "preview",
    "Rerun": "outcome",
    "RerunOutcome": "outcome",
    "continue_batch": "start",
    "find_batch": "batch",
    "nothing_matches": "preview",
    "patch_inputs": "patch",
    "pause_batch": "start",
    "plan": "start",
    "plan_redrive": "preview",
    "redrive": "batch",
    "start_batch": "start",
}
"""The module of this package that defines each name."""

__all__ = [
    "BatchState",
    "Desk",
    "PlannedRedrive",
    "RedriveMode",
    "RedrivePlan",
    "Rerun",
    "RerunOutcome",
    "continue_batch",
    "find_batch",
    "nothing_matches",
    "patch_inputs",
    "pause_batch",
    "plan",
    "plan_redrive",
    "redrive",
    "start_batch",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
