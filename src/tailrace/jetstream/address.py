"""Where NATS is, who we are there, and what it means when that does not work out."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import nats.errors
from nats.aio.client import Client

from tailrace.jetstream.answers import Denied, Rejected, Unreachable

_PING = 2
"""Seconds between pings; a server that answers none of two is left."""
_DENIED = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"')
_PERMIT = "give this user the permission, or use other credentials in the settings [nats]"
_MEND = "look at user, password, token or credentials in the settings [nats]"
_TLS_MEND = "look at ca_file, certificate_file and key_file in the settings [nats]"
_JWT = b"BEGIN NATS USER JWT"
_SEED = re.compile(rb"BEGIN USER NKEY SEED-+\s+(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where NATS is and who we are there."""

    urls: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    nkey_seed_file: str = ""
    credentials_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    inbox_prefix: str = "_INBOX"
    name: str = "tailrace"

    def tls(self) -> ssl.SSLContext | None:
        """Return the context of an encrypted connection; None: plain, or the system's own.

        Raises:
            Rejected: TR412, a file cannot be read, or is no certificate.
        """
        if not self.ca_file and not self.certificate_file:
            return None
        file = self.ca_file
        try:
            context = ssl.create_default_context(cafile=file or None)
            if self.certificate_file:
                file = self.certificate_file
                context.load_cert_chain(file, self.key_file or None)
        except OSError as error:  # ssl.SSLError is one, too
            raise Rejected(
                f"{file} cannot be used for an encrypted connection to NATS: {_words(error)}",
                code="TR412",
                hint=_TLS_MEND,
            ) from error
        return context

    def check_secrets(self) -> None:
        """See whether the files with secrets hold what they should.

        Raises:
            Rejected: TR411, one cannot be read, or holds something else; or the package for nkeys
                is missing.
        """
        for file, kind in ((self.nkey_seed_file, "nkey"), (self.credentials_file, "credentials")):
            if not file:
                continue
            try:
                why = _fault_in(Path(file).read_bytes(), kind)
            except OSError as error:
                why = _words(error)
            except ModuleNotFoundError as error:
                raise Rejected(
                    f"{file} cannot be used: the package {error.name!r} is missing",
                    hint='pip install "tailrace[nkeys]"',
                ) from error
            if why:
                raise Rejected(f"{file} holds no {kind} of NATS: {why}", hint=_MEND)


async def begin(
    client: Client,
    address: Address,
    *,
    failed: Callable[[Exception], Awaitable[None]],
    lost: Callable[[], Awaitable[None]],
    found: Callable[[], Awaitable[None]],
) -> None:
    """Connect; from then on the client reconnects for ever.

    Args:
        client: that has not been connected before.
        address: where to, and who we are.
        failed: told of errors, those of attempts that are repeated, too.
        lost: told when the connection is lost.
        found: told when it is there again.

    Raises:
        Rejected: a file that the address names is not good.
        OSError, nats.errors.Error: it did not succeed.
    """
    tls = address.tls()
    address.check_secrets()
    await client.connect(
        servers=list(address.urls),
        name=address.name,
        connect_timeout=2,
        max_reconnect_attempts=-1,
        allow_reconnect=True,
        reconnect_time_wait=0.1,  # type: ignore[arg-type]  # it sleeps that long, as a float
        ping_interval=_PING,
        max_outstanding_pings=2,
        user=address.user or None,
        password=address.password or None,
        token=address.token or None,
        nkeys_seed=address.nkey_seed_file or None,
        user_credentials=address.credentials_file or None,
        tls=tls,
        inbox_prefix=address.inbox_prefix,
        skip_subject_validation=True,
        error_cb=failed,
        disconnected_cb=lost,
        reconnected_cb=found,
    )


def unopened(address: Address, why: Exception) -> Unreachable:
    """Return what a failed attempt to connect means."""
    if isinstance(why, ssl.SSLError):
        return Rejected(
            f"there is no encrypted connection to NATS at {_shown(address)}: {_words(why)}",
            code="TR412",
            hint=_TLS_MEND,
        )
    if is_rejection(why):
        return Rejected(
            f"NATS at {_shown(address)} refused who we are: {why}",
            hint=_MEND,
        )
    return Unreachable(
        f"no NATS server answers at {_shown(address)}: {str(why) or type(why).__name__}",
        hint="start one with `tailrace up`, or name another with --nats-url",
    )


def is_rejection(error: Exception) -> bool:
    """Whether trying again would end the same way: it does not know us, or we do not trust it."""
    if isinstance(error, nats.errors.AuthorizationError | ssl.SSLError):
        return True
    return "authorization" in str(error).lower()


def denial_in(error: Exception) -> tuple[Denied, str] | None:
    """Return what the server does not allow, and the subject, which it tells in lower case."""
    found = _DENIED.search(str(error).lower())
    if found is None:
        return None
    kind, subject = found.groups()
    what = "publishing to" if kind == "publish" else "listening to"
    return Denied(f"NATS does not allow {what} {subject}", hint=_PERMIT), subject


def _fault_in(content: bytes, kind: str) -> str:
    """Return what is wrong with a file of secrets; empty: nothing."""
    import nkeys  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

    seed = content.strip()
    if kind == "credentials":
        found = _SEED.search(content)
        if found is None or _JWT not in content:
            return "it wants a user's JWT and the seed of an nkey"
        seed = found[1]
    try:
        nkeys.from_seed(bytearray(seed)).wipe()
    except (nkeys.NkeysError, ValueError) as error:
        return str(error)
    return ""


def _words(error: OSError) -> str:
    """Return what is wrong with a file or an encrypted connection, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{error.reason or error}".replace("_", " ").lower()
    return error.strerror or str(error)


def _shown(address: Address) -> str:
    """Return the servers without passwords."""
    return ", ".join(re.sub(r"//[^/@]*@", "//", url) for url in address.urls)
