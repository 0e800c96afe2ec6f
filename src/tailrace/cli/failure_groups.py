"""``tailrace failures groups``: failures of one kind at one place, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from tailrace.cli.clock_text import local_time
from tailrace.cli.failure_rows import (
    FAILURE_COLUMNS,
    GROUP_COLUMNS,
    failure_row,
    group_row,
    kind_text,
    place_text,
    short_fingerprints,
)
from tailrace.cli.filters import GAVE_UP, filter_options
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, counted, say, show_listing, show_one
from tailrace.cli.newest import LAST, find_failure
from tailrace.cli.options import Store, format_option, steps_for, store_option
from tailrace.cli.session import current_session
from tailrace.cli.sparkline import sparkline
from tailrace.cli.stores import Failures, failure_log
from tailrace.cli.struct_json import failure_to_dict, struct_to_dict
from tailrace.cli.table_text import escape_markdown, render_markdown, render_pairs, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.trend import trends
from tailrace.cli.width import clean
from tailrace.errors import NotFound
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot, GroupState

if TYPE_CHECKING:
    from tailrace.client.failures import Groups
    from tailrace.store.survey import Survey

_STATES = [state.value for state in GroupState]
_HURTING = (GroupState.OPEN.value, GroupState.REGRESSED.value)
_NEWEST = 5
_EVERY = 1_000_000


@command()
@filter_options(since="7d", gave_up=GAVE_UP)
@click.option(
    "--state",
    "states",
    type=click.Choice([*_STATES, "any"], case_sensitive=False),
    multiple=True,
    help="Only groups that stand so; open and regressed otherwise.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="Groups to show: one screen.",
)
@store_option
@format_option(*FORMATS)
def list_groups(
    wanted: FailureFilter, *, states: tuple[str, ...], limit: int, db: Store, output: str
) -> int:
    """Show what hurts most: groups of failures, most failures first.

    TREND has seven parts of the time, a day each where it is a week. LETTERS is work that gave up
    and waits. ADVICE is redrive (it passes by itself), fix (code or data is wrong) or inspect.

    \b
      tailrace failures groups
      tailrace failures groups --since 24h --flow nightly
      tailrace failures groups --state any --since 2026-11-01 --format markdown
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    chosen = () if "any" in states else states or _HURTING
    survey = log.survey(wanted, states=chosen, limit=limit)
    groups = survey.groups
    now = time.time_ns()
    trend = trends(log, groups, wanted, now_ns=now)
    terminal = current_session().out
    names = short_fingerprints([group.fp_site for group in groups], terminal)
    show_listing(
        groups,
        output,
        columns=GROUP_COLUMNS,
        row=lambda group: group_row(
            group,
            names=names,
            trend=trend[group.fp_site],
            now_ns=now,
            unicode=terminal.unicode,
        ),
        data=lambda group: struct_to_dict(group) | {"trend": trend[group.fp_site]},
        footer=_footer(survey, names, db),
    )
    return 0


def _footer(survey: Survey | Groups, names: Mapping[str, str], db: Store) -> str:
    groups, every = survey.groups, survey.matching
    if not groups:
        return "no groups match: nothing of this kind failed in this time"
    shown = f"{len(groups):,} of " if every > len(groups) else ""
    return (
        f"{shown}{counted(every, 'group')}, {counted(survey.failures, 'failure')} in all"
        f" · {steps_for(db, f'tailrace failures groups show {names[groups[0].fp_site]}')}"
    )


