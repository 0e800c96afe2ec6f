"""Three servers that keep everything three times: one may die, whichever it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream_server import NatsServer, free_port
from tailrace.errors import TransportError
from tailrace.jetstream.address import Address
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.resources import Limits, ensure
from tailrace.model import NodeState
from tailrace.model.journal import NodeFinished
from waiting import wait_until
from workers import Cluster, cluster

FLOWS = """
import time
from tailrace import Flow, foreach, task

@task
def numbers():
    return list(range(100))

@task
def each(item):
    with open("counted", "a") as file:
        file.write(f"{item}\\n")
    time.sleep(0.01)
    return item

steady = Flow("steady", numbers >> foreach("results.numbers", item="item", name="loop")(each))
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[NatsServer]]:
    ports = [free_port() for _ in range(3)]
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
    found = [
        NatsServer(
            tmp_path / f"n{number}",
            config=(
                f"server_name: n{number}\n"
                f'cluster {{ name: three, listen: "127.0.0.1:{port}", routes: [{routes}] }}'
            ),
        )
        for number, port in enumerate(ports)
    ]
    with contextlib.ExitStack() as stack:
        for server in found:
            stack.callback(server.kill)
            server.start()
        yield found


async def make_streams(url: str) -> bool:
    """Make the streams, three times each; False: the servers have not found each other yet."""
    link = Link(Address(urls=tuple(url.split(","))))
    try:
        await link.open(wait=5)
        differences = await ensure(link, Names("p"), Limits(replicas=3, ack_wait=5))
    except TransportError:
        return False
    finally:
        await link.close()
    assert not differences
    return True


def leader_of(site: Cluster) -> str:
    """Return the name of the server that leads the stream of the runs."""
    info = site.queue.call(lambda: site.queue.link.info(site.queue.names.runs))
    return str(info["cluster"]["leader"])


def test_the_leader_may_die_while_a_run_is_under_way(
    servers: list[NatsServer], tmp_path: Path
) -> None:
    url = ",".join(server.url for server in servers)
    wait_until(lambda: asyncio.run(make_streams(url)), "the servers are one", seconds=40)
    with cluster(tmp_path, url, "p", FLOWS, ack_wait=5) as site:
        site.start("w1")  # it was not told how often things are kept, and goes by what is there
        run_id = site.queue.submit("steady")
        wait_until(lambda: len(site.lines("counted")) > 10, "some nodes have run")
        servers[int(leader_of(site)[1:])].kill()
        state = site.queue.ended(run_id, seconds=60)
        assert (state.status, state.claims) == ("COMPLETED", 1)
        finished = [
            record.path
            for record in site.queue.records(run_id)
            if isinstance(record, NodeFinished) and record.state is NodeState.SUCCEEDED
        ]
        assert len(finished) == len(set(finished)) == 101
        assert len(site.lines("counted")) == 100
