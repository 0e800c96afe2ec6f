"""What the gateway does when something goes away: NATS, itself, a client, another gateway."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import processes
from gateway_process import Backstage, GatewayProcess, events, running_gateway
from jetstream_server import NatsServer, free_port
from tailrace.cli.main import main
from waiting import wait_until


def is_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["detail"].startswith("nats unavailable: ")
    assert answer.json()["code"]
    assert answer.headers["retry-after"]


def is_unavailable_soon(
    gateway: GatewayProcess, method: str, path: str, body: dict[str, str] | None = None
) -> None:
    """Ask up to five times for an answer within two seconds; the machine may be busy."""
    for _ in range(5):
        began = time.monotonic()
        is_unavailable(gateway.client.request(method, path, json=body))
        if time.monotonic() - began < 2:
            return
    raise AssertionError(f"{method} {path} never came within two seconds")


def test_a_gateway_without_nats_says_so_and_waits_for_it(tmp_path: Path, nats_prefix: str) -> None:
    nats = NatsServer(tmp_path / "nats")
    with running_gateway(tmp_path / "gateway", nats.url, nats_prefix) as gateway:
        try:
            assert gateway.client.get("/health").json() == {"status": "ok"}
            answer = gateway.client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["checks"]["nats"]["ok"] is False
            is_unavailable_soon(gateway, "POST", "/runs", {"flow_name": "f"})
            is_unavailable_soon(gateway, "GET", "/runs/abc")
            assert gateway.client.get("/metrics").status_code == 200
            nats.start()
            wait_until(gateway.is_ready, "the gateway is ready")
            assert gateway.show(gateway.submit())["status"] == "PENDING"
        finally:
            nats.kill()


def test_while_nats_is_away_it_answers_within_a_second(
    own_nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    with running_gateway(tmp_path, own_nats_server.url, nats_prefix) as gateway:
        wait_until(gateway.is_ready, "the gateway is ready")
        run_id = gateway.submit()
        with own_nats_server.frozen():
            for method, path, body in (
                ("POST", "/runs", {"flow_name": "f"}),
                ("GET", f"/runs/{run_id}", None),
                ("POST", f"/runs/{run_id}/cancel", None),
            ):
                is_unavailable_soon(gateway, method, path, body)
        own_nats_server.kill()
        wait_until(lambda: not gateway.is_ready(), "the loss is noticed")
        is_unavailable(gateway.client.post("/runs", json={"flow_name": "f"}))
        assert gateway.client.get("/livez").status_code == 200
        own_nats_server.start()
        wait_until(gateway.is_ready, "the gateway is ready again")
        assert gateway.show(run_id)["status"] == "PENDING"


def test_a_submission_repeated_after_an_unknown_outcome_is_one_run(
    own_nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    with running_gateway(tmp_path, own_nats_server.url, nats_prefix) as gateway:
        wait_until(gateway.is_ready, "the gateway is ready")
        body = {"flow_name": "once", "idempotency_key": "k1"}
        with own_nats_server.frozen():
            is_unavailable(gateway.client.post("/runs", json=body))
        wait_until(
            lambda: gateway.client.post("/runs", json=body).status_code == 200,
            "NATS answers again",
        )
        run_id = gateway.submit("once", idempotency_key="k1")
        found = gateway.client.get("/runs", params={"flow": "once"}).json()
        assert [one["run_id"] for one in found] == [run_id]


def test_a_watcher_survives_a_restart_of_nats(
    own_nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    with running_gateway(tmp_path, own_nats_server.url, nats_prefix) as gateway:
        wait_until(gateway.is_ready, "the gateway is ready")
        run_id = gateway.submit()
        with gateway.client.stream("GET", f"/runs/{run_id}/watch") as response:
            stream = events(response)
            assert next(stream)["event"] == "snapshot"
            own_nats_server.restart()
            worker = Backstage(own_nats_server.url, nats_prefix)
            worker.write(run_id, status="COMPLETED", claims=1)
            worker.close()
            shown = [one for one in stream if one["event"] == "snapshot"]
        assert shown[-1]["data"]["snapshot"]["status"] == "COMPLETED"


def test_no_acknowledged_run_is_lost_when_the_gateway_is_killed_under_load(
    nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    acknowledged: set[str] = set()
    for round_ in range(2):
        with running_gateway(tmp_path / str(round_), nats_server.url, nats_prefix) as gateway:
            wait_until(gateway.is_ready, "the gateway is ready")
            enough = threading.Semaphore(0)

            def load(url: str = gateway.url, enough: threading.Semaphore = enough) -> set[str]:
                found: set[str] = set()
                with httpx.Client(base_url=url, timeout=5) as client:
                    try:
                        while True:
                            answer = client.post("/runs", json={"flow_name": "loaded"})
                            found.add(answer.json()["run_id"])
                            enough.release()
                    except httpx.HTTPError:
                        return found

            with ThreadPoolExecutor(8) as pool:
                loads = [pool.submit(load) for _ in range(8)]
                for _ in range(100):
                    assert enough.acquire(timeout=60)
                gateway.end(signal.SIGKILL)
                for one in loads:
                    acknowledged |= one.result()
    with running_gateway(tmp_path / "after", nats_server.url, nats_prefix) as gateway:
        wait_until(gateway.is_ready, "the gateway is ready")

        def all_listed() -> bool:
            return acknowledged <= set(listed(gateway))

        wait_until(all_listed, "the index has read the stream")
        worker = Backstage(nats_server.url, nats_prefix)
        try:
            work = worker.run(worker.link.last_of(worker.names.runs, [f"{nats_prefix}.q.>"]))
        finally:
            worker.close()
        assert {one.subject.rpartition(".")[2] for one in work} == set(listed(gateway))


def listed(gateway: GatewayProcess) -> Iterator[str]:
    cursor: str | None = ""
    while cursor is not None:
        query = {"flow": "loaded", "limit": "200", "cursor": cursor}
        page = gateway.client.get("/runs", params=query).json()
        yield from (one["run_id"] for one in page["items"])
        cursor = page["next_cursor"]


def test_two_gateways_show_and_do_the_same(
    nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    with (
        running_gateway(tmp_path / "a", nats_server.url, nats_prefix) as one,
        running_gateway(tmp_path / "b", nats_server.url, nats_prefix) as other,
    ):
        wait_until(lambda: one.is_ready() and other.is_ready(), "both are ready")
        run_id = one.submit("shared", idempotency_key="s")
        assert other.show(run_id)["status"] == "PENDING"
        assert other.submit("shared", idempotency_key="s") == run_id
        with one.client.stream("GET", f"/runs/{run_id}/watch") as response:
            stream = events(response)
            next(stream)
            assert other.client.post(f"/runs/{run_id}/cancel").json()["status"] == "CANCELLED"
            last = [event for event in stream if event["event"] == "snapshot"][-1]
        assert last["data"]["snapshot"]["status"] == "CANCELLED"
        wait_until(
            lambda: (
                one.client.get("/runs?flow=shared").json()[0]["status"]
                == other.client.get("/runs?flow=shared").json()[0]["status"]
                == "CANCELLED"
            ),
            "both lists say the same",
        )


def test_a_client_that_reads_nothing_holds_up_nobody(
    nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    with running_gateway(tmp_path, nats_server.url, nats_prefix) as gateway:
        wait_until(gateway.is_ready, "the gateway is ready")
        run_id = gateway.submit(params={"text": "x" * 100_000})
        worker = Backstage(nats_server.url, nats_prefix)
        host, port = gateway.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.sendall(f"GET /runs/{run_id}/watch HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            with gateway.client.stream("GET", f"/runs/{run_id}/watch") as response:
                stream = events(response)
                next(stream)
                for number in range(60):
                    worker.write(run_id, status="RUNNING", tasks={"a": str(number)})
                worker.write(run_id, status="COMPLETED")
                last = [event for event in stream if event["event"] == "snapshot"][-1]
        assert last["data"]["snapshot"]["status"] == "COMPLETED"
        worker.close()


def test_it_stops_in_order_with_watchers_open(
    nats_server: NatsServer, tmp_path: Path, nats_prefix: str
) -> None:
    with running_gateway(tmp_path, nats_server.url, nats_prefix) as gateway:
        wait_until(gateway.is_ready, "the gateway is ready")
        run_id = gateway.submit()
        with (
            httpx.Client(base_url=gateway.url, timeout=10) as client,
            client.stream("GET", f"/runs/{run_id}/watch") as response,
        ):
            stream = events(response)
            next(stream)
            gateway.process.send_signal(signal.SIGTERM)
            assert all(event["event"] != "snapshot" for event in stream)
        assert gateway.end() == 0
        assert "Traceback" not in gateway.log


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])  # noqa: S104 - refused
def test_it_does_not_listen_for_others_without_keys(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["server", "up", "--host", host]) == 4
    assert "TR428" in capsys.readouterr().err


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = processes.tailrace(tmp_path, "server", "up", "--port", str(port))
    assert done.returncode == 5
    assert "TR429" in done.stderr
    assert "Traceback" not in done.stderr


def test_streams_that_differ_are_told_and_mended(
    nats_server: NatsServer,
    nats_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TAILRACE_NATS_PREFIX", nats_prefix)

    def migrate(*options: str) -> str:
        assert main(["server", "migrate", "--nats-url", nats_server.url, "--json", *options]) == 0
        return capsys.readouterr().out

    migrate()
    monkeypatch.setenv("TAILRACE_NATS_LETTER_DAYS", "3")
    assert '"setting": "max_age"' in migrate("--dry-run")
    assert '"setting": "max_age"' in migrate()
    assert '"differences": []' in migrate()
    absent = f"nats://127.0.0.1:{free_port()}"
    assert main(["server", "migrate", "--nats-url", absent]) == 5
    assert "TR400" in capsys.readouterr().err
