"""``tailrace server``: the gateway as a process of its own, and the streams behind it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session
from tailrace.errors import SettingsError
from tailrace.settings import STATE_FOLDER, Settings, load_settings

if TYPE_CHECKING:
    from tailrace.jetstream.resources import Difference

_nats_url = click.option("--nats-url", metavar="URL", help="Where NATS is; several with commas.")


@command()
@click.option("--host", help="Address to listen at; 127.0.0.1 otherwise.")
@click.option("--port", type=click.IntRange(0, 65_535), help="8000 otherwise; 0: any free one.")
@_nats_url
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the index is kept; .tailrace otherwise.",
)
@click.option("--auth", type=click.Choice(["none", "api_key"]), help="Whether keys are needed.")
@click.option("--insecure", is_flag=True, help="Let everybody in, from everywhere, without keys.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Lines for people or for programs.",
)
@click.option("--access-log", is_flag=True, help="Log every request.")
def up(
    *,
    host: str | None,
    port: int | None,
    nats_url: str | None,
    data_dir: Path | None,
    auth: str | None,
    insecure: bool,
    log_format: str,
    access_log: bool,
) -> int:
    """Start the HTTP gateway. NATS may come later, and may go and come back.

    Without --auth api_key it listens on the loopback only.

    \b
      tailrace server up --nats-url nats://127.0.0.1:4222
      tailrace server up --host 0.0.0.0 --auth api_key
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.gateway.listening import bound_socket, demand_safe  # noqa: PLC0415 - beside its use
    from tailrace.gateway.log_lines import log_to_stderr  # noqa: PLC0415 - likewise

    settings = _with_nats(load_settings(), nats_url)
    given = {"host": host, "port": port, "auth": auth, "access_log": access_log or None}
    known: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    settings = replace(settings, gateway=replace(settings.gateway, **known))
    demand_safe(settings, insecure=insecure)
    bound = bound_socket(settings.gateway.host, settings.gateway.port)
    log_to_stderr(as_json=log_format == "json")
    terminal = current_session().out
    folder = (data_dir or Path(STATE_FOLDER)).absolute()

    def say(address: str) -> None:
        body = {"address": address, "pid": os.getpid(), "nats": list(settings.nats.url)}
        terminal.lines(
            [compact(body)] if log_format == "json" else [f"gateway at {address} · docs at /docs"]
        )
        sys.stdout.flush()

    _serving().serve(settings, bound, data_dir=folder, insecure=insecure, listening=say)
    return 0


@command()
@_nats_url
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@format_option("table", "json")
def migrate(*, nats_url: str | None, dry_run: bool, output: str) -> int:
    """Make the streams what the settings say, and say what was changed.

    A gateway or a worker never changes what is there already: it says how it differs.
    """
    settings = _with_nats(load_settings(), nats_url)
    changed = asyncio.run(_migrate(settings, dry_run=dry_run))
    terminal = current_session().out
    if output == "json":
        rows = [
            {"stream": one.stream, "setting": one.setting, "found": one.found, "wanted": one.wanted}
            for one in changed
        ]
        terminal.lines([pretty({"changed": not dry_run, "differences": rows})])
        return 0
    verb = "would change" if dry_run else "changed"
    lines = [f"{verb} {one}" for one in changed]
    terminal.lines(lines or ["streams and consumers are what they should be"])
    return 0


async def _migrate(settings: Settings, *, dry_run: bool) -> list[Difference]:
    try:
        from tailrace.jetstream import access, link, resources  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise _missing(error) from error

    connection = link.Link(access.address_of(settings.nats, name="tailrace server migrate"))
    names, limits = access.names_of(settings.nats), access.limits_of(settings.nats)
    await connection.open()
    try:
        differences = await resources.ensure(connection, names, limits)
        if dry_run:
            return differences
        changed = await resources.migrate(connection, names, limits)
        return changed + await resources.migrate_consumers(connection, names, limits)
    finally:
        await connection.close()


def _with_nats(settings: Settings, url: str | None) -> Settings:
    if url is None:
        return settings
    urls = tuple(one.strip() for one in url.split(",") if one.strip())
    return replace(settings, nats=replace(settings.nats, url=urls))


def _serving() -> Any:
    """Return the module that serves.

    Raises:
        SettingsError: TR436, the packages it needs are not installed.
    """
    try:
        from tailrace.gateway import serve  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return serve


def _missing(error: ModuleNotFoundError) -> SettingsError:
    return SettingsError(
        f"this needs the package {error.name!r}, which is not installed",
        code="TR436",
        hint='Install it: pip install "tailrace[distributed]"',
    )
