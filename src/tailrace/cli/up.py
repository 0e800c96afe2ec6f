"""``tailrace up``: NATS server, gateway and workers on this machine, as one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from tailrace.cli.group import command
from tailrace.cli.options import format_option, seconds
from tailrace.cli.session import current_session
from tailrace.errors import SettingsError, TransportError

_PROFILES = ("single", "durable")
_WORDS = (
    ("tags", "--tags", "Runs with any of these tags are taken.", "TAG,TAG"),
    ("flows", "--flows", "Flows that the workers serve: module:flow, or a module.", "MODULE"),
    ("flows_dir", "--flows-dir", "A folder whose flow.yaml files they serve.", "FOLDER"),
    (
        "allow_modules",
        "--allow-modules",
        "Modules that a flow.yaml sent with a run may name.",
        "MODULE",
    ),
)


def _words_options(function: Any) -> Any:
    for name, option, text, metavar in reversed(_WORDS):
        function = click.option(option, name, multiple=True, metavar=metavar, help=text)(function)
    return function


@command()
@click.option(
    "--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="Worker processes."
)
@_words_options
@click.option("--concurrency", type=click.IntRange(1, 1024), help="Runs at once in each worker.")
@click.option("--host", help="Address of the gateway; 127.0.0.1 unless settings say otherwise.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Of the gateway; 8000; 0: any.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is kept; .tailrace, looked for upwards, otherwise.",
)
@click.option(
    "--profile",
    type=click.Choice(_PROFILES),
    default=_PROFILES[0],
    show_default=True,
    help="What a power failure may cost: the last second, or nothing (durable, slower).",
)
@click.option(
    "--ack-wait",
    metavar="DURATION",
    callback=seconds,
    help="After how long the run of a worker that died is handed to another; 30s.",
)
@format_option("table", "json")
def start_all(output: str, **given: Any) -> int:
    """Start a NATS server, a gateway and workers on this machine, and watch over them.

    Runs, traces and everything else is kept in the data folder and is there again next time. Parts
    that end are started again. Ctrl-C ends all in order: workers finish their runs first.

    \b
      tailrace up --flows-dir flows/
      tailrace up --flows shop.flows --workers 2 --port 8080
      tailrace submit nightly --watch            (in another terminal)
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.needs import demand_distributed  # noqa: PLC0415 - help needs none of it

    demand_distributed("tailrace up")
    from tailrace.cli.supervising.folder import DataFolder  # noqa: PLC0415 - likewise
    from tailrace.jetstream.server import find_server, server_version  # noqa: PLC0415 - likewise

    profile = given.pop("profile")
    data_dir = given.pop("data_dir") or _nearest_folder()
    program = find_server()
    version = server_version(program)
    folder = DataFolder(data_dir.absolute())
    with folder.taken():
        wishes = _wishes(folder.path, given)
        server = folder.local_server(program, version, profile)
        return _run(folder, wishes, server, output)


def _nearest_folder() -> Path:
    from tailrace.settings import STATE_FOLDER  # noqa: PLC0415 - help needs no settings

    here = Path.cwd()
    known = (folder / STATE_FOLDER for folder in (here, *here.parents))
    return next((folder for folder in known if (folder / "up.json").is_file()), here / STATE_FOLDER)


def _wishes(data_dir: Path, given: dict[str, Any]) -> Any:
    from tailrace.cli.supervising.parts import Wishes  # noqa: PLC0415 - help needs none of it
    from tailrace.settings import load_settings  # noqa: PLC0415 - likewise

    settings = load_settings()
    host = given.pop("host") or settings.gateway.host
    port = given.pop("port")
    port = settings.gateway.port if port is None else port
    tags = tuple(tag for word in given.pop("tags") for tag in word.replace(",", " ").split())
    return Wishes(
        data_dir=data_dir,
        host=host,
        port=_usable_port(host, port),
        drain=settings.worker.drain,
        tags=tags,
        **given,
    )


