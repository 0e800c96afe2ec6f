"""Going on with a run: a new one that reuses what the old one has finished."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from msgspec import Struct

from tailrace.codecs import LOST, MISSING
from tailrace.engine import Reuse
from tailrace.errors import DefinitionError, RunError
from tailrace.model import FlowPlan, RunId
from tailrace.runtime.fingerprint import changed_nodes, node_fingerprints, static_path, steps_of
from tailrace.runtime.invalidate import dependants, without_nodes
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


class ResumeFrom(Struct, frozen=True, kw_only=True):
    """Which run to go on with, and from where."""

    run_id: str
    nodes: tuple[str, ...] = ()
    """Static paths of nodes to run again, with all that depends on them."""
    on_change: OnChange = OnChange.REFUSE
    found: Reusable | None = None
    """What may be reused, where that has been looked up already."""


class Reusable(Struct, frozen=True):
    """What a new run may reuse."""

    reuse: Reuse
    taken_back: frozenset[str] = frozenset()
    """Static paths of the nodes whose results are not wanted."""


def reusable(
    reader: LineageReader,
    plan: FlowPlan,
    wanted: ResumeFrom,
    *,
    fingerprints: Mapping[str, str] | None = None,
) -> Reusable:
    """Return what a new run may reuse.

    Args:
        reader: of the store that holds the earlier run.
        plan: of the flow as it is written, without altered inputs.
        wanted: the earlier run, and what of it is not wanted.
        fingerprints: those of the plan's nodes, where they are known.

    Raises:
        NotFound: there is no such run.
        DefinitionError: a node to start from is unknown (TR311).
        ResumeRefused: finished nodes have changed; ``details`` says which (TR310).
    """
    _demand_nodes(plan, wanted.nodes)
    reuse = load_reuse(reader, wanted.run_id)
    finished = {
        static_path(path)
        for path, kept in reuse.stored.items()
        if kept.codec not in {MISSING, LOST}
    }
    old = reader.fingerprints(RunId(wanted.run_id))
    known = {path: name for path, name in old.items() if path in finished}
    now = node_fingerprints(plan) if fingerprints is None else fingerprints
    changed = changed_nodes(known, now)
    roots = set(wanted.nodes)
    if wanted.on_change is OnChange.RERUN:
        roots |= changed.keys()
    gone = dependants(plan, roots) if roots else frozenset()
    left = {path: how for path, how in changed.items() if path not in gone}
    if left and wanted.on_change is OnChange.REFUSE:
        raise _changed(wanted.run_id, left)
    return Reusable(without_nodes(reuse, gone) if gone else reuse, gone)


def _demand_nodes(plan: FlowPlan, names: Collection[str]) -> None:
    if names:
        known = {path for path, _ in steps_of(plan.scope)}
        for name in names:
            if name not in known:
                raise _no_node(name, known)


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
