"""Dead letters of a server, for ``tailrace dlq … --server``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click
import msgspec

from tailrace.cli.listing import counted, say, show_one
from tailrace.cli.remote import Server, open_client
from tailrace.client.calls import Call, document, post
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter

_KNOWN = ("state", "reason", "flow", "run")
_MOST = 500


class _Letters(msgspec.Struct):
    items: list[DeadLetter]


class _Letter(msgspec.Struct):
    letter: DeadLetter


def list_from(server: str, wanted: FailureFilter) -> list[DeadLetter]:
    """Return the letters of a server, the newest first, at most 500.

    Raises:
        UsageError: the filter has what the server does not filter by.
        TransportError: the server cannot be reached.
    """
    defaults = FailureFilter()
    for name in FailureFilter.__struct_fields__:
        if name not in _KNOWN and getattr(wanted, name) != getattr(defaults, name):
            known = ", ".join(f"--{one}" for one in _KNOWN)
            raise click.UsageError(f"with --server letters are chosen by {known} only")
    query = tuple((name, getattr(wanted, name)) for name in _KNOWN if getattr(wanted, name))
    path = "/api/dead-letters"
    call: Call[_Letters] = Call(
        method="GET", path=path, shape=_Letters, query=(*query, ("limit", str(_MOST)))
    )
    with open_client(Server(address=server)) as client:
        return client.send(call).items


def letter_from(server: str, subject: str) -> DeadLetter:
    """Return a letter of a server by its id, or the beginning of it.

    Raises:
        NotFound: there is none.
    """
    call: Call[_Letter] = Call(method="GET", path=_path(subject), shape=_Letter)
    with open_client(Server(address=server)) as client:
        return client.send(call).letter


def redrive_at(server: str, subjects: Sequence[str], order: Mapping[str, Any], output: str) -> int:
    """Let a server run the work of letters again, and show the runs.

    Raises:
        UsageError: no letter is named, or an option that the server does not know.
    """
    if not subjects:
        raise click.UsageError("with --server, name the letters: tailrace dlq list --server URL")
    odd = [name for name, value in order.items() if value and name not in ("mode", "reason")]
    if odd:
        raise click.UsageError(f"--{odd[0].replace('_', '-')} is not for letters of a server")
    body = {name: order[name] for name in ("mode", "reason") if order.get(name)}
    with open_client(Server(address=server)) as client:
        runs = []
        for subject in subjects:
            letter = client.send(document(_path(subject)))["letter"]["dl_id"]
            answer = client.send(post(f"{_path(letter)}/redrive", body))
            runs.append({"letter": letter, "run_id": answer["run_id"]})
    show_one(
        output,
        data=lambda: runs,
        text=lambda: [f"{one['letter']}  run {one['run_id']}" for one in runs],
    )
    if output == "table":
        say(f"{counted(len(runs), 'run')} queued · tailrace runs watch {runs[-1]['run_id']}")
    return 0


def _path(subject: str) -> str:
    return f"/api/dead-letters/{quote(subject, safe='')}"
