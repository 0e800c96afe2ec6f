"""Options of the commands that run something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tailrace.cli.options import db_option, seconds

if TYPE_CHECKING:
    from tailrace.runtime.resuming import OnChange

F = TypeVar("F", bound=Callable[..., Any])

_RUN = (
    click.option("--policy", metavar="JSON|@FILE", help="Overrides the flow's policy."),
    click.option(
        "--tracer",
        multiple=True,
        type=click.Choice(["console", "otlp", "sqlite", "none"]),
        help="sqlite (unless none is given); console: a line per span; otlp: to a collector.",
    ),
    db_option,
    click.option(
        "--durability",
        type=click.Choice(["process", "power", "relaxed"]),
        help="What a commit survives.",
    ),
    click.option(
        "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result here."
    ),
    click.option(
        "--output-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the diary and of artifacts.",
    ),
    click.option(
        "--report-path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the failure report here.",
    ),
    click.option(
        "--report-format", type=click.Choice(["json", "markdown"]), help="How to write it."
    ),
    click.option(
        "--cache/--no-cache",
        default=True,
        help="Reuse outputs of tasks that ask for it; --no-cache runs them.",
    ),
    click.option("--strict", is_flag=True, help="Exit 1 when a failure was handled, too."),
    click.option("--watch", is_flag=True, help="Show the run as a live tree."),
    click.option("-q", "--quiet", is_flag=True, help="No progress, no warnings."),
    click.option("--json", "as_json", is_flag=True, help="Result or failure as one JSON object."),
    click.option("--diary/--no-diary", default=True, help="Write runtime_execution.log."),
    click.option(
        "--timeout",
        metavar="DURATION",
        callback=seconds,
        help="Cancel the run after this time (exit 124).",
    ),
)


_RESUME = (
    click.option(
        "--from",
        "nodes",
        multiple=True,
        metavar="NODE",
        help="With a run to go on with: run this node and all after it again.",
    ),
    click.option(
        "--force", is_flag=True, help="Reuse finished nodes also where they have changed since."
    ),
    click.option(
        "--rerun-changed", is_flag=True, help="Run finished nodes again that have changed since."
    ),
)


def run_options(function: F) -> F:
    """Add what every run can be told."""
    return _all(_RUN, function)


def resume_options(function: F) -> F:
    """Add what going on with a run can be told."""
    return _all(_RESUME, function)


def on_change(*, force: bool, rerun: bool) -> OnChange:
    """Return what to do about finished nodes that have changed.

    Raises:
        UsageError: both flags are given.
    """
    from tailrace.runtime.resuming import OnChange  # noqa: PLC0415 - help needs no runtime

    if force and rerun:
        raise click.UsageError("--force and --rerun-changed exclude each other")
    if force:
        return OnChange.KEEP
    return OnChange.RERUN if rerun else OnChange.REFUSE


def _all(options: tuple[Callable[[Any], Any], ...], function: F) -> F:
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    result: F = decorated
    return result
