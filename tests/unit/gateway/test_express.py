"""Which requests may take the short way: what it reads of one is what the server's parser reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.gateway.caller import ANYBODY, Caller
from tailrace.gateway.counters import Counters
from tailrace.gateway.express import START, Express
from tailrace.gateway.service import Gateway
from tailrace.settings import GatewaySettings


class Keys:
    """Knows one key."""

    def known(self, key: str) -> Caller | None:
        return {"good": Caller(key_id="k1"), "weak": Caller(role="read")}.get(key)


def express(**settings: Any) -> Express:
    gateway = SimpleNamespace(
        settings=GatewaySettings(**settings), insecure=False, counters=Counters(), keys=Keys()
    )
    return Express(cast("Gateway", gateway))


def request(*lines: str, length: int = 2) -> bytes:
    head = ["Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {length}"]
    return START + "\r\n".join([*head, *lines]).encode() + b"\r\n\r\n"


class Parsed:
    """What the server's parser says of a request."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_complete = False
        httptools.HttpRequestParser(self).feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


def test_a_plain_request_is_taken_with_what_counts_for_its_run() -> None:
    data = request("Idempotency-Key: k 1", "Connection: Keep-Alive", "Accept: */*", length=17)
    head = express().head(data + b"{")
    assert head is not None
    assert (head.size, head.length, head.caller) == (len(data), 17, ANYBODY)
    assert head.counting == {"content-type": "application/json", "idempotency-key": "k 1"}


@pytest.mark.parametrize(
    "line",
    [
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Upgrade: websocket",
        "Connection: close",
        "Connection: keep-alive, upgrade",
        "Content-Length: 2",
        "Content-Type: text/plain",
        "Host: elsewhere.example",
        "Origin: http://elsewhere.example",
        "Sec-Fetch-Site: cross-site",
        " folded",
        "No colon",
        "Spaced : name",
        "Control: \x01",
        "Wide: \xe4",
        ": nameless",
        "Long: " + "x" * 9_000,
    ],
)
def test_whatever_is_unusual_is_left_to_the_server(line: str) -> None:
    assert express().head(request(line)) is None


@pytest.mark.parametrize(
    "data",
    [
        START + b"Host: 127.0.0.1\r\n",
        START + b"\r\n",
        START + b"Content-Type: application/json\r\n\r\n",
        request(length=0),
        request(length=10**6),
        START + b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\n",
        START + b"Content-Type: application/json\r\nContent-Length: +2\r\n\r\n",
    ],
)
def test_a_head_without_an_end_or_a_fitting_body_is_left_to_the_server(data: bytes) -> None:
    assert express().head(data) is None


def test_keys_are_looked_at_each_time_and_must_be_good_enough() -> None:
    one = express(auth="api_key")
    assert one.head(request()) is None
    assert one.head(request("X-API-Key: unknown")) is None
    assert one.head(request("X-API-Key: weak")) is None
    head = one.head(request("X-API-Key: good"))
    assert head is not None
    assert head.caller.key_id == "k1"


def test_with_a_log_of_requests_all_go_the_long_way() -> None:
    assert express(access_log=True).head(request()) is None


_NAMES = st.sampled_from(
    ["Accept", "Content-Length", "content-type", "Transfer-Encoding", "X-Y", "Connection", "a b"]
)
_VALUES = st.one_of(
    st.sampled_from(["2", " 2", "02", "2, 2", "chunked", "application/json", "close", "x\ty"]),
    st.text(st.characters(max_codepoint=300), max_size=8),
)


@given(
    st.lists(st.tuples(_NAMES, _VALUES), max_size=4),
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.sampled_from([": ", ":", " : ", ":\t"]),
)
def test_what_is_taken_is_what_the_parser_reads(
    fields: list[tuple[str, str]], end: str, colon: str
) -> None:
    more = end.join(f"{name}{colon}{value}" for name, value in fields)
    data = request(more) if more else request()
    head = express().head(data + b"{}")
    if head is None:
        return
    parsed = Parsed(data + b"{}")
    assert parsed.is_complete
    assert parsed.body == (data + b"{}")[head.size :][: head.length]
    counting = {name.decode(): value.decode() for name, value in reversed(parsed.headers)}
    assert head.counting == {name: counting[name] for name in head.counting}
