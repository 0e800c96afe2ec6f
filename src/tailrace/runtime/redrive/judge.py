"""Whether a dead letter may be redriven, and what to be careful about: pure decisions."""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.model.letter import DeadLetter, LetterState
from tailrace.runtime.redrive.outcome import RedriveMode
from tailrace.runtime.redrive.outlook import FlowToday


def refusal(letter: DeadLetter, today: FlowToday, *, mode: str, force: bool) -> str:
    """Return why a letter is not redriven as things stand; empty when it may be."""
    if letter.state != LetterState.OPEN:
        return _not_open(letter)
    if today.problem:
        return today.problem
    if letter.kind == "run" and mode == RedriveMode.NODE and not letter.node_id:
        return "no node of it failed, so there is none to run alone; use the mode new-run"
    if force:
        return ""
    if letter.category == "permanent":
        what = letter.type or "its failure"
        return f"{what} is permanent and would come again; mend its cause, then force it"
    if today.changed and mode != RedriveMode.NEW_RUN:
        return (
            f"what it has finished is not what the flow would do now: {_shown(today)}; force it"
            " to reuse the old outputs, or use the mode new-run"
        )
    return ""


def cautions(letter: DeadLetter, today: FlowToday, *, mode: str, force: bool) -> tuple[str, ...]:
    """Return what to look at before a letter is redriven, each in one line."""
    return tuple(_cautions(letter, today, mode=mode, force=force))


def _cautions(letter: DeadLetter, today: FlowToday, *, mode: str, force: bool) -> Iterator[str]:
    if force and letter.category == "permanent":
        yield "its failure is permanent; without a mended cause it fails again"
    if letter.crash_attempts:
        yield f"{letter.crash_attempts} process(es) died over it"
    if today.changed and mode != RedriveMode.NEW_RUN:
        yield f"outputs of other code are reused: {_shown(today)}"
    elif letter.code_version and today.code_version not in {"", letter.code_version}:
        yield "its code has changed since it failed"
    if today.keyed.get(letter.task_ref) is False:
        yield (
            f"{letter.node_id or letter.task_ref} does not ask for ctx.idempotency_key; what it"
            " did before it failed may happen again"
        )


def _shown(today: FlowToday) -> str:
    return ", ".join(f"{path} ({how})" for path, how in sorted(today.changed.items()))


def _not_open(letter: DeadLetter) -> str:
    match letter.state:
        case LetterState.PARKED:
            return "it is parked; reopen it first"
        case LetterState.REDRIVING:
            return "it is being redriven already"
        case _:
            return f"it is {letter.state}"
