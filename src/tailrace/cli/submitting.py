"""Sending a flow to a server, and seeing it to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct
from msgspec.structs import replace

from tailrace.cli.session import current_session
from tailrace.cli.width import clean
from tailrace.errors import DefinitionError

if TYPE_CHECKING:
    from tailrace.cli.remote_view import RemoteView
    from tailrace.client import Run, Submitted
    from tailrace.client.sync import Client
    from tailrace.model import Finding

STDIN = "-"
"""Target that stands for a ``flow.yaml`` on standard input."""
_WORKFLOWS = (".yaml", ".yml")
_MOST = 262_144
TIMED_OUT = 124
INTERRUPTED = 130


class Order(Struct, frozen=True, kw_only=True):
    """What is to be run, and how."""

    target: str
    """A ``flow.yaml``, or the name of a flow that workers know."""
    params: Mapping[str, Any]
    flow: str = ""
    """Name of the run's flow, instead of the file's."""
    tag: str = ""
    tags: tuple[str, ...] = ()
    priority: str = ""
    label: str = ""
    delay: float | None = None
    idempotency_key: str = ""
    policy: Mapping[str, Any] | None = None
    traceparent: str = ""
    tracestate: str = ""


def is_workflow(target: str) -> bool:
    """Whether a target is a file to send rather than the name of a flow.

    Raises:
        UsageError: it is a Python file, which is not sent.
    """
    if target == STDIN:
        return True
    path = Path(target.partition(":")[0])
    if path.suffix == ".py":
        raise click.UsageError(
            f"{target}: Python is not sent to workers; start them with it"
            " (tailrace up --flows module:flow) and submit the flow by its name"
        )
    return path.suffix in _WORKFLOWS


def submit(client: Client, order: Order) -> Submitted:
    """Send the order, and say what the server has to say about it.

    Raises:
        DefinitionError: the file cannot be sent, or the server refuses it.
        TransportError: the server cannot be reached.
    """
    options: dict[str, Any] = {
        "tag": order.tag,
        "priority": order.priority,
        "label": order.label,
        "idempotency_key": order.idempotency_key,
        "traceparent": order.traceparent,
        "tracestate": order.tracestate,
    }
    options = {name: value for name, value in options.items() if value}
    if is_workflow(order.target):
        _demand_no_more(order)
        text = _read(Path(order.target))
        name = order.flow or _name_in(text, Path(order.target))
        with placing(order.target, text):
            submitted = client.submit_yaml(text, name, order.params, **options)
    else:
        if order.tags:
            options["tags"] = order.tags
        if order.delay is not None:
            options["delay"] = order.delay
        if order.policy is not None:
            options["policy"] = order.policy
        submitted = client.submit(order.flow or order.target, order.params, **options)
    _warn(submitted)
    return submitted


@contextmanager
def placing(target: str, text: bytes | None = None) -> Iterator[None]:
    """Name the file, and its lines, in what a server or its worker finds wrong with it.

    Args:
        target: what was submitted.
        text: of the file; None: it is read where it is needed.
    """
    try:
        yield
    except DefinitionError as error:
        if text is None and target != STDIN and is_workflow(target):
            with suppress(OSError):
                text = Path(target).read_bytes()
        if text is not None:
            error.findings = tuple(_placed(error.findings, text, target))
        raise


def _placed(findings: Iterable[Finding], text: bytes, target: str) -> Iterator[Finding]:
    """Return what the server found in a file with the file's name and lines."""
    lines = text.decode("utf-8", "replace").splitlines()
    for one in findings:
        where = one.where
        if where is not None:
            line = lines[where.line - 1] if 0 < where.line <= len(lines) else ""
            file = "standard input" if target == STDIN else target
            where = replace(where, file=file, text=line)
        yield replace(one, where=where)


def _demand_no_more(order: Order) -> None:
    for option, value in (("--tags", order.tags), ("--delay", order.delay)):
        if value:
            raise click.UsageError(f"{option} is for flows that workers know, not for files")
    if order.policy is not None:
        raise click.UsageError("--policy is for flows that workers know; write it into the file")


def _read(path: Path) -> bytes:
    try:
        text = sys.stdin.buffer.read(_MOST + 1) if str(path) == STDIN else path.read_bytes()
    except OSError as error:
        raise DefinitionError(
            f"{path} cannot be read: {error.strerror or error}",
            code="TR101",
            hint="name a flow.yaml, or a flow that workers know (tailrace worker list -o json)",
        ) from error
    if len(text) > _MOST:
        raise DefinitionError(
            f"{_shown(path)} is too large: a workflow that is sent may have {_MOST:,} bytes",
            code="TR403",
            hint="start the workers with it: tailrace up --flows-dir FOLDER",
        )
    return text


def _name_in(text: bytes, path: Path) -> str:
    """Return the name that a workflow gives itself, else the one of its file.

    Raises:
        DefinitionError: it came from standard input, and has no name (TR101).
    """
    import yaml  # noqa: PLC0415 - only where a file is sent

    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return path.stem if str(path) != STDIN else "stdin"  # the server says what is wrong
    if isinstance(document, dict) and isinstance(document.get("name"), str) and document["name"]:
        return str(document["name"])
    if str(path) == STDIN:
        raise DefinitionError(
            "what came from standard input has no name"
            if text.strip()
            else "standard input is empty",
            code="TR101",
            hint="write name: … into the definition, or give --flow NAME",
        )
    return path.stem


def _shown(path: Path) -> str:
    return "what came from standard input" if str(path) == STDIN else str(path)


def _warn(submitted: Submitted) -> None:
    terminal = current_session().err
    if submitted.duplicate:
        said = f"run {submitted.run_id} was submitted before, with the same idempotency key"
        terminal.lines([terminal.style(said, "yellow")])
    if submitted.warning:
        label = terminal.style("warning:", "bold yellow")
        terminal.lines([f"{label} {clean(submitted.warning)}"])
    terminal.stream.flush()


def follow(
    client: Client,
    run_id: str,
    *,
    view: RemoteView | None,
    timeout: float | None = None,
) -> Run | None:
    """Show a run until it is over, and return it with its records; None: the time is over."""
    for event in client.watch(run_id, records=True, timeout=timeout):
        if view is not None:
            view.show(event.run)
        if event.run.is_terminal:
            kept_apart = event.run.output_kept_apart
            return client.get(run_id, records=True) if kept_apart else event.run
    return None
