"""The options that say which failures or dead letters are meant."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec

from tailrace.cli.options import Store, instant, store_meant
from tailrace.model.failure import FailureClass, FailureFilter
from tailrace.model.letter import LetterReason
from tailrace.model.states import ErrorCategory

F = TypeVar("F", bound=Callable[..., Any])
_RUN_ID_DIGITS = 32
GAVE_UP = ("--gave-up", "--reason")
"""Names of the option for why work gave up; verbs have a ``--reason`` of another meaning."""
_FIELDS = {
    "category": "category",
    "class_name": "class_",
    "fp": "fingerprint",
    "type_name": "type",
    "node": "node",
    "flow": "flow",
    "run": "run",
    "since": "since_ns",
    "until": "until_ns",
    "tag": "tag",
    "code_version": "code_version",
    "gave_up": "reason",
    "state": "state",
}


def filter_options(
    *,
    states: Sequence[str] = (),
    gave_up: Sequence[str] = (),
    since: str | None = None,
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add the filter options; the function gets them as one ``FailureFilter``, ``wanted``.

    Args:
        states: values of ``--state``; none: there is no such option.
        gave_up: names of the option for the reason of dead letters; none: there is none.
        since: what ``--since`` is when it is not given.
    """

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def filled(**given: Any) -> int:
            fields = {field: given.pop(name, None) for name, field in _FIELDS.items()}
            fields = {name: value for name, value in fields.items() if value is not None}
            wanted = FailureFilter(**fields)
            return function(wanted=_with_whole_run_id(wanted, _store(given)), **given)

        shown: Callable[..., int] = filled
        options = [*_kind_options(), *_place_options(since), *_state_options(states, gave_up)]
        for option in reversed(options):
            shown = option(shown)
        return shown

    return decorate


def _store(given: Mapping[str, Any]) -> Store:
    return store_meant(given.get("db"), given.get("server"), given.get("context"))


Option = Callable[[F], F]


def _kind_options() -> Iterator[Option[Any]]:
    yield click.option("--category", type=_choice(ErrorCategory), help="Only of this category.")
    yield click.option(
        "--class", "class_name", type=_choice(FailureClass), help="Only of this class."
    )
    yield click.option(
        "--fp",
        "--fingerprint",
        "fp",
        metavar="FP",
        help="Only of this group: a fingerprint, or its beginning, with or without v1:.",
    )
    yield click.option(
        "--type",
        "type_name",
        metavar="NAME",
        help="Only of this exception class, such as KeyError.",
    )


def _place_options(since: str | None) -> Iterator[Option[Any]]:
    yield click.option("--node", help="Only of this node: its name, or its path in loops.")
    yield click.option("--flow", help="Only of this flow.")
    yield click.option(
        "--run", metavar="RUN", help="Only of this run: its id, @last, @last-failed."
    )
    yield click.option(
        "--since",
        metavar="WHEN",
        default=since,
        show_default=since is not None,
        callback=instant(),
        help="Only since then (2h, 7d, 2026-11-21).",
    )
    yield click.option(
        "--until", metavar="WHEN", callback=instant(end_of_day=True), help="Only until then."
    )
    yield click.option("--tag", metavar="KEY[=VALUE]", help="Only with this tag.")
    yield click.option(
        "--code-version", metavar="VERSION", help="Only of this version of the code."
    )


def _state_options(states: Sequence[str], gave_up: Sequence[str]) -> Iterator[Option[Any]]:
    if gave_up:
        yield click.option(
            *gave_up, "gave_up", type=_choice(LetterReason), help="Only given up for this reason."
        )
    if states:
        yield click.option(
            "--state", type=click.Choice(states, case_sensitive=False), help="Only as it stands."
        )


def _choice(values: type[ErrorCategory | FailureClass | LetterReason]) -> click.Choice[str]:
    return click.Choice([one.value for one in values], case_sensitive=False)


def _with_whole_run_id(wanted: FailureFilter, db: Store) -> FailureFilter:
    """Return the filter with the beginning of a run id, or ``@last``, replaced by the run's id."""
    if not wanted.run or len(wanted.run) == _RUN_ID_DIGITS:
        return wanted
    from tailrace.cli.database import open_reader  # noqa: PLC0415 - only where a run is named

    with open_reader(db) as reader:
        return msgspec.structs.replace(wanted, run=reader.resolve(wanted.run))


def is_empty(wanted: FailureFilter) -> bool:
    """Return whether the filter narrows nothing."""
    return wanted == FailureFilter()
