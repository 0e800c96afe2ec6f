"""One failure in full, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tailrace.cli.advice import REDRIVE, advice
from tailrace.cli.clock_text import local_time
from tailrace.cli.failure_rows import error_text, kind_text, place_text
from tailrace.cli.hop_rows import HOP_COLUMNS, hop_row
from tailrace.cli.table_text import escape_markdown, render_markdown, render_pairs, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean
from tailrace.model.failure import FailureSnapshot, Frame
from tailrace.model.letter import DeadLetter


def failure_lines(
    failure: FailureSnapshot,
    letters: Sequence[DeadLetter],
    terminal: Terminal,
    *,
    with_stack: bool = False,
    store: str = "",
) -> list[str]:
    """Return facts, stack and trail; without ``with_stack`` frames of libraries are counted."""
    headline = clean(error_text(failure.type, failure.message))
    lines = [terminal.style(headline, "bold red"), ""]
    lines += render_pairs(list(_facts(failure, letters)), terminal)
    frames = list(_frames(failure.frames, with_stack=with_stack))
    if frames:
        lines += ["", terminal.style("stack, the innermost last", "bold"), *map(clean, frames)]
    if failure.trail:
        rows = [hop_row(hop) for hop in failure.trail]
        lines += ["", *render_table(HOP_COLUMNS, rows, terminal)]
    steps = next_steps(failure, letters, store)
    return [*lines, "", *(terminal.style(f"next: {step}", "dim") for step in steps)]


def failure_markdown(
    failure: FailureSnapshot, letters: Sequence[DeadLetter], *, store: str = ""
) -> list[str]:
    """Return a Markdown document of facts, stack and trail."""
    lines = [f"# {escape_markdown(clean(error_text(failure.type, failure.message)))}", ""]
    lines += ["| fact | value |", "|---|---|"]
    for name, value in _facts(failure, letters):
        lines.append(f"| {name} | {escape_markdown(clean(value))} |")
    frames = list(_frames(failure.frames, with_stack=True))
    if frames:
        lines += ["", "## Stack", ""]
        lines += [f"    {clean(frame)}" for frame in frames]
    if failure.trail:
        rows = [hop_row(hop) for hop in failure.trail]
        lines += ["", "## Trail", "", *render_markdown(HOP_COLUMNS, rows)]
    steps = next_steps(failure, letters, store)
    return [*lines, "", "## Next steps", "", *(f"- `{step}`" for step in steps)]


def next_steps(
    failure: FailureSnapshot, letters: Sequence[DeadLetter], store: str = ""
) -> list[str]:
    """Return commands to type next; ``store`` is the options that name where they look."""
    steps = [f"tailrace trace show {failure.run_id}"] if failure.run_id else []
    if failure.fp_site:
        steps.append(f"tailrace failures groups show {failure.fp_site}")
    wanted = advice(failure.category, failure.class_, open_letters=len(letters))
    if wanted == REDRIVE:
        steps += [f"tailrace dlq redrive {letter.dl_id}" for letter in letters[:1]]
    else:
        steps += [f"tailrace dlq show {letter.dl_id}" for letter in letters[:1]]
    return [f"{step}{store}" for step in steps]


def _facts(failure: FailureSnapshot, letters: Sequence[DeadLetter]) -> Iterator[tuple[str, str]]:
    facts = (
        ("failure", failure.failure_id),
        ("type", failure.type),
        ("category", kind_text(failure.category, failure.class_)),
        ("rule", failure.rule),
        ("outcome", _outcome(failure)),
        ("at", f"{failure.location}  {failure.source_line}".strip()),
        ("function", failure.function),
        ("when", local_time(failure.captured_ns)),
        ("where", place_text(failure.flow, failure.node_id)),
        ("task", failure.task_ref),
        ("attempt", _attempt(failure)),
        ("retry after", "" if failure.retry_after_s is None else f"{failure.retry_after_s:g} s"),
        *(("caused by", error_text(cause.type, cause.message)) for cause in failure.cause_chain),
        *(("member", error_text(child.type, child.message)) for child in failure.children),
        ("members", f"{failure.child_count:,}" if failure.child_count else ""),
        *(("note", note) for note in failure.notes),
        ("tags", _tags(failure)),
        ("run", failure.run_id),
        ("input", failure.input_digest),
        ("code", failure.code_version),
        ("policy", failure.policy_ref),
        ("fingerprint", failure.fp_site),
        ("with message", failure.fp_template),
        ("process", _process(failure)),
        ("redacted", ", ".join(failure.redacted)),
        *((f"{letter.state} letter", letter.dl_id) for letter in letters),
    )
    return ((name, value) for name, value in facts if value)


def _outcome(failure: FailureSnapshot) -> str:
    why = f", given up: {failure.given_up}" if failure.given_up else ""
    return f"{failure.disposition}{why}"


def _attempt(failure: FailureSnapshot) -> str:
    if not failure.attempt:
        return ""
    allowed = f" of {failure.max_attempts}" if failure.max_attempts else ""
    redriven = f", redrive {failure.generation}" if failure.generation else ""
    return f"{failure.attempt}{allowed}{redriven}"


def _tags(failure: FailureSnapshot) -> str:
    shown = ", ".join(f"{key}={value}" for key, value in failure.tags)
    more = f" ({failure.dropped_tags} more were not kept)" if failure.dropped_tags else ""
    return f"{shown}{more}"


def _process(failure: FailureSnapshot) -> str:
    origin = failure.origin
    parts = (
        f"{origin.source}" if origin.source != "task" else "",
        f"pid {origin.pid}" if origin.pid else "",
        f"thread {origin.thread}" if origin.thread else "",
        f"host {origin.host}" if origin.host else "",
        f"worker {failure.worker_id}" if failure.worker_id else "",
    )
    return ", ".join(part for part in parts if part)


def _frames(frames: Sequence[Frame], *, with_stack: bool) -> Iterator[str]:
    """Yield the user's own frames, or all; runs of others are counted."""
    own = any(frame.in_app for frame in frames)
    left_out = 0
    for frame in frames:
        if own and not (frame.in_app or with_stack):
            left_out += 1
            continue
        if left_out:
            yield _left_out(left_out)
            left_out = 0
        yield f"  {frame.file}:{frame.line} in {frame.function}"
    if left_out:
        yield _left_out(left_out)


def _left_out(count: int) -> str:
    return f"  ({count} frame{'' if count == 1 else 's'} of libraries: --with-stack)"
