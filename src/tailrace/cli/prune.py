"""``tailrace db prune`` and ``tailrace db vacuum``: keeping the database small."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.actor import actor_option
from tailrace.cli.database import database_path
from tailrace.cli.db import size_text
from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.listing import counted
from tailrace.cli.options import db_option, format_option
from tailrace.cli.session import current_session

if TYPE_CHECKING:
    from tailrace.store import Pruned, Retention


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    from tailrace.model.size import parse_size  # noqa: PLC0415 - only where one is given

    if value is None:
        return None
    try:
        return parse_size(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not {error}", context, parameter) from None


_DAYS = click.FloatRange(0, 36_500)


@command()
@click.option("--keep-days", type=_DAYS, metavar="N", help="Keep what started in the last N days.")
@click.option(
    "--keep-runs",
    type=click.IntRange(0, 1_000_000_000),
    metavar="N",
    help="Keep the newest N runs, and the newest N traces from elsewhere.",
)
@click.option(
    "--max-size",
    callback=_size,
    metavar="SIZE",
    help="Then let the oldest go until the rest takes no more (500MB, 2GB).",
)
@click.option(
    "--keep-errors-days",
    type=_DAYS,
    metavar="N",
    help="Keep what failed for N days, where that is longer.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@actor_option
@db_option
@format_option("text", "json")
def prune(
    *,
    keep_days: float | None,
    keep_runs: int | None,
    max_size: int | None,
    keep_errors_days: float | None,
    dry_run: bool,
    actor: str,
    db: Path | None,
    output: str,
) -> int:
    """Delete old runs and traces, oldest first.

    What either --keep-days or --keep-runs wants to keep, stays. Runs that are going on always
    stay, and so do those that a waiting dead letter points to, with all others of their lineage.
    Without any of the first three options those of [retention] in tailrace.toml count; with that
    table runs prune by themselves, once a day.

    \b
      tailrace db prune --keep-days 30 --dry-run
      tailrace db prune --keep-days 30 --keep-errors-days 90
      tailrace db prune --keep-runs 1000 --max-size 2GB
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.store import plan_prune, prune_store  # noqa: PLC0415 - help needs no store

    given = {
        "keep_days": keep_days,
        "keep_runs": keep_runs,
        "max_size": max_size,
        "keep_errors_days": keep_errors_days,
    }
    rules = _rules(given)
    path = database_path(db)
    done = plan_prune(path, rules) if dry_run else prune_store(path, rules, actor=actor)
    terminal = current_session().out
    if output == "json":
        terminal.lines([pretty(_to_dict(done, path, dry_run=dry_run))])
    else:
        terminal.lines(_told(done, rules, dry_run=dry_run))
    return 0


def _rules(given: dict[str, Any]) -> Retention:
    """Return the rules: the options, and the settings where none of the first three is given.

    Raises:
        UsageError: neither says that anything is ever to go.
    """
    from tailrace.settings import load_settings  # noqa: PLC0415 - not for --help
    from tailrace.store import Retention  # noqa: PLC0415 - likewise

    chosen = {name: value for name, value in given.items() if value is not None}
    settings = load_settings().retention
    if not any(name in chosen for name in ("keep_days", "keep_runs", "max_size")):
        names = ("keep_days", "keep_runs", "max_size")
        chosen |= {name: getattr(settings, name) for name in names}
    chosen.setdefault("keep_errors_days", settings.keep_errors_days)
    rules = Retention(**chosen)
    if not rules:
        raise click.UsageError(
            "say what to keep: --keep-days 30, --keep-runs 1000 or --max-size 2GB,"
            " or write it under [retention] in tailrace.toml"
        )
    return rules


def _told(done: Pruned, rules: Retention, *, dry_run: bool) -> list[str]:
    verb = "would be deleted" if dry_run else "deleted"
    gone = f"{counted(done.runs, 'run')} and {counted(done.traces, 'trace')} from elsewhere"
    lines = [f"{gone} {verb}, with {counted(done.spans, 'span')}"]
    if done.failures:
        lines[0] += f" and {counted(done.failures, 'failure')}"
    about = "about " if dry_run and done.spans else ""
    lines.append(f"size: {size_text(done.size)}, then {about}{size_text(done.size_after)}")
    lines += _kept(done)
    if rules.max_size and done.size_after > rules.max_size and not dry_run:
        lines.append(f"what is left takes more than {size_text(rules.max_size)}: it has to stay")
    return lines


def _kept(done: Pruned) -> list[str]:
    held = done.held
    reasons = (
        (held.live, "going on"),
        (held.letters, "a dead letter that waits points to it"),
        (held.lineages, "part of a lineage with such a run"),
    )
    return [f"kept: {counted(count, 'run')}: {reason}" for count, reason in reasons if count]


def _to_dict(done: Pruned, path: Path, *, dry_run: bool) -> dict[str, Any]:
    return {
        "path": path,
        "dry_run": dry_run,
        "runs": done.runs,
        "traces": done.traces,
        "spans": done.spans,
        "failures": done.failures,
        "size_bytes": done.size,
        "size_after_bytes": done.size_after,
        "kept_live": done.held.live,
        "kept_for_letters": done.held.letters,
        "kept_for_lineages": done.held.lineages,
    }


@command()
@click.option("--full", is_flag=True, help="Write the whole file anew; others wait meanwhile.")
@db_option
@format_option("text", "json")
def vacuum(*, full: bool, db: Path | None, output: str) -> int:
    """Give room that is free in the database back to the disk.

    Large outputs that nothing names any longer are removed, too. Without --full it works in short
    steps beside runs that are going on; with it, the disk needs room for a second copy.

    \b
      tailrace db vacuum
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.store import vacuum_store  # noqa: PLC0415 - help needs no store

    path = database_path(db)
    done = vacuum_store(path, full=full)
    terminal = current_session().out
    if output == "json":
        found = {
            "path": path,
            "size_bytes": done.size,
            "size_after_bytes": done.size_after,
            "large_outputs": done.blobs.count,
            "large_output_bytes": done.blobs.size,
        }
        terminal.lines([pretty(found)])
        return 0
    lines = [f"{path}: {size_text(done.size)}, now {size_text(done.size_after)}"]
    if done.blobs.count:
        blobs = counted(done.blobs.count, "large output")
        lines.append(f"{blobs} of {size_text(done.blobs.size)} removed, which nothing named")
    terminal.lines(lines)
    return 0
