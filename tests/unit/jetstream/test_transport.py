from __future__ import annotations

import pytest

from jetstream_room import Room, in_room, job
from jetstream_server import NatsServer
from tailrace.errors import TransportError
from tailrace.jetstream.address import Address
from tailrace.jetstream.link import Link
from tailrace.jetstream.transport import FastClient
from tailrace.model.remote import CancelRequest, StoredLetter

STRANGE = ["", "*", ">", "a.b", "a b", "a\r\nPUB x 0", "x" * 65, "ü"]


def test_headers_are_read_as_they_were_sent(nats_server: NatsServer, nats_prefix: str) -> None:
    async def body(room: Room) -> None:
        headers = {"Tailrace-A": "1: 2", "Tailrace-B": "ü", "Tailrace-C": ""}
        subject = room.names.state("r1")
        await room.link.store(subject, b"", headers=headers)
        stored = await room.link.last(room.names.runs, subject)
        assert stored is not None
        assert headers.items() <= stored.headers.items()
        assert stored.body == b""

    in_room(nats_server, nats_prefix, body)


@pytest.mark.parametrize("value", ["a\nb", "a\r\n\r\nPUB x 0\r\n\r\n"])
def test_nothing_can_be_smuggled_in_through_a_header_or_a_subject(
    nats_server: NatsServer, nats_prefix: str, value: str
) -> None:
    async def body(room: Room) -> None:
        with pytest.raises(ValueError, match="header"):
            await room.link.send("x", b"", headers={"A": value})
        with pytest.raises(ValueError, match="subject"):
            await room.link.send(f"x.{value}", b"")
        await room.link.flush()

    in_room(nats_server, nats_prefix, body)


def test_our_ways_replace_those_of_the_client() -> None:
    assert FastClient._parse_header_lines(b"A: b:c\r\nB:d\r\n\r\n") == {"A": "b:c", "B": "d"}
    for name in ("_parse_header_lines", "_send_publish"):
        assert name in vars(FastClient)
        assert any(name in vars(above) for above in FastClient.__mro__[1:])


@pytest.mark.parametrize("name", STRANGE)
def test_what_can_be_no_name_names_nothing(
    nats_server: NatsServer, nats_prefix: str, name: str
) -> None:
    async def body(room: Room) -> None:
        await room.queue.submit(job("r1"))
        await room.letters.put(StoredLetter(letter_id="DL-1", timestamp=1.0, reason="x", error=""))
        await room.states.request_cancel("r1", CancelRequest(at=1.0))
        assert await room.queue.find(name) is None
        assert not await room.queue.withdraw(name)
        assert await room.states.read(name) is None
        assert await room.states.cancel_request(name) is None
        assert await room.states.journal(name) == []
        assert await room.letters.get(name) is None
        assert not await room.letters.remove(name)
        assert await room.registry.worker(name) is None
        assert not await room.registry.forget_worker(name)
        assert not await room.registry.remove_key(name)
        for wrong in (job(name), job("r2", tag=name), job("r2", priority=name)):
            with pytest.raises(ValueError, match="no run to queue"):
                await room.queue.submit(wrong)
        assert await room.queue.find("r1") is not None

    in_room(nats_server, nats_prefix, body)


def test_an_address_keeps_its_secrets() -> None:
    link = Link(Address(urls=("nats://h:1",), password="hush", token="hush"))  # noqa: S106
    assert "hush" not in repr(link.address)


def test_what_others_have_written_under_our_names_is_told_apart(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        names = room.names
        newer = b"\x82\xa1v\x63\xa3job\x82\xa6run_id\xa2r2\xa9flow_name\xa1f"
        await room.link.store(names.state("r1"), b"garbage", headers={"Status": "204"})
        await room.link.store(names.state("r2"), newer)
        await room.link.store(names.queue("default", "normal", "r3"), b"garbage")
        for run_id in ("r1", "r2"):
            with pytest.raises(TransportError) as caught:
                await room.states.read(run_id)
            assert caught.value.code == "TR405"
        assert await room.queue.find("r3") is None
        assert len(await room.link.scan(names.runs, 1)) == 3

    in_room(nats_server, nats_prefix, body)
