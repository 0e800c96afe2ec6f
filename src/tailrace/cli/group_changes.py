"""``tailrace failures groups resolve``, ``ignore``, ``reopen``, ``merge``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from tailrace.cli.actor import actor_option
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, show_one
from tailrace.cli.newest import LAST, find_failure
from tailrace.cli.options import Store, format_option, seconds, store_option
from tailrace.cli.stores import Failures, failure_log
from tailrace.cli.struct_json import struct_to_dict
from tailrace.model.failure import FailureGroup

_NS = 1_000_000_000


def _group_change(function: Callable[..., int]) -> click.Command:
    decorated: Any = function
    for option in (
        format_option(*FORMATS),
        store_option,
        actor_option,
        click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit trail."),
    ):
        decorated = option(decorated)
    return command()(decorated)


def _told(groups: Sequence[FailureGroup], output: str) -> int:
    show_one(
        output,
        data=lambda: [struct_to_dict(group) for group in groups],
        text=lambda: (f"{group.fp_site}: {group.state}" for group in groups),
    )
    return 0


def named(log: Failures, fingerprints: Sequence[str]) -> list[str]:
    """Return the fingerprints; for ``@last`` that of the newest failure."""
    return [find_failure(log, one).fp_site if one == LAST else one for one in fingerprints]


_fingerprints = click.argument("fingerprints", metavar="FP", nargs=-1, required=True)


@_group_change
@_fingerprints
def resolve(
    fingerprints: tuple[str, ...], *, reason: str, actor: str, db: Store, output: str
) -> int:
    """Mark groups as mended. Newer code that fails the same way makes them regressed.

    \b
      tailrace failures groups resolve v1:3ac9f0d2 --reason "timeout raised to 5 s"
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    changed = [
        log.change_group(one, "resolve", actor=actor, reason=reason)
        for one in named(log, fingerprints)
    ]
    return _told(changed, output)


@_group_change
@_fingerprints
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    callback=seconds,
    help="For this long (12h, 30d); for good otherwise.",
)
def ignore(
    fingerprints: tuple[str, ...],
    *,
    duration: float | None,
    reason: str,
    actor: str,
    db: Store,
    output: str,
) -> int:
    """Hide groups from the list, for a time or for good. They are counted all the same.

    \b
      tailrace failures groups ignore v1:81d0aa13 --for 30d --reason "known, fixed upstream"
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    until = 0 if duration is None else time.time_ns() + round(duration * _NS)
    changed = [
        log.change_group(one, "ignore", actor=actor, reason=reason, until_ns=until)
        for one in named(log, fingerprints)
    ]
    return _told(changed, output)


@_group_change
@_fingerprints
def reopen(
    fingerprints: tuple[str, ...], *, reason: str, actor: str, db: Store, output: str
) -> int:
    """Open groups again that were resolved or ignored.

    \b
      tailrace failures groups reopen v1:3ac9f0d2
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    changed = [
        log.change_group(one, "reopen", actor=actor, reason=reason)
        for one in named(log, fingerprints)
    ]
    return _told(changed, output)


@_group_change
@click.argument("fingerprint", metavar="FP")
@click.argument("into", metavar="INTO")
def merge(fingerprint: str, into: str, *, reason: str, actor: str, db: Store, output: str) -> int:
    """Count FP, and all that fails like it from now on, as part of INTO.

    \b
      tailrace failures groups merge v1:81d0aa13 v1:3ac9f0d2
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    (merging,) = named(log, [fingerprint])
    merged = log.change_group(merging, "merge", actor=actor, reason=reason, into=into)
    return _told([merged], output)
