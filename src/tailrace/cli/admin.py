"""``tailrace admin key``: API keys. They are kept in NATS, and made without a gateway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.clock_text import ago, local_time
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, counted, say, show_listing
from tailrace.cli.options import format_option, seconds
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Cell, Column, Row

if TYPE_CHECKING:
    from tailrace.model.remote import KeyRecord

_ROLES = ("read", "submit", "operate", "admin")
_COLUMNS = (
    Column(title="KEY"),
    Column(title="ROLE"),
    Column(title="TENANT"),
    Column(title="STATE"),
    Column(title="CREATED", drop=1),
    Column(title="LABEL", flex=True),
)
_nats_option = click.option(
    "--nats-url", metavar="URL", help="NATS; of tailrace up here, or the settings, otherwise."
)


@command()
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="submit",
    show_default=True,
    help="What its bearer may do.",
)
@click.option("--tenant", metavar="NAME", help="Sees its own runs only; everybody's otherwise.")
@click.option("--label", default="", metavar="TEXT", help="Whose it is, or what for.")
@click.option("--expires", metavar="DURATION", callback=seconds, help="Works this long only.")
@_nats_option
@format_option("table", "json")
def create_key(
    role: str,
    tenant: str | None,
    label: str,
    expires: float | None,
    nats_url: str | None,
    output: str,
) -> int:
    """Make an API key and print it; it cannot be shown again.

    A role may what the ones before it may: read (look), submit (start and cancel runs), operate
    (redrive, hide workers), admin (everything, of all tenants).

    \b
      tailrace admin key create --role submit --tenant sales --label "nightly job"
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.keys_access import create  # noqa: PLC0415 - help needs none of it

    key, record = create(nats_url, role=role, tenant=tenant, label=label, expires=expires)
    terminal = current_session().out
    if output == "json":
        from tailrace.cli.json_text import pretty  # noqa: PLC0415 - one of two

        terminal.lines([pretty({"api_key": key, **_data(record)})])
    else:
        terminal.lines([key])
        say(f"key {record.key_id}, role {role} · it cannot be shown again")
    return 0


@command()
@_nats_option
@format_option(*FORMATS)
def list_keys(nats_url: str | None, output: str) -> int:
    """List API keys; the keys themselves are not kept."""
    from tailrace.cli.keys_access import list_all  # noqa: PLC0415 - help needs none of it

    found = list_all(nats_url)
    now = time.time_ns()
    show_listing(
        found,
        output,
        columns=_COLUMNS,
        row=lambda record: _row(record, now),
        data=_data,
        footer=counted(len(found), "key"),
    )
    return 0


def _row(record: KeyRecord, now: int) -> Row:
    state = _state(record)
    return (
        record.key_id,
        record.role,
        record.tenant_id or "(all)",
        Cell(state, "green" if state == "good" else "dim"),
        ago(round(record.created_at * 1e9), now),
        record.label,
    )


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is None:
        return "good"
    if record.expires_at <= time.time():
        return "expired"
    return f"good until {local_time(round(record.expires_at * 1e9))}"


def _data(record: KeyRecord) -> dict[str, Any]:
    return {
        "key_id": record.key_id,
        "tenant_id": record.tenant_id,
        "role": record.role,
        "label": record.label,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
    }


@command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY")
@_nats_option
def revoke_keys(keys: tuple[str, ...], nats_url: str | None) -> int:
    """Revoke API keys by their ids; gateways refuse them within seconds."""
    from tailrace.cli.keys_access import revoke  # noqa: PLC0415 - help needs none of it

    revoke(nats_url, keys)
    say(f"{counted(len(keys), 'key')} revoked")
    return 0
