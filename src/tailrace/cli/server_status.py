"""``tailrace server status``: which server is meant, and how it does."""

from __future__ import annotations

from typing import Any

from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, show_facts
from tailrace.cli.options import format_option
from tailrace.cli.remote import Server, open_client, server_options
from tailrace.cli.session import finish
from tailrace.errors import TailraceError

_UNREACHABLE = 5


@command()
@server_options
@format_option(*FORMATS)
def show_status(output: str, server: Server) -> int:
    """Say which server commands speak to, why that one, and whether it can do its work.

    Exits 5 when it cannot.
    """
    with open_client(server, retry_for=0.0) as client:
        target = client.target
        facts: dict[str, Any] = {
            "server": target.server,
            "origin": target.origin,
            "key": bool(target.api_key),
        }
        try:
            facts |= {"ready": True, "checks": client.ready()}
            facts["workers"] = len(client.workers())
        except TailraceError as error:
            facts |= {"error": error.message} | ({} if "checks" in facts else {"ready": False})
    shown = [(name, _text(value)) for name, value in facts.items() if name != "checks"]
    show_facts(shown, output, data=lambda: facts)
    return finish(0 if facts["ready"] else _UNREACHABLE)


def _text(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if type(value) is bool else str(value)
