"""``tailrace worker start``: a process that takes runs from the queue and executes them."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from tailrace.cli.group import command
from tailrace.cli.options import seconds
from tailrace.cli.session import current_session

if TYPE_CHECKING:
    from tailrace.settings import Settings
    from tailrace.worker.catalogue import Catalogue
    from tailrace.worker.process import Worker

_GARBAGE = 20_000
"""Objects made and not freed after which garbage is looked for: runs leave next to none."""
_INTERRUPTED = 130
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@command()
@click.option(
    "--tags", multiple=True, metavar="TAG,TAG", help="Take runs with any of these tags; default."
)
@click.option("--concurrency", type=click.IntRange(1, 1024), help="Runs at the same time; 4.")
@click.option("--worker-id", metavar="ID", help="Its name; made from host and process id.")
@click.option(
    "--flows", multiple=True, metavar="MODULE", help="A flow (module:flow), or all of a module."
)
@click.option(
    "--flows-dir", multiple=True, metavar="FOLDER", help="A folder whose flow.yaml files to serve."
)
@click.option(
    "--allow-modules",
    multiple=True,
    metavar="MODULE",
    help="A module that a flow.yaml sent with a run may name.",
)
@click.option("--nats-url", multiple=True, metavar="URL", help="NATS; nats://127.0.0.1:4222.")
@click.option(
    "--ack-wait",
    metavar="DURATION",
    callback=seconds,
    help="After how long the run of a worker that died is handed to another; 30s.",
)
@click.option(
    "--drain",
    metavar="DURATION",
    callback=seconds,
    help="How long runs have to end when the worker is stopped; 30s. Others are handed back.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where artifacts and the spool go; .tailrace.",
)
@click.option(
    "--log-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to say what happens.",
)
def start_worker(**given: Any) -> int:
    """Take runs from the queue and execute them, until stopped.

    SIGTERM or Ctrl-C: no more runs are taken, those at hand end or are handed back. A second
    signal ends the process at once; its runs are continued by others.

    \b
      tailrace worker start --flows-dir flows/
      tailrace worker start --tags cpu,gpu --concurrency 4 --worker-id w1 --flows shop.flows
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.needs import demand_distributed  # noqa: PLC0415 - help needs none of it

    demand_distributed("tailrace worker start")
    from tailrace.cli.worker_voice import Voice  # noqa: PLC0415 - likewise
    from tailrace.settings import load_settings  # noqa: PLC0415 - likewise
    from tailrace.worker.catalogue import Catalogue, collect  # noqa: PLC0415 - likewise

    settings = _settings(load_settings(), given)
    worker_id = _worker_id(given["worker_id"], settings)
    voice = Voice(current_session().out, as_json=given["log_format"] == "json", worker_id=worker_id)
    catalogue = Catalogue(
        collect(settings.worker.flows, settings.worker.flows_dir),
        allow_modules=settings.worker.allow_modules,
    )
    folder = (given["data_dir"] or Path(".tailrace")).resolve()
    voice.listen()
    from tailrace.jetstream.loops import fast_loop  # noqa: PLC0415 - help needs none

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        code, has_leftovers = runner.run(_serve(settings, catalogue, worker_id, folder, voice))
    if has_leftovers:  # code of users still runs in threads that nobody can end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _settings(settings: Settings, given: dict[str, Any]) -> Settings:
    """Return the settings with the flags over them."""
    worker, nats = settings.worker, settings.nats
    if given["tags"]:
        worker = replace(worker, tags=_tags(given["tags"]))
    listed: dict[str, Any] = {}
    for name in ("flows", "flows_dir", "allow_modules"):
        words = tuple(word for text in given[name] for word in text.split(",") if word)
        if words:
            listed[name] = words
    worker = replace(worker, **listed)
    for name in ("concurrency", "drain"):
        if given[name] is not None:
            worker = replace(worker, **{name: given[name]})
    if given["nats_url"]:
        nats = replace(
            nats, url=tuple(url for text in given["nats_url"] for url in text.split(","))
        )
    if given["ack_wait"] is not None:
        nats = replace(nats, ack_wait=given["ack_wait"])
    return replace(settings, worker=worker, nats=nats)


def _tags(given: tuple[str, ...]) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(tag for text in given for tag in text.split(",")))
    for tag in tags:
        if not _TOKEN.fullmatch(tag):
            raise click.BadParameter(
                f"{tag!r} is no tag; write up to 64 letters, digits, _ and -", param_hint="--tags"
            )
    return tags


def _worker_id(given: str | None, settings: Settings) -> str:
    if given is not None:
        if not _TOKEN.fullmatch(given):
            raise click.BadParameter(
                f"{given!r} is no worker id; write up to 64 letters, digits, _ and -",
                param_hint="--worker-id",
            )
        return given
    name = settings.failures.worker_id or f"{os.uname().nodename}-{os.getpid()}"
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[-64:]


async def _serve(
    settings: Settings, catalogue: Catalogue, worker_id: str, folder: Path, voice: Any
) -> tuple[int, bool]:
    from tailrace.worker.process import Worker, WorkerOptions  # noqa: PLC0415 - help needs none
    from tailrace.worker.transport import connect  # noqa: PLC0415 - likewise

    connecting = asyncio.ensure_future(connect(settings.nats, name=f"tailrace-worker:{worker_id}"))
    worker: Worker | None = None

    def heard() -> None:
        if worker is None:
            connecting.cancel()
        else:
            _stop(worker, voice)

    with _signals(heard):
        try:
            transport = await connecting
        except asyncio.CancelledError:
            return _INTERRUPTED, False
        options = WorkerOptions(worker_id=worker_id, folder=folder, on_end=voice.ended)
        worker = Worker(transport, catalogue, settings, options)
        gc.collect()
        gc.freeze()  # what is there now stays; later looks for garbage need not go through it
        gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
        voice.serves(settings, catalogue)
        await worker.run()
    voice.stopped()
    return 0, worker.has_leftovers


def _stop(worker: Worker, voice: Any) -> None:
    """Drain at the first signal; end at once at the second."""
    if worker.is_stopping:
        voice.say("ends at once; other workers continue its runs")
        sys.stdout.flush()
        os._exit(_INTERRUPTED)
    voice.say("stops: takes no more runs (again: ends at once)")
    worker.stop("graceful_shutdown")


@contextmanager
def _signals(handler: Any) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in numbers:
            with suppress(ValueError):
                loop.remove_signal_handler(number)
