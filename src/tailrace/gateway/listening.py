"""Where the gateway listens, and whether it may."""

from __future__ import annotations

import errno
import ipaddress
import socket

from tailrace.errors import SettingsError, TransportError
from tailrace.settings import Settings

_BACKLOG = 2048


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def demand_safe(settings: Settings, *, insecure: bool) -> None:
    """Refuse to be reached by others without keys.

    Raises:
        SettingsError: TR428.
    """
    gateway = settings.gateway
    if gateway.auth == "none" and not insecure and not is_loopback(gateway.host):
        raise SettingsError(
            f"{gateway.host} can be reached from other machines, and no keys are asked for",
            code="TR428",
            hint="Add --auth api_key (see `tailrace admin key create`), or --insecure if"
            " everybody who gets there may run anything.",
        )


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        TransportError: TR429, the port is taken or the address is none of this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "something else listens there" if taken else error.strerror or str(error)
        raise TransportError(
            f"the gateway cannot listen at {host}:{port}: {why}",
            code="TR429",
            hint="Choose another with --port, or --port 0 for any free one.",
        ) from error
    bound.set_inheritable(True)
    return bound