@command()
@click.argument("fingerprint", metavar="FP")
@store_option
@format_option(*FORMATS)
def show_group(fingerprint: str, *, db: Store, output: str) -> int:
    """Show one group and its newest failures.

    FP is a fingerprint, or its beginning (v1: may be left out), or @last.

    \b
      tailrace failures groups show v1:3ac9f0d2
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    group = find_group(log, fingerprint)
    wanted = FailureFilter(fingerprint=group.fp_site)
    newest = log.failures(wanted, limit=_NEWEST)
    now = time.time_ns()
    trend = trends(log, [group], wanted, now_ns=now)[group.fp_site]
    terminal = current_session().out
    body = struct_to_dict(group) | {"trend": trend}
    show_one(
        output,
        data=lambda: body | {"newest": [failure_to_dict(failure) for failure in newest]},
        text=lambda: _text(group, newest, trend, terminal),
        markdown=lambda: _markdown(group, newest),
    )
    if output == FORMATS[0]:
        _say_next(group, newest, db)
    return 0


def find_group(log: Failures, fingerprint: str) -> FailureGroup:
    """Return the one group whose fingerprint begins so, or that of the newest failure.

    Raises:
        NotFound: none, or more than one, does.
    """
    if fingerprint == LAST:
        fingerprint = find_failure(log, LAST).fp_site
    found = log.groups(FailureFilter(fingerprint=fingerprint), limit=6)
    if not found:  # a purge leaves groups whose failures are gone
        prefix = fingerprint if fingerprint.startswith("v1:") else f"v1:{fingerprint}"
        every = log.groups(FailureFilter(), limit=_EVERY)
        found = [group for group in every if group.fp_site.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(
            f"no group of failures has a fingerprint that begins with {fingerprint!r}",
            hint="tailrace failures groups --since 365d --state any lists them",
        )
    names = ", ".join(group.fp_site for group in found[:5])
    raise NotFound(
        f"{fingerprint!r} begins more than one fingerprint: {names}{', …' * (len(found) > 5)}",
        hint="write more of it",
    )


def _facts(group: FailureGroup) -> Iterator[tuple[str, str]]:
    until = local_time(group.ignored_until_ns) if group.ignored_until_ns else "for good"
    ignored = f", until {until}" if group.state == GroupState.IGNORED else ""
    flood = f" ({group.suppressed:,} of them counted only)" if group.suppressed else ""
    facts = (
        ("group", group.fp_site),
        ("state", f"{group.state}{ignored}"),
        ("category", kind_text(group.category, group.class_)),
        ("failures", f"{group.count:,}{flood}"),
        ("runs", f"{group.runs:,}"),
        ("nodes", f"{group.nodes:,}"),
        ("where", place_text(group.flow, group.node_id)),
        ("at", group.location),
        ("first", local_time(group.first_ns) if group.first_ns else "-"),
        ("last", local_time(group.last_ns) if group.last_ns else "-"),
        ("code", group.last_version),
        ("resolved in", group.resolved_version),
        ("part of", group.alias_of),
        ("open letters", f"{group.open_letters:,}"),
    )
    return ((name, value) for name, value in facts if value)


def _text(
    group: FailureGroup, newest: list[FailureSnapshot], trend: list[int], terminal: Terminal
) -> list[str]:
    pairs = [*_facts(group), ("trend", sparkline(trend, unicode=terminal.unicode))]
    rows = [failure_row(failure) for failure in newest]
    return [
        terminal.style(clean(group.title or group.type), "bold red"),
        "",
        *render_pairs(pairs, terminal),
        *(["", *render_table(FAILURE_COLUMNS, rows, terminal)] if rows else []),
    ]


def _markdown(group: FailureGroup, newest: list[FailureSnapshot]) -> list[str]:
    lines = [f"# {escape_markdown(clean(group.title or group.type))}", ""]
    lines += ["| fact | value |", "|---|---|"]
    lines += [f"| {name} | {escape_markdown(clean(value))} |" for name, value in _facts(group)]
    rows = [failure_row(failure) for failure in newest]
    return [*lines, "", "## Newest", "", *render_markdown(FAILURE_COLUMNS, rows)]


def _say_next(group: FailureGroup, newest: list[FailureSnapshot], db: Store) -> None:
    steps = [f"tailrace failures show {newest[0].failure_id}"] if newest else []
    if group.open_letters:
        steps.append(f"tailrace dlq redrive {group.fp_site} --dry-run")
    steps.append(f"tailrace failures groups resolve {group.fp_site}")
    say(steps_for(db, *steps))