def _usable_port(host: str, port: int) -> int:
    from tailrace.jetstream.server import free_port, is_port_free  # noqa: PLC0415 - help needs none

    try:
        if port == 0:
            return free_port()
        is_free = is_port_free(host, port)
    except OSError as error:
        raise SettingsError(
            f"nothing can listen at {host}:{port}: {error.strerror or error}",
            code="TR192",
            hint="name an address of this machine with --host, and a port above 1023 with --port",
        ) from error
    if not is_free:
        raise SettingsError(
            f"port {port} of {host} is taken by another program",
            code="TR198",
            hint=f"end that program, or name another port: tailrace up --port {port + 1}",
            details={"host": host, "port": port},
        )
    return port


def _run(folder: Any, wishes: Any, server: Any, output: str) -> int:
    from tailrace.cli.supervising.parts import parts  # noqa: PLC0415 - help needs none of it
    from tailrace.cli.supervising.supervisor import PartFailed, Stopped, Supervisor  # noqa: PLC0415
    from tailrace.cli.supervising.voice import NamedLines  # noqa: PLC0415 - likewise

    planned = parts(wishes, server)
    voice = NamedLines(current_session().err, [part.name for part in planned])
    supervisor = Supervisor(voice)
    with supervisor.signals():
        try:
            server.prepare()
            nats, *others = planned
            supervisor.start(nats)
            _keep_to(wishes, server, voice)
            _hand_over(wishes, server, voice)
            supervisor.start(*others)
            folder.announce(wishes.server)
            _show(supervisor, folder, wishes, server, output)
            supervisor.run()
        except Stopped:
            pass
        except PartFailed as failed:
            raise _failed(failed) from failed
        finally:
            voice.note("stopping")
            supervisor.stop()
        return 130 if supervisor.signals_seen > 1 else 0


def _keep_to(wishes: Any, server: Any, voice: Any) -> None:
    """An ack wait that was asked for holds for what is in the folder already, too."""
    if wishes.ack_wait is None:
        return
    import asyncio  # noqa: PLC0415 - only where it is asked for

    from tailrace.cli.supervising.registry import keep_to  # noqa: PLC0415 - likewise

    if asyncio.run(keep_to(server, wishes.ack_wait)):
        voice.note(f"the ack wait of the runs in this folder is {wishes.ack_wait:g} s now")


def _hand_over(wishes: Any, server: Any, voice: Any) -> None:
    """Runs of workers that are gone need not wait until their time is over."""
    import asyncio  # noqa: PLC0415 - once at a start

    from tailrace.cli.supervising.registry import hand_over_left  # noqa: PLC0415 - likewise

    if count := asyncio.run(hand_over_left(server, wishes.data_dir)):
        voice.note(f"runs that were under way when this ended go on: {count}")


def _show(supervisor: Any, folder: Any, wishes: Any, server: Any, output: str) -> None:
    """Say what runs where."""
    from tailrace.cli.json_text import compact  # noqa: PLC0415 - only once all is up

    terminal = current_session().out
    running = [{"name": child.part.name, "pid": child.pid} for child in supervisor.children]
    if output == "json":
        said = {"server": wishes.server, "nats": server.url, "data_dir": str(folder.path)}
        terminal.lines([compact(said | {"pid": os.getpid(), "parts": running})])
    else:
        from tailrace.cli.table_text import render_pairs  # noqa: PLC0415 - one of two

        places = {"nats": server.url, "gateway": wishes.server}
        pairs = [
            (one["name"], f"{places.get(one['name'], 'tags ' + _tags(wishes))}  pid {one['pid']}")
            for one in running
        ]
        pairs += [("data", str(folder.path)), ("next", "tailrace submit FLOW --watch")]
        terminal.lines(render_pairs(pairs, terminal))
    terminal.stream.flush()


def _tags(wishes: Any) -> str:
    from tailrace.settings import load_settings  # noqa: PLC0415 - read before

    return ", ".join(wishes.tags or load_settings().worker.tags)


def _failed(failed: Any) -> TransportError:
    said = "\n".join(f"  {line}" for line in failed.last_words) or "  (it said nothing)"
    return TransportError(
        f"{failed.name} {failed.why}; everything was stopped. Its last words:\n{said}",
        code="TR406",
        hint="its last words say why; tailrace up starts again where it was",
        details={"part": failed.name, "last_words": failed.last_words, "retryable": False},
    )
