"""Servers that want encryption and credentials, and what is said when they do not get them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nkeys  # type: ignore[import-untyped]
import pytest

from certificates import Authority, Operator, new_nkey, tls_config
from jetstream_server import NatsServer, running_server
from tailrace.errors import TransportError
from tailrace.jetstream.address import Address
from tailrace.jetstream.answers import Denied, Rejected
from tailrace.jetstream.link import Link


async def reach(address: Address) -> None:
    """Connect and have JetStream answer."""
    link = Link(address)
    await link.open(wait=10)
    try:
        await link.api("INFO")
    finally:
        await link.close()


def refusal(address: Address) -> TransportError:
    """Return why there is no connection."""
    with pytest.raises(TransportError) as caught:
        asyncio.run(asyncio.wait_for(reach(address), 15))
    assert caught.value.hint
    return caught.value


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def encrypted(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NatsServer]:
    """A server that wants a certificate of its clients."""
    config = tls_config(authority, authority.sign("server"), verify=True)
    with running_server(tmp_path_factory.mktemp("tls"), config=config) as server:
        yield server


def test_both_sides_show_a_certificate(encrypted: NatsServer, authority: Authority) -> None:
    certificate, key = authority.sign("client")
    ours = Address(
        urls=(encrypted.url,),
        ca_file=str(authority.file),
        certificate_file=str(certificate),
        key_file=str(key),
    )
    asyncio.run(reach(ours))


def test_a_ca_that_nobody_trusts_is_said(encrypted: NatsServer, tmp_path: Path) -> None:
    error = refusal(Address(urls=(encrypted.url,), ca_file=str(Authority(tmp_path).file)))
    assert isinstance(error, Rejected)
    assert error.code == "TR412"
    assert "certificate is not good" in error.message


def test_who_names_no_ca_is_told_that_it_is_the_certificate(encrypted: NatsServer) -> None:
    assert refusal(Address(urls=(encrypted.url,))).code == "TR412"


def test_a_missing_certificate_of_ours_is_said(encrypted: NatsServer, authority: Authority) -> None:
    error = refusal(Address(urls=(encrypted.url,), ca_file=str(authority.file)))
    assert error.code == "TR412"
    assert "certificate" in error.message


def test_a_certificate_that_has_expired_is_said(authority: Authority, tmp_path: Path) -> None:
    config = tls_config(authority, authority.sign("old", days=-1), verify=False)
    with running_server(tmp_path, config=config) as server:
        error = refusal(Address(urls=(server.url,), ca_file=str(authority.file)))
    assert error.code == "TR412"
    assert "expired" in error.message


def test_a_file_that_is_no_certificate_is_said(encrypted: NatsServer, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    error = refusal(Address(urls=(encrypted.url,), ca_file=str(tmp_path / "ca.pem")))
    assert (error.code, "ca.pem" in error.message) == ("TR412", True)
    error = refusal(Address(urls=(encrypted.url,), ca_file=str(tmp_path / "none.pem")))
    assert (error.code, "none.pem" in error.message) == ("TR412", True)


def test_a_token_is_good_and_another_one_is_not(tmp_path: Path) -> None:
    with running_server(tmp_path, config='authorization { token: "right" }') as server:
        for right in (True, False):
            address = Address(urls=(server.url,), token="right" if right else "wrong")
            if right:
                asyncio.run(reach(address))
            else:
                assert refusal(address).code == "TR411"
        asyncio.run(reach(Address(urls=(server.url.replace("//", "//right@"),))))


def test_an_nkey_is_good_and_another_one_is_not(tmp_path: Path) -> None:
    seed, public = new_nkey(nkeys.PREFIX_BYTE_USER)
    other, _ = new_nkey(nkeys.PREFIX_BYTE_USER)
    (tmp_path / "ours").write_bytes(seed)
    (tmp_path / "other").write_bytes(other)
    (tmp_path / "broken").write_text("SUBROKEN")
    config = f"authorization {{ users: [{{ nkey: {public} }}] }}"
    with running_server(tmp_path / "nats", config=config) as server:
        for name, code in (("ours", ""), ("other", "TR411"), ("broken", "TR411"), ("no", "TR411")):
            address = Address(urls=(server.url,), nkey_seed_file=str(tmp_path / name))
            if code:
                assert refusal(address).code == code, name
            else:
                asyncio.run(reach(address))


def test_a_link_that_was_never_open_can_be_closed(tmp_path: Path) -> None:
    async def main() -> None:
        link = Link(Address(credentials_file=str(tmp_path / "none.creds")))
        with pytest.raises(Rejected, match=r"none\.creds"):
            await link.open()
        await link.close()

    asyncio.run(main())


def test_credentials_of_an_account_are_good_and_those_of_another_operator_are_not(
    tmp_path: Path,
) -> None:
    operator, stranger = Operator(), Operator()
    with running_server(tmp_path / "nats", config=operator.config()) as server:
        ours = operator.credentials(tmp_path / "ours.creds")
        asyncio.run(reach(Address(urls=(server.url,), credentials_file=str(ours))))
        theirs = stranger.credentials(tmp_path / "theirs.creds")
        assert refusal(Address(urls=(server.url,), credentials_file=str(theirs))).code == "TR411"
        (tmp_path / "broken.creds").write_text("nothing")
        broken = Address(urls=(server.url,), credentials_file=str(tmp_path / "broken.creds"))
        assert refusal(broken).code == "TR411"


def test_who_may_not_hear_answers_is_told_at_once(tmp_path: Path) -> None:
    config = (
        'authorization { users: [{ user: "ann", password: "x",'
        ' permissions: { subscribe: "nothing.>" } }] }'
    )
    with running_server(tmp_path, config=config) as server:
        for _ in range(20):  # whatever reaches the server first, the flush comes after it
            error = refusal(Address(urls=(server.url.replace("//", "//ann:x@"),)))
            assert isinstance(error, Denied)
            assert error.code == "TR413"
            assert "listening to _inbox." in error.message
