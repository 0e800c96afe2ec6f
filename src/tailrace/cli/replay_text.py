"""Replayed nodes as text for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tailrace.cli.clock_text import duration
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean, cut, pad
from tailrace.tracing.summary import summarize, summarize_inputs

if TYPE_CHECKING:
    from tailrace.model import FailureRecord
    from tailrace.runtime.replay import (
        Difference,
        RecordedFailure,
        ReplayedNode,
        ReplayedRun,
        Trial,
    )

_SHOWN = 3
"""Iterations of one node that are shown before the others are only counted."""
_MOST = 10
"""Nodes that are listed by name where many were skipped."""
_NAME = 24
"""Cells of the longest name to which others are aligned."""
_VERDICTS = {"equal": "green", "different": "red", "unknown": "yellow"}


def show_run(
    replayed: ReplayedRun, terminal: Terminal, *, fold: bool, is_whole: bool
) -> Iterator[str]:
    """Yield a run node by node; with ``fold`` most iterations of a loop are only counted."""
    run = replayed.run
    words = (terminal.style(clean(run.flow), "bold"), run.run_id, run.status.value)
    yield "  ".join((*words, "replayed: nothing ran"))
    yield ""
    yield from show_nodes(replayed.nodes, terminal, fold=fold)
    if is_whole:
        yield from _rest(replayed, terminal)


def _rest(replayed: ReplayedRun, terminal: Terminal) -> Iterator[str]:
    dots = terminal.marks.ellipsis
    for path, reason in list(replayed.skipped.items())[:_MOST]:
        yield f"{terminal.marks.skipped} {clean(path)}  {clean(reason)}"
    if len(replayed.skipped) > _MOST:
        yield f"{dots} {len(replayed.skipped) - _MOST:,} more were skipped"
    if replayed.gone:
        shown = ", ".join(map(clean, replayed.gone[:_MOST]))
        yield f"recorded, but in the flow no more: {shown}"


def show_nodes(nodes: Sequence[ReplayedNode], terminal: Terminal, *, fold: bool) -> Iterator[str]:
    """Yield what went into each node and what came out."""
    kinds = [_kind(node.path) for node in nodes]
    hidden = _hidden(nodes, kinds) if fold else frozenset()
    left = Counter(kinds[place] for place in hidden)
    for place, node in enumerate(nodes):
        if place not in hidden:
            yield from _node(node, terminal)
        elif count := left.pop(kinds[place], 0):
            text = f"{terminal.marks.ellipsis} {count:,} more of {clean(kinds[place])}"
            yield terminal.style(f"{text}: --all shows them", "dim")


def _hidden(nodes: Sequence[ReplayedNode], kinds: Sequence[str]) -> frozenset[int]:
    """Return the places of iterations that are only counted: all but the first, and failures."""
    seen = Counter[str]()
    hidden: set[int] = set()
    for place, (node, kind) in enumerate(zip(nodes, kinds, strict=True)):
        seen[kind] += 1
        if node.path != kind and seen[kind] > _SHOWN and node.failure is None:
            hidden.add(place)
    return frozenset(hidden)


def _kind(path: str) -> str:
    from tailrace.runtime.fingerprint import static_path  # noqa: PLC0415 - --help needs no runtime

    return static_path(path)


def _node(node: ReplayedNode, terminal: Terminal) -> Iterator[str]:
    mark, style = _mark(node, terminal)
    facts = [terminal.style(mark, style), terminal.style(clean(node.path), "bold")]
    if node.span is not None:
        facts.append(duration(node.span.duration_ns))
    if node.reused_from:
        facts.append(f"from run {node.reused_from}")
    if node.has_changed:
        facts.append(terminal.style("changed since", "yellow"))
    yield "  ".join((f"{facts[0]} {facts[1]}", *facts[2:]))
    recorded = {} if node.record is None else node.record.inputs
    for name, text in summarize_inputs(node.inputs).items():
        if name in node.missing:
            yield _row(name, f"({_missing(node.missing[name], recorded.get(name))})", terminal)
            continue
        yield _row(name, _text(text), terminal)
        if name in node.drift:
            yield _row("", f"(recorded as {_text(node.drift[name])})", terminal)
    arrow = "→" if terminal.unicode else "->"
    yield _row(arrow, _came_out(node), terminal)


def _missing(why: str, recorded: Any) -> str:
    return f"not known: {why}" + ("" if recorded is None else f"; recorded as {_text(recorded)}")


def _mark(node: ReplayedNode, terminal: Terminal) -> tuple[str, str]:
    marks = terminal.marks
    match node.state:
        case "SUCCEEDED":
            return marks.done, "green"
        case "FAILED":
            return marks.failed, "red"
        case "INTERRUPTED":
            return marks.interrupted, "yellow"
        case "CANCELLED":
            return marks.cancelled, "yellow"
        case _:
            return marks.pending, "dim"


def _came_out(node: ReplayedNode) -> str:
    if node.failure is not None:
        place = f"  at {node.failure.location}" if node.failure.location else ""
        handled = node.record.handled_by if node.record is not None else ""
        went_on = f"  (on_error: {handled})" if handled else ""
        return _failure(node.failure) + place + went_on
    return _text(summarize(node.output)) if node.has_output else f"({node.why})"


def _failure(failure: RecordedFailure | FailureRecord) -> str:
    return f"{failure.type}: {failure.message}"


def _text(summary: Any) -> str:
    return summary if isinstance(summary, str) else compact(summary)


def _row(name: str, text: str, terminal: Terminal) -> str:
    line = f"    {pad(clean(name), min(_NAME, 10))} {clean(text)}"
    return cut(line, max(terminal.width, 40), ellipsis=terminal.marks.ellipsis)


def show_trial(head: Iterable[str], trial: Trial, terminal: Terminal) -> Iterator[str]:
    """Yield how what the code gives now compares with what was recorded, below ``head``."""
    yield from head
    now = _text(summarize(trial.output)) if trial.failure is None else _failure(trial.failure)
    yield _row("now", now, terminal)
    yield ""
    verdict = terminal.style(trial.verdict.value, f"bold {_VERDICTS[trial.verdict.value]}")
    note = f"  ({clean(trial.note)})" if trial.note else ""
    yield f"{verdict}{note}"
    for one in trial.differences:
        yield from _difference(one, terminal)


def _difference(one: Difference, terminal: Terminal) -> Iterator[str]:
    place = clean(one.place) or "(the whole)"
    if one.kind != "added":
        yield terminal.style(f"- {place}  {clean(_text(summarize(one.before)))}", "red")
    if one.kind != "removed":
        yield terminal.style(f"+ {place}  {clean(_text(summarize(one.after)))}", "green")


def nodes_to_json(nodes: Iterable[ReplayedNode], output: str) -> list[str]:
    """Return the nodes as lines of JSON."""
    found = [node_to_dict(node) for node in nodes]
    return [pretty(found)] if output == "json" else [compact(one) for one in found]


def node_to_dict(node: ReplayedNode) -> dict[str, Any]:
    """Return a node for programs; inputs and output as they are, secrets by name redacted."""
    return {
        "path": node.path,
        "run_id": node.run_id or None,
        "reused_from": node.reused_from or None,
        "state": node.state or None,
        "inputs": _shown(node.inputs, node.missing),
        "missing": dict(node.missing),
        "drift": dict(node.drift),
        "output": node.output if node.has_output else None,
        "has_output": node.has_output,
        "why": node.why or None,
        "failure": None if node.failure is None else _failure_to_dict(node.failure),
        "has_changed": node.has_changed,
        "duration_ns": None if node.span is None else node.span.duration_ns,
    }


def _shown(inputs: Mapping[str, Any], missing: Mapping[str, str]) -> dict[str, Any]:
    from tailrace.model.secret import REDACTED, is_secret  # noqa: PLC0415 - only for programs

    return {
        name: REDACTED if is_secret(name, value) else value
        for name, value in inputs.items()
        if name not in missing
    }


def _failure_to_dict(failure: RecordedFailure | FailureRecord) -> dict[str, Any]:
    names = ("type", "message", "category", "fingerprint", "location")
    return {name: getattr(failure, name) for name in names}


def trial_to_json(node: Mapping[str, Any], trial: Trial, output: str) -> list[str]:
    """Return a trial as one JSON document; ``node`` is its node's ``node_to_dict``."""
    body = {
        "node": dict(node),
        "verdict": trial.verdict.value,
        "note": trial.note or None,
        "output": trial.output,
        "failure": None if trial.failure is None else _failure_to_dict(trial.failure),
        "duration_s": trial.duration,
        "differences": [
            {"place": d.place, "kind": d.kind, "before": d.before, "after": d.after}
            for d in trial.differences
        ],
    }
    return [pretty(body) if output == "json" else compact(body)]
