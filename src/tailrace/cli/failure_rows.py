"""Failures and their groups as rows of tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tailrace.cli.advice import advice
from tailrace.cli.clock_text import ago, local_time
from tailrace.cli.sparkline import sparkline
from tailrace.cli.table_text import Cell, Column
from tailrace.cli.terminal import Terminal
from tailrace.model.failure import FailureGroup, FailureSnapshot, GroupState

_PREFIX = "v1:"
_LEAST_DIGITS = 8
CATEGORY_STYLES = {
    "transient": "yellow",
    "timeout": "yellow",
    "permanent": "red",
    "unknown": "magenta",
    "cancelled": "dim",
}
STATE_STYLES = {
    "open": "red",
    "regressed": "bold red",
    "parked": "yellow",
    "redriving": "cyan",
    "resolved": "green",
    "ignored": "dim",
    "discarded": "dim",
}
FAILURE_COLUMNS = (
    Column(title="FAILURE"),
    Column(title="AT", drop=2),
    Column(title="CATEGORY", drop=3),
    Column(title="FLOW/NODE", flex=True, drop=1),
    Column(title="ATTEMPT", right=True, drop=5),
    Column(title="STANDS", drop=4),
    Column(title="ERROR", flex=True, least=24),
)
GROUP_COLUMNS = (
    Column(title="GROUP"),
    Column(title="COUNT", right=True),
    Column(title="TREND"),
    Column(title="RUNS", right=True, drop=3),
    Column(title="CATEGORY", drop=2),
    Column(title="FLOW/NODE", flex=True),
    Column(title="LAST ERROR", flex=True, least=24),
    Column(title="WHERE", drop=7),
    Column(title="FIRST", drop=6),
    Column(title="LAST", drop=4),
    Column(title="STATE", drop=5),
    Column(title="LETTERS", right=True, drop=1),
    Column(title="ADVICE"),
)


def kind_text(category: str, class_: str) -> str:
    """Return such as ``transient/network``; a class that says no more is left out."""
    return category if class_ in {"", "unknown", category} else f"{category}/{class_}"


def place_text(flow: str, node: str) -> str:
    """Return ``flow/node``, or what there is of it."""
    return "/".join(part for part in (flow, node) if part) or "-"


def error_text(type_name: str, message: str) -> str:
    """Return ``TimeoutError: message``, the class without its module."""
    name = type_name.rpartition(".")[2]
    return f"{name}: {message}" if message else name


def failure_row(failure: FailureSnapshot) -> list[str | Cell]:
    """Return the row of a failure."""
    return [
        failure.failure_id,
        local_time(failure.captured_ns),
        Cell(
            kind_text(failure.category, failure.class_),
            CATEGORY_STYLES.get(failure.category, ""),
        ),
        place_text(failure.flow, failure.node_id),
        f"{failure.attempt}/{failure.max_attempts}" if failure.max_attempts else "-",
        failure.disposition,
        error_text(failure.type, failure.message),
    ]


def short_fingerprints(fingerprints: Iterable[str], terminal: Terminal) -> dict[str, str]:
    """Return how each fingerprint is written.

    Whole in pipes. On a terminal as a beginning that is enough to find it by: eight digits, or as
    many as tell those that are shown apart.
    """
    every = set(fingerprints)
    if not terminal.is_tty:
        return {fingerprint: fingerprint for fingerprint in every}
    longest = max(map(len, every), default=0)
    size = len(_PREFIX) + _LEAST_DIGITS
    while size < longest and len({one[:size] for one in every}) < len(every):
        size += 1
    return {fingerprint: fingerprint[:size] for fingerprint in every}


def group_row(
    group: FailureGroup,
    *,
    names: Mapping[str, str],
    trend: Sequence[int],
    now_ns: int,
    unicode: bool = True,
) -> list[str | Cell]:
    """Return the row of a group.

    Args:
        group: the group, its counts those of the time that was asked for.
        names: how fingerprints are written.
        trend: failures per day, the oldest first.
        now_ns: the present.
        unicode: whether the trend may be drawn with blocks.
    """
    wanted = advice(group.category, group.class_, open_letters=group.open_letters)
    return [
        Cell(names[group.fp_site], "bold"),
        f"{group.count:,}",
        sparkline(trend, unicode=unicode),
        f"{group.runs:,}",
        Cell(kind_text(group.category, group.class_), CATEGORY_STYLES.get(group.category, "")),
        place_text(group.flow, group.node_id),
        _title(group),
        group.location or "-",
        ago(group.first_ns, now_ns),
        ago(group.last_ns, now_ns),
        Cell(group.state, STATE_STYLES.get(group.state, "")),
        f"{group.open_letters:,}" if group.open_letters else "-",
        Cell(wanted, "bold"),
    ]


def _title(group: FailureGroup) -> str:
    """Return the newest error; that a group has come back is seen at every width."""
    title = group.title or group.type
    return f"(regressed) {title}" if group.state == GroupState.REGRESSED else title
