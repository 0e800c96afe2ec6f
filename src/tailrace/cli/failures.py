"""``tailrace failures``: what failed, and one failure in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from tailrace.cli.failure_detail import failure_lines, failure_markdown
from tailrace.cli.failure_rows import FAILURE_COLUMNS, failure_row
from tailrace.cli.filters import GAVE_UP, filter_options
from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.listing import FORMATS, counted, say, show_listing, show_one
from tailrace.cli.newest import find_failure
from tailrace.cli.options import Store, format_option, limit_option, store_flags, store_option
from tailrace.cli.session import current_session, finish
from tailrace.cli.stores import failure_log, letters_of
from tailrace.cli.struct_json import failure_to_dict
from tailrace.cli.table_text import Column, render_markdown, render_pairs
from tailrace.model.failure import Disposition, FailureFilter

Counts = Mapping[str, Mapping[str, int]]
_STATUS_COLUMNS = (
    Column(title="OF"),
    Column(title="WHAT"),
    Column(title="COUNT", right=True),
)
_TITLES = {
    "category": "by category",
    "class": "by class",
    "disposition": "by outcome",
    "groups": "groups",
    "letters": "dead letters",
    "letter_reasons": "given up for",
}
fail_if_option = click.option(
    "--fail-if", is_flag=True, help="Exit 1 when something is found: for cron and CI."
)


@command()
@filter_options(gave_up=GAVE_UP)
@fail_if_option
@store_option
@format_option(*FORMATS)
def status(wanted: FailureFilter, *, fail_if: bool, db: Store, output: str) -> int:
    """Show exact counts of failures, groups and dead letters.

    \b
      tailrace failures status
      tailrace failures status --since 24h --flow nightly
      tailrace failures status --since 1h --fail-if || page-somebody
    """  # noqa: D301 - \b is click's mark for lines to keep
    counts = failure_log(db).counts(wanted)
    total = _total(counts)
    code = finish(1 if fail_if and total else 0)
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty(counts)])
        case "jsonl":
            terminal.lines(
                compact({"of": of, "what": what, "count": count})
                for of, what, count in _flat(counts)
            )
        case "markdown":
            rows = [(of, what, f"{count:,}") for of, what, count in _flat(counts)]
            terminal.lines(render_markdown(_STATUS_COLUMNS, rows))
        case _:
            terminal.lines(render_pairs(list(_pairs(counts)), terminal))
            if total:
                say(
                    "what hurts most: tailrace failures groups · what a redrive may heal:"
                    " tailrace failures candidates"
                )
    return code


def _total(counts: Counts) -> int:
    return counts.get("total", {}).get("failures", 0)


def _flat(counts: Counts) -> Iterator[tuple[str, str, int]]:
    for of, numbers in counts.items():
        for what, count in numbers.items():
            yield of, what, count


def _pairs(counts: Counts) -> Iterator[tuple[str, str]]:
    yield "failures", f"{_total(counts):,}"
    for key, title in _TITLES.items():
        numbers = {what: count for what, count in counts.get(key, {}).items() if count}
        ordered = sorted(numbers.items(), key=lambda one: (-one[1], one[0]))
        yield title, ", ".join(f"{what} {count:,}" for what, count in ordered) or "none"


@command()
@filter_options(states=[one.value for one in Disposition], gave_up=GAVE_UP)
@fail_if_option
@limit_option
@store_option
@format_option(*FORMATS)
def list_failures(
    wanted: FailureFilter, *, fail_if: bool, limit: int, db: Store, output: str
) -> int:
    """List failures, newest first. ``--state`` says how they ended.

    \b
      tailrace failures list --since 24h
      tailrace failures list --fp v1:3ac9 --state terminal
      tailrace failures list --class throttled --format jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    found = log.failures(wanted, limit=limit)
    total = _total(log.counts(wanted)) if found else 0
    code = finish(1 if fail_if and found else 0)
    show_listing(
        found,
        output,
        columns=FAILURE_COLUMNS,
        row=failure_row,
        data=failure_to_dict,
        footer=f"{len(found):,} of {counted(total, 'failure')} · tailrace failures show "
        f"{found[0].failure_id}{store_flags(db)}"
        if found
        else "no failures match",
    )
    return code


@command()
@click.argument("failure_id", metavar="ID")
@click.option("--with-stack", is_flag=True, help="Show all frames, not only your own code's.")
@store_option
@format_option(*FORMATS)
def show_failure(failure_id: str, *, with_stack: bool, db: Store, output: str) -> int:
    """Show one failure: verdict, causes, stack, the way it went, what to do.

    ID is a failure's, or its beginning (F- may be left out), or @last.

    \b
      tailrace failures show @last
      tailrace failures show F-01KAHV6X3Q8Z
      tailrace failures show F-01KAHV6X3Q8Z --format json
    """  # noqa: D301 - \b is click's mark for lines to keep
    failure = find_failure(failure_log(db), failure_id)
    letters = letters_of(db).letters(FailureFilter(run=failure.run_id)) if failure.run_id else []
    terminal = current_session().out
    show_one(
        output,
        data=lambda: (
            failure_to_dict(failure) | {"dead_letters": [letter.dl_id for letter in letters]}
        ),
        text=lambda: failure_lines(
            failure, letters, terminal, with_stack=with_stack, store=store_flags(db)
        ),
        markdown=lambda: failure_markdown(failure, letters, store=store_flags(db)),
    )
    return 0
