from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from nats.protocol.parser import Parser

from tailrace.jetstream.parsing import FastParser

Message = tuple[int, bytes, bytes, bytes, bytes]


class _Client:
    """Notes what a parser tells."""

    def __init__(self, taken: frozenset[int] = frozenset()) -> None:
        self.taken = taken
        self.told: list[Message | str] = []

    def deliver(self, *message: object) -> bool:
        if message[0] not in self.taken:
            return False
        self._note(*message)
        return True

    async def _process_msg(self, *message: object) -> None:
        self._note(*message)

    def _note(self, *message: object) -> None:
        self.told.append(cast("Message", (*message[:-1], message[-1] or b"")))

    async def _process_ping(self) -> None:
        self.told.append("ping")

    async def _process_pong(self) -> None:
        self.told.append("pong")

    async def _process_err(self, text: str) -> None:
        self.told.append(text)

    async def _process_info(self, _: object) -> None:
        self.told.append("info")


_words = st.text("abc.$JS-1", min_size=1, max_size=12).map(str.encode)
_bodies = st.binary(max_size=40) | st.just(b"\r\nMSG a 1 5\r\nPING\r\n") | st.just(b"x" * 5_000)


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    subject, reply, body = draw(_words), draw(st.just(b"") | _words), draw(_bodies)
    number = draw(st.integers(1, 4))
    words = b" ".join(part for part in (subject, b"%d" % number, reply) if part)
    if draw(st.booleans()):
        head = b"NATS/1.0" + draw(st.sampled_from([b"", b" 404 No Messages"])) + b"\r\nA: b\r\n\r\n"
        return b"HMSG %b %d %d\r\n%b%b\r\n" % (words, len(head), len(head + body), head, body)
    return b"MSG %b %d\r\n%b\r\n" % (words, len(body), body)


_others = st.sampled_from(
    [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'odd'\r\n", b'INFO {"a":1}\r\n']
)


async def _told(parser: Parser, client: _Client, pieces: list[bytes]) -> list[Message | str]:
    for piece in pieces:
        await parser.parse(piece)
    return client.told


@given(
    st.lists(_messages() | _others, max_size=12).map(b"".join),
    st.lists(st.integers(0, 12_000), max_size=8),
    st.frozensets(st.integers(1, 4)),
)
def test_what_comes_in_any_pieces_is_read_as_by_the_client_itself(
    stream: bytes, cuts: list[int], taken: frozenset[int]
) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[one:other] for one, other in pairwise(edges)]
    slow, fast = _Client(), _Client(taken)
    expected = asyncio.run(_told(Parser(slow), slow, [stream]))
    assert asyncio.run(_told(FastParser(fast), fast, pieces)) == expected


def test_a_new_connection_begins_with_nothing() -> None:
    client = _Client()
    parser = FastParser(client)

    async def body() -> None:
        await parser.parse(b"MSG a 1 100\r\nhalf of")
        parser.reset()
        await parser.parse(b"MSG b 2 2\r\nok\r\n")

    asyncio.run(body())
    assert client.told == [(2, b"b", b"", b"ok", b"")]
