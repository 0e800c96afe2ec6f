"""Encrypted, with certificates on both sides and users that may only what they need."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import processes
from certificates import Authority, tls_config
from gateway_process import GatewayProcess, running_gateway
from jetstream_server import running_server
from waiting import wait_until

FLOWS = """
import os, time
from pathlib import Path
from tailrace import Flow, task

@task
def large():
    return os.urandom(600_000).hex()

@task
def length(large):
    return len(large)

@task
def breaks():
    raise ValueError("broken")

@task
def waits():
    while not Path("go").exists():
        time.sleep(0.01)

whole = Flow("whole", large >> length)
broken = Flow("broken", breaks)
held = Flow("held", waits)
"""
WORKER = (
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.CONSUMER.CREATE.p-runs.>",
    "$JS.API.CONSUMER.INFO.p-runs.*",
    "$JS.API.CONSUMER.MSG.NEXT.p-runs.*",
    "$JS.API.DIRECT.GET.>",
    "$JS.ACK.p-runs.>",
    *("p.s.*", "p.j.*.*", "p.b.*.*", "p.dlq.>", "p.w.*"),
)
"""What ``docs/distributed.md`` says that a worker must be allowed to publish to."""


def users() -> str:
    allowed = ", ".join(f'"{subject}"' for subject in WORKER)
    return (
        'authorization { users: [{ user: "gateway", password: "x" }, { user: "worker",'
        f' password: "x", permissions: {{ publish: {{ allow: [{allowed}] }},'
        ' subscribe: { allow: ["_INBOX.>", "p.ctl.>"] } } }] }'
    )


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway, and a worker, at a server that trusts nobody else."""
    authority = Authority(tmp_path / "ca")
    config = tls_config(authority, authority.sign("server"), verify=True) + users()
    certificate, key = authority.sign("client")
    common = {
        "TAILRACE_NATS_CA_FILE": str(authority.file),
        "TAILRACE_NATS_CERTIFICATE_FILE": str(certificate),
        "TAILRACE_NATS_KEY_FILE": str(key),
        "TAILRACE_NATS_PASSWORD": "x",
    }
    (tmp_path / "flows.py").write_text(FLOWS)
    with running_server(tmp_path / "nats", config=config) as server:
        environ = common | {"TAILRACE_NATS_USER": "gateway"}
        with running_gateway(tmp_path / "gateway", server.url, "p", **environ) as one:
            wait_until(one.is_ready, "the gateway is ready")
            more = common | {
                "TAILRACE_NATS_USER": "worker",
                "TAILRACE_NATS_URL": server.url,
                "TAILRACE_NATS_PREFIX": "p",
            }
            with (tmp_path / "worker.log").open("w") as log:
                worker = processes.start(
                    tmp_path,
                    *("worker", "start", "--flows", "flows"),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=processes.environ(more),
                )
            try:
                yield one
            finally:
                worker.terminate()
                worker.wait(60)


def test_a_worker_with_the_least_rights_does_all_that_workers_do(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    def ended(run_id: str, status: str) -> bool:
        return bool(gateway.show(run_id)["status"] == status)

    whole, broken = gateway.submit("whole"), gateway.submit("broken")
    wait_until(lambda: ended(whole, "COMPLETED"), "the run is over")
    assert gateway.show(whole)["output"] == 1_200_000
    wait_until(lambda: ended(broken, "FAILED"), "the run has failed")
    held = gateway.submit("held")
    wait_until(lambda: ended(held, "RUNNING"), "the run has begun")
    assert gateway.client.post(f"/runs/{held}/cancel").json()["status"] == "CANCELLING"
    (tmp_path / "go").touch()
    wait_until(lambda: ended(held, "CANCELLED"), "the run is cancelled")
    wait_until(lambda: gateway.client.get("/api/dead-letters").json(), "a letter is left")
    wait_until(lambda: gateway.client.get("/workers").json(), "the worker is seen")
    assert "NATS does not allow" not in (tmp_path / "worker.log").read_text()
