"""Submissions over raw connections: however the bytes come, each request has its one answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, Self

import pytest

from gateway_process import GatewayProcess, running_gateway
from jetstream_server import NatsServer
from waiting import wait_until

BODY = json.dumps({"flow_name": "f", "params": {"n": 1}}).encode()


@pytest.fixture(scope="module")
def gateway(
    nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("connections")
    with running_gateway(folder, nats_server.url, "lane") as one:
        wait_until(one.is_ready, "the gateway is ready")
        yield one


class Connection:
    """A socket, and the answers that come over it."""

    def __init__(self, gateway: GatewayProcess) -> None:
        host, _, port = gateway.url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and body of the next answer."""
        status = int(self.file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return status, headers, json.loads(self.file.read(int(headers["content-length"])))


def request(body: bytes = BODY, *lines: str, path: str = "/runs") -> bytes:
    head = ["Host: 127.0.0.1", "Content-Type: application/json", *lines]
    text = "\r\n".join([f"POST {path} HTTP/1.1", *head, f"Content-Length: {len(body)}"])
    return text.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("at", [1, 12, 21, 40, 93, 94, 95, len(request()) - 1])
def test_a_submission_may_come_in_pieces(gateway: GatewayProcess, at: int) -> None:
    with Connection(gateway) as one:
        data = request()
        for _ in range(2):
            one.send(data[:at])
            gateway.client.get("/livez")  # what was sent has been read by then
            one.send(data[at:])
            status, _, body = one.answer()
            assert (status, body["status"]) == (200, "PENDING")
            assert gateway.show(body["run_id"])["params"] == {"n": 1}


def test_requests_that_are_sent_ahead_are_answered_in_order(gateway: GatewayProcess) -> None:
    with Connection(gateway) as one:
        plain = request(BODY, "Idempotency-Key: ahead")
        chunked = b"POST /runs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        chunked += b"Content-Type: application/json\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(BODY),
            BODY,
        )
        bad = request(b'{"flow_name": ""}')
        live = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        one.send(plain)
        one.send(plain + live + chunked, bad + plain, request() * 3)
        answers = [one.answer() for _ in range(9)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 200, 422, 200, 200, 200, 200]
    assert answers[2][2] == {"status": "ok"}
    ids = [body.get("run_id") for _, _, body in answers]
    assert ids[0] == ids[1] == ids[5]
    assert len(set(ids)) == 6  # one of them thrice, and two answers without
    assert answers[1][2]["duplicate"] is answers[5][2]["duplicate"] is True


def test_the_short_and_the_long_way_answer_alike(gateway: GatewayProcess) -> None:
    with Connection(gateway) as one:
        one.send(request())
        short = one.answer()
        one.send(request(BODY, "Expect: nothing"))
        long = one.answer()
    assert short[0] == long[0]
    assert list(short[1]) == list(long[1])
    assert {**short[2], "run_id": ""} == {**long[2], "run_id": ""}


def test_a_connection_that_is_to_end_ends(gateway: GatewayProcess) -> None:
    with Connection(gateway) as one:
        one.send(request(BODY, "Connection: close"))
        assert one.answer()[0] == 200
        assert one.file.read() == b""


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        (("Origin: http://elsewhere.example",), BODY, 403),
        ((), b'{"flow_name":', 422),
        ((), b'{"flow_name": "f", "tag": "a b"}', 422),
        ((), b"[" * 40_000, 422),
    ],
)
def test_what_is_refused_is_refused_as_ever(
    gateway: GatewayProcess, lines: tuple[str, ...], body: bytes, status: int
) -> None:
    with Connection(gateway) as one:
        one.send(request(body, *lines))
        found, _, answer = one.answer()
        assert found == status
        assert answer["code"].startswith("TR")


def test_a_client_that_leaves_at_once_leaves_a_run(gateway: GatewayProcess) -> None:
    body = json.dumps({"flow_name": "left", "params": {"n": 1}}).encode()
    with Connection(gateway) as one:
        one.send(request(body))

    def is_listed() -> bool:
        return bool(gateway.client.get("/runs", params={"flow": "left"}).json())

    wait_until(is_listed, "the run is listed")
