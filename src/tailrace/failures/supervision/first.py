"""A failure of a run as it stands where it was raised."""

from __future__ import annotations

from tailrace.failures.snapshot import host_name, snapshot_of
from tailrace.failures.supervision.context import RunContext
from tailrace.model.failure import FailureSnapshot, Origin
from tailrace.model.ids import span_id
from tailrace.model.journal import FailureOrigin, FailureRecord


def first_snapshot(
    failure: FailureRecord, origin: FailureOrigin, context: RunContext, around: tuple[str, ...]
) -> FailureSnapshot:
    """Return the failure at its origin, which lies inside the run with path ``around``."""
    place = Origin(
        around + origin.path, "task", failure.thread, failure.pid, context.host or host_name()
    )
    return snapshot_of(
        failure,
        origin=place,
        run_id=context.run_id,
        flow=context.flow,
        node_id=origin.node,
        attempt=origin.attempt,
        generation=context.generation,
        code_version=context.code_version,
        worker_id=context.worker_id,
        span_id=span_id(context.span_base, origin.span) if origin.span else "",
    )
