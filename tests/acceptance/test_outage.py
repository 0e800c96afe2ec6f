"""NATS away for longer than anybody's patience, and more watchers than anybody has."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from gateway_process import Backstage, GatewayProcess, running_gateway
from jetstream_server import NatsServer
from waiting import wait_until
from workers import cluster

FLOWS = """
from tailrace import Flow, task

@task
def first(number: int):
    with open("effects", "a") as file:
        file.write(f"{number}\\n")
    return number

@task
def second(first):
    return first * 2

double = Flow("double", first >> second)
"""
RUNS = 120
SENDERS = 4
ACK_WAIT = 1
PATIENCE = "0.3"
"""Seconds that gateway and worker wait for an answer of NATS."""
WATCHERS = 1000


def send(url: str, numbers: range, refused: threading.Semaphore) -> dict[int, str]:
    """Submit runs, each again and again until it is taken; return their ids."""
    taken: dict[int, str] = {}
    with httpx.Client(base_url=url, timeout=10) as client:
        for number in numbers:
            body = {
                "flow_name": "double",
                "params": {"number": number},
                "idempotency_key": f"order {number}",
            }
            while (answer := client.post("/runs", json=body)).status_code == 503:
                refused.release()
            assert answer.status_code == 200, answer.text
            taken[number] = answer.json()["run_id"]
    return taken


def test_an_outage_longer_than_all_patience_loses_nothing(
    own_nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    nats = own_nats_server
    (tmp_path / "tailrace.toml").write_text(f"[nats]\ntimeout = {PATIENCE}\n")
    with (
        cluster(tmp_path, nats.url, nats_prefix, FLOWS, ack_wait=ACK_WAIT) as site,
        running_gateway(
            tmp_path, nats.url, nats_prefix, TAILRACE_NATS_ACK_WAIT=str(ACK_WAIT)
        ) as gateway,
        ThreadPoolExecutor(SENDERS) as pool,
    ):
        worker = site.start("w1")
        wait_until(gateway.is_ready, "the gateway is ready")
        refused = threading.Semaphore(0)
        sending = [
            pool.submit(send, gateway.url, range(one, RUNS, SENDERS), refused)
            for one in range(SENDERS)
        ]
        wait_until(lambda: len(site.lines("effects")) > RUNS // 6, "there is load")
        nats.kill()
        died = time.monotonic()
        for _ in range(2 * SENDERS):
            assert refused.acquire(timeout=60)
        wait_until(lambda: time.monotonic() - died > 2 * ACK_WAIT, "all patience is at its end")
        nats.start()
        taken = {number: run for one in sending for number, run in one.result(60).items()}
        assert len(set(taken.values())) == RUNS
        for number, run_id in taken.items():
            ended = site.queue.ended(run_id)
            assert (ended.status, ended.output) == ("COMPLETED", number * 2)
        wait_until(lambda: not site.queue.waiting(), "all messages are settled")
        assert set(map(int, site.lines("effects"))) == set(range(RUNS))
        assert worker.poll() is None
        assert gateway.process.poll() is None


async def watch(gateway: GatewayProcess, run_id: str, begun: asyncio.Semaphore) -> bytes:
    """Watch a run to the end of the stream and return all that came."""
    host, _, port = gateway.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET /runs/{run_id}/watch HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"event: snapshot")
        begun.release()
        return head + await reader.readuntil(b"\r\n0\r\n\r\n")
    finally:
        writer.close()


def test_a_thousand_watchers_of_a_run_all_see_its_end(
    nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(WATCHERS, soft - 200)
    with running_gateway(tmp_path, nats_server.url, nats_prefix) as gateway:
        wait_until(gateway.is_ready, "the gateway is ready")
        run_id = gateway.submit()
        worker = Backstage(nats_server.url, nats_prefix)

        async def body() -> list[bytes]:
            begun = asyncio.Semaphore(0)
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                watching = [group.create_task(watch(gateway, run_id, begun)) for _ in range(count)]
                for _ in watching:
                    await begun.acquire()
                await asyncio.to_thread(worker.write, run_id, status="COMPLETED", claims=1)
            return [one.result() for one in watching]

        seen = asyncio.run(body())
        worker.close()
        assert len(seen) == count
        assert all(b'"status":"COMPLETED"' in one for one in seen)
        assert gateway.client.get("/livez").status_code == 200
        assert "Traceback" not in gateway.log
