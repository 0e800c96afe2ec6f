"""``tailrace submit``: queue a run with a server."""

from __future__ import annotations

import os
from typing import Any

import click

from tailrace.cli.arguments import parse_params, read_mapping
from tailrace.cli.group import command
from tailrace.cli.options import format_option, seconds
from tailrace.cli.remote import Server, open_client, server_options
from tailrace.cli.session import current_session

_PATIENCE = 30.0


@command()
@click.argument("target", metavar="FLOW")
@click.option("-p", "--param", multiple=True, metavar="NAME=JSON", help="A param of the flow.")
@click.option("--params", metavar="JSON|@FILE|-", help="Params as one object.")
@click.option("--flow", metavar="NAME", help="Name of the flow, instead of the file's.")
@click.option("--tag", metavar="TAG", help="Which workers take it; default.")
@click.option("--tags", multiple=True, metavar="TAG", help="Shown and searched for.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="In the queue.")
@click.option("--label", metavar="TEXT", help="A note that stays with the run.")
@click.option("--delay", metavar="DURATION", callback=seconds, help="Not before this time.")
@click.option("--policy", metavar="JSON|@FILE", help="Overrides the flow's policy.")
@click.option("--idempotency-key", metavar="TEXT", help="The same key is the same run.")
@click.option("--watch", is_flag=True, help="Show the run until it is over; its exit code.")
@click.option(
    "--timeout", metavar="DURATION", callback=seconds, help="Stop watching then (exit 124)."
)
@server_options
@format_option("table", "json")
def submit_flow(output: str, server: Server, **given: Any) -> int:
    """Queue a run; a worker executes it.

    FLOW is the name of a flow that workers know, or a flow.yaml, which is sent along; - is a
    flow.yaml on standard input. When this returns, the run is stored and will be executed.

    \b
      tailrace submit nightly -p region=tokyo
      tailrace submit flow.yaml --watch
      tailrace submit nightly --idempotency-key 2026-11-21
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.submitting import Order, placing, submit  # noqa: PLC0415 - help needs none of it

    watches, timeout = given.pop("watch"), given.pop("timeout")
    param, params, policy = given.pop("param"), given.pop("params"), given.pop("policy")
    order = Order(
        params={
            **(read_mapping(params, option="--params") if params else {}),
            **parse_params(param),
        },
        policy=read_mapping(policy, option="--policy") if policy else None,
        traceparent=os.environ.get("TRACEPARENT", ""),
        tracestate=os.environ.get("TRACESTATE", ""),
        **{name: value for name, value in given.items() if value is not None},
    )
    with open_client(server, retry_for=_PATIENCE) as client:
        submitted = submit(client, order)
        if watches:
            from tailrace.cli.runs import watch_to_end  # noqa: PLC0415 - only on request

            with placing(order.target):
                return watch_to_end(client, submitted.run_id, output=output, timeout=timeout)
    _show(submitted, output)
    return 0


def _show(submitted: Any, output: str) -> None:
    session = current_session()
    if output == "json":
        import msgspec  # noqa: PLC0415 - one of two

        from tailrace.cli.json_text import pretty  # noqa: PLC0415 - likewise

        session.out.lines([pretty(msgspec.to_builtins(submitted))])
        return
    session.out.lines([submitted.run_id])
    said = f"{submitted.status.lower()} · tailrace runs watch {submitted.run_id}"
    shown = said if session.err.unicode else said.replace(" · ", " - ")
    session.err.lines([session.err.style(shown, "dim")])
