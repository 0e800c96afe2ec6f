"""``tailrace failures watch``: failures as they happen."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from tailrace.cli.clock_text import local_time
from tailrace.cli.failure_rows import CATEGORY_STYLES, error_text, kind_text, place_text
from tailrace.cli.filters import filter_options
from tailrace.cli.following import follow_options, show_each, wait_for_look
from tailrace.cli.group import command
from tailrace.cli.json_text import compact
from tailrace.cli.listing import DATA, say
from tailrace.cli.options import Store, format_option, store_option
from tailrace.cli.session import current_session
from tailrace.cli.stores import Failures, failure_log
from tailrace.cli.struct_json import failure_to_dict
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean, cut
from tailrace.model.failure import Disposition, FailureFilter, FailureSnapshot

_MOST_AT_ONCE = 500
_LATE_NS = 60_000_000_000
"""A failure is on disk a while after it was captured: this far back is looked at again."""


@command()
@filter_options(states=[one.value for one in Disposition])
@follow_options("failures", interval=1.0, least=0.1)
@store_option
@format_option("table", *DATA)
def watch_failures(
    wanted: FailureFilter, *, interval: float, count: int | None, db: Store, output: str
) -> int:
    """Show failures as they happen, until Ctrl-C; what was there before with --since.

    \b
      tailrace failures watch
      tailrace failures watch --since 1h --state terminal --format jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    terminal = current_session().out
    log = failure_log(db)
    if output not in DATA:
        say("watching; Ctrl-C ends it")

    def line(failure: FailureSnapshot) -> str:
        return compact(failure_to_dict(failure)) if output in DATA else _line(failure, terminal)

    return show_each(follow(log, wanted, interval=interval), line, count=count)


def follow(log: Failures, wanted: FailureFilter, *, interval: float) -> Iterator[FailureSnapshot]:
    """Yield failures in the order they come, each once; ends when ``until_ns`` has passed."""
    since = time.time_ns() if wanted.since_ns is None else wanted.since_ns
    seen: dict[str, int] = {}
    while True:
        now = time.time_ns()
        recent = msgspec.structs.replace(wanted, since_ns=since)
        for failure in reversed(log.failures(recent, limit=_MOST_AT_ONCE)):
            if failure.failure_id not in seen:
                seen[failure.failure_id] = failure.captured_ns
                yield failure
        since = max(since, now - _LATE_NS)
        seen = {key: at for key, at in seen.items() if at >= since}
        if wanted.until_ns is not None and now >= wanted.until_ns:
            return
        wait_for_look(interval)


def _line(failure: FailureSnapshot, terminal: Terminal) -> str:
    kind = terminal.style(
        kind_text(failure.category, failure.class_), CATEGORY_STYLES.get(failure.category, "")
    )
    head = f"{local_time(failure.captured_ns)[11:19]}  {failure.failure_id}  {kind}  "
    rest = (
        f"{place_text(failure.flow, failure.node_id)}  {error_text(failure.type, failure.message)}"
    )
    room = max(20, terminal.width - 52)
    return head + cut(clean(rest), room, ellipsis=terminal.marks.ellipsis)
