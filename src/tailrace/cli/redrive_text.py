"""Redrives in words: what one would do, and how a batch stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tailrace.cli.failure_rows import place_text
from tailrace.cli.listing import counted
from tailrace.cli.struct_json import struct_to_dict
from tailrace.cli.table_text import Cell, Column
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean, cut
from tailrace.model.letter import Redrive, RedriveBatch

if TYPE_CHECKING:
    from tailrace.runtime.redrive import PlannedRedrive, RedrivePlan

_LISTED = 10
BATCH_COLUMNS = (
    Column(title="BATCH"),
    Column(title="STATE"),
    Column(title="TAKEN", right=True),
    Column(title="RESOLVED", right=True),
    Column(title="FAILED", right=True),
    Column(title="PARKED", right=True, drop=2),
    Column(title="BY", drop=1),
    Column(title="SINCE", drop=3),
    Column(title="REASON", flex=True, drop=4),
)
REDRIVE_COLUMNS = (
    Column(title="LETTER"),
    Column(title="REDRIVE", right=True),
    Column(title="OUTCOME"),
    Column(title="AT", drop=1),
    Column(title="RUN", drop=2),
)
STATE_STYLES = {"running": "cyan", "paused": "yellow", "done": "green", "stopped": "red"}
OUTCOME_STYLES = {"resolved": "green", "failed": "red", "lost": "yellow"}


def plan_lines(plan: RedrivePlan, terminal: Terminal) -> list[str]:
    """Return what a redrive would do, letters of one flow and node together."""
    ready, refused = plan.ready, plan.refused
    where = Counter(place_text(one.letter.flow, one.letter.node_id) for one in ready)
    places = ", ".join(f"{clean(name)} {count:,}" for name, count in where.most_common())
    changed = [name for name in ("patch", "policy") if getattr(plan, name) is not None]
    inputs = f"{' and '.join(changed)} changed" if changed else "inputs and policy unchanged"
    lines = [f"would redrive {counted(len(ready), 'letter')} ({places or 'none'}), {inputs}"]
    lines += (f"  {name:<8} {text}" for name, text in _plan_facts(ready) if text)
    for why, count in Counter(one.refusal for one in refused).most_common():
        lines.append(f"  leave    {counted(count, 'letter')}: {clean(why)}")
    left = plan.matched - len(plan.items)
    if left:
        lines.append(f"  beyond   {counted(left, 'letter')} more match than --limit takes")
    room = max(20, terminal.width)
    return [cut(line, room, ellipsis=terminal.marks.ellipsis) for line in lines]


def _plan_facts(ready: Sequence[PlannedRedrive]) -> Iterator[tuple[str, str]]:
    reuse = dict.fromkeys(name for one in ready for name in one.reuse)
    rerun = dict.fromkeys(name for one in ready for name in one.rerun)
    results = sum(one.results for one in ready)
    if reuse:
        yield "reuse", f"{clean(', '.join(reuse))}   {counted(results, 'stored result')}"
    yield "rerun", clean(", ".join(rerun))
    for text, count in Counter(text for one in ready for text in one.cautions).most_common():
        yield "caution", f"{clean(text)} ({counted(count, 'letter')})"
    for one in ready[:_LISTED]:
        yield "letter", one.letter.dl_id
    if len(ready) > _LISTED:
        yield "letter", f"and {len(ready) - _LISTED:,} more"


def plan_to_dict(plan: RedrivePlan) -> dict[str, Any]:
    """Return the plan for programs."""
    return {
        "mode": plan.mode,
        "matched": plan.matched,
        "ready": len(plan.ready),
        "refused": len(plan.refused),
        "patch": hidden(plan.patch),
        "policy": hidden(plan.policy),
        "force": plan.force,
        "letters": [
            {
                "dl_id": one.letter.dl_id,
                "flow": one.letter.flow,
                "node": one.letter.node_id,
                "refusal": one.refusal or None,
                "cautions": list(one.cautions),
                "reuse": list(one.reuse),
                "rerun": list(one.rerun),
                "results": one.results,
            }
            for one in plan.items
        ],
    }


def batch_code(batch: RedriveBatch) -> int:
    """Return the exit code of a batch: 0, 6 when some letters did not succeed, 1 when none did."""
    resolved = batch.counts.get("resolved", 0)
    failed = batch.counts.get("failed", 0)
    whole = not failed and batch.state == "done" and not batch.counts.get("refused", 0)
    if whole:
        return 0
    return 6 if resolved else 1


def batch_lines(batch: RedriveBatch) -> list[str]:
    """Return how a batch stands, in one line for people."""
    counts = ", ".join(f"{number:,} {name}" for name, number in batch.counts.items() if number)
    return [f"{batch.batch_id}: {batch.state}, {counts or 'no letters'}"]


def batch_row(batch: RedriveBatch) -> list[str | Cell]:
    """Return the row of a batch."""
    from tailrace.cli.clock_text import local_time  # noqa: PLC0415 - a plan has no times

    counts = batch.counts
    return [
        batch.batch_id,
        Cell(batch.state, STATE_STYLES.get(batch.state, "")),
        *(f"{counts.get(name, 0):,}" for name in ("claimed", "resolved", "failed", "parked")),
        batch.actor,
        local_time(batch.created_ns),
        batch.reason or "-",
    ]


def redrive_row(redrive: Redrive) -> list[str | Cell]:
    """Return the row of one letter's redrive."""
    from tailrace.cli.clock_text import local_time  # noqa: PLC0415 - likewise

    outcome = redrive.outcome or "running"
    return [
        redrive.dl_id,
        f"{redrive.generation:,}",
        Cell(outcome, OUTCOME_STYLES.get(outcome, "cyan")),
        local_time(redrive.at_ns),
        redrive.run_id or "-",
    ]


def batch_to_dict(batch: RedriveBatch) -> dict[str, Any]:
    """Return a batch for programs, without the secrets of its patch."""
    body = struct_to_dict(batch)
    return body | {name: hidden(body[name]) for name in ("patch", "policy")}


def whole_batch(batch: RedriveBatch, redrives: Sequence[Redrive]) -> dict[str, Any]:
    """Return a batch with its letters for programs."""
    return batch_to_dict(batch) | {"redrives": [struct_to_dict(one) for one in redrives]}


def hidden(order: Any) -> Any:
    """Return a patch or a policy as it may be shown: what a secret's name stands for is hidden."""
    from tailrace.store.audit import without_secrets  # noqa: PLC0415 - a plan needs no store

    return without_secrets(order)
