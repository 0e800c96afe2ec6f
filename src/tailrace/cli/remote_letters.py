"""Redrives of dead letters of a server, for ``tailrace dlq redrive --server``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from tailrace.cli.letters import find_letters
from tailrace.cli.listing import counted, say, show_one
from tailrace.cli.remote import Server, open_client
from tailrace.client.calls import post
from tailrace.client.failures import RemoteLetters
from tailrace.model.letter import LetterState


def redrive_at(
    server: Server, subjects: Sequence[str], order: Mapping[str, Any], output: str
) -> int:
    """Let a server run the work of letters again, and show the runs.

    Raises:
        UsageError: no letter is named, or an option that the server does not know.
        NotFound: there is no such letter, and no group with open ones.
    """
    if not subjects:
        raise click.UsageError("with a server, name the letters; tailrace dlq list shows them")
    odd = [name for name, value in order.items() if value and name not in ("mode", "reason")]
    if odd:
        raise click.UsageError(f"--{odd[0].replace('_', '-')} is not for letters of a server")
    body = {name: order[name] for name in ("mode", "reason") if order.get(name)}
    with open_client(server) as client:
        letters = RemoteLetters(client)
        found = {
            letter.dl_id: letter
            for subject in subjects
            for letter in find_letters(letters, subject, state=LetterState.OPEN.value)
        }
        runs = []
        for dl_id in found:
            path = f"/api/dead-letters/{quote(dl_id, safe='')}/redrive"
            runs.append({"letter": dl_id, "run_id": client.send(post(path, body))["run_id"]})
    show_one(
        output,
        data=lambda: runs,
        text=lambda: [f"{one['letter']}  run {one['run_id']}" for one in runs],
    )
    if output == "table":
        say(f"{counted(len(runs), 'run')} queued · tailrace runs watch {runs[-1]['run_id']}")
    return 0
