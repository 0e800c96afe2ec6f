"""The options that say which events are meant."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import click

from tailrace.cli.options import instant
from tailrace.model.event import EventFilter

STATUSES = ("pending", "success", "failed", "retrying", "dead_letter")
"""What events can be, as the older program had it."""
CATEGORIES = ("transient", "permanent", "unknown")
"""What their failures can be, likewise."""


def event_filter_options(
    *, status: bool = True
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add the filters; the function gets them as one ``EventFilter``, ``wanted``."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def filled(**given: Any) -> int:
            names = {
                "status": "status",
                "event_type": "type",
                "source": "source",
                "category": "category",
                "fp": "fingerprint",
                "tag": "tag",
                "parent": "parent",
                "since": "since_ns",
                "until": "until_ns",
            }
            fields = {field: given.pop(name, None) for name, field in names.items()}
            fields = {name: value for name, value in fields.items() if value is not None}
            return function(wanted=EventFilter(**fields), **given)

        shown: Callable[..., int] = filled
        for option in _options(status=status):
            shown = option(shown)
        return shown

    return decorate


def _options(*, status: bool) -> Iterator[Callable[[Any], Any]]:
    yield click.option(
        "--until", metavar="WHEN", callback=instant(end_of_day=True), help="Only until then."
    )
    yield click.option(
        "--since", metavar="WHEN", callback=instant(), help="Only since then (2h, 7d, 2026-11-21)."
    )
    yield click.option("--parent", metavar="ID", help="Only events that this one led to.")
    yield click.option("--tag", help="Only with this tag.")
    yield click.option("--fp", metavar="FP", help="Only of this group of failures.")
    yield click.option(
        "--category",
        type=click.Choice(CATEGORIES, case_sensitive=False),
        help="Only of this category.",
    )
    yield click.option("--source", metavar="NAME", help="Only from this source.")
    yield click.option("--type", "event_type", metavar="NAME", help="Only of this type.")
    if status:
        yield click.option(
            "--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only those."
        )
