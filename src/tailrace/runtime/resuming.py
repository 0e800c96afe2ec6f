"""Going on with a run: a new one that reuses what the old one has finished."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tailrace.engine import Reuse
from tailrace.errors import DefinitionError, RunError
from tailrace.model import FlowPlan, RunId
from tailrace.runtime.fingerprint import changed_nodes, node_fingerprints, static_path, steps_of
from tailrace.runtime.invalidate import invalidate
from tailrace.runtime.resume import LineageReader, load_reuse


class OnChange(StrEnum):
    """What to do about finished nodes whose code or definition has changed since."""

    REFUSE = "refuse"
    RERUN = "rerun"
    """Run them, and all that depends on them, again."""
    KEEP = "keep"
    """Reuse what the old code gave."""


class ResumeRefused(RunError):  # noqa: N818 - reads as the state it reports
    """What a run has finished was made by other code than there is now."""

    default_code = "TR310"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeFrom:
    """Which run to go on with, and from where."""

    run_id: str
    nodes: tuple[str, ...] = ()
    """Static paths of nodes to run again, with all that depends on them."""
    on_change: OnChange = OnChange.REFUSE


def reusable(reader: LineageReader, plan: FlowPlan, wanted: ResumeFrom) -> Reuse:
    """Return what a new run may reuse.

    Raises:
        NotFound: there is no such run.
        DefinitionError: a node to start from is unknown (TR311).
        ResumeRefused: finished nodes have changed; ``details`` says which (TR310).
    """
    known = {path for path, _ in steps_of(plan.scope)}
    unknown = [name for name in wanted.nodes if name not in known]
    if unknown:
        raise _no_node(unknown[0], known)
    reuse = load_reuse(reader, wanted.run_id)
    finished = {static_path(path) for path in reuse.stored}
    old = {
        path: name
        for path, name in reader.fingerprints(RunId(wanted.run_id)).items()
        if path in finished
    }
    changed = changed_nodes(old, node_fingerprints(plan))
    roots = set(wanted.nodes)
    if changed and wanted.on_change is OnChange.RERUN:
        roots |= changed.keys()
    if roots:
        reuse = invalidate(reuse, plan, roots)
    left = {path: how for path, how in changed.items() if _is_left(path, reuse)}
    if left and wanted.on_change is OnChange.REFUSE:
        raise _changed(wanted.run_id, left)
    return reuse


def _is_left(path: str, reuse: Reuse) -> bool:
    return any(static_path(stored) == path for stored in reuse.stored)


def _no_node(name: str, known: Collection[str]) -> DefinitionError:
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    near = get_close_matches(name, known, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return DefinitionError(
        f"the flow has no node {name!r} (known: {', '.join(sorted(known))}){meant}", code="TR311"
    )


def _changed(run_id: str, changed: Mapping[str, str]) -> ResumeRefused:
    shown = ", ".join(f"{path} ({how})" for path, how in sorted(changed.items()))
    return ResumeRefused(
        f"what run {run_id} has finished is not what the flow would do now: {shown}",
        hint="run those again with --rerun-changed, or use their old outputs with --force",
        details={"run_id": run_id, "changed": dict(changed)},
    )
