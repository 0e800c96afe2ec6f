"""From the settings to a connection with everything in its place."""

from __future__ import annotations

from tailrace.jetstream.address import Address
from tailrace.jetstream.names import Names
from tailrace.jetstream.resources import Limits
from tailrace.settings import NatsSettings


def address_of(settings: NatsSettings, *, name: str = "tailrace") -> Address:
    """Return where NATS is; ``name`` is how the server's reports call this connection."""
    return Address(
        urls=settings.url,
        user=settings.user,
        password=settings.password,
        token=settings.token,
        nkey_seed_file=settings.nkey_seed_file,
        credentials_file=settings.credentials_file,
        ca_file=settings.ca_file,
        certificate_file=settings.certificate_file,
        key_file=settings.key_file,
        name=name,
    )


def names_of(settings: NatsSettings) -> Names:
    """Return the names under the prefix of the settings."""
    return Names(settings.prefix)


def limits_of(settings: NatsSettings) -> Limits:
    """Return sizes and times of the streams."""
    return Limits(
        replicas=settings.replicas,
        ack_wait=settings.ack_wait,
        keep_days=settings.keep_days,
        letter_days=settings.letter_days,
        letter_count=settings.letter_count,
        letter_bytes=settings.letter_size,
        span_days=settings.span_days,
        span_bytes=settings.span_size,
    )
