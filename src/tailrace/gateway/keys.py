"""API keys: what they look like, how they are recognised, and how seldom that is worked out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from typing import Protocol

from tailrace.errors import TransportError
from tailrace.gateway.caller import ROLES, Caller
from tailrace.gateway.problems import Problem
from tailrace.model.remote import KeyRecord

PREFIX = "tr_"
OLDER_SCHEME = "pbkdf2_hmac_sha256"
_FORM = re.compile(r"(?:tr|pyoco)_([A-Za-z0-9_-]{8,64})\.([A-Za-z0-9_-]{16,256})", re.ASCII)
_N, _R, _P = 2**14, 8, 1
_SHORT_OF_MEMORY = 64 * 1024 * 1024
_FRESH = 2.0
"""Seconds for which what is known of a key is not looked up again."""
_LENIENT = 60.0
"""Seconds for which a key goes on to be good while NATS does not answer."""
_REMEMBERED = 10_000
_AT_ONCE = 2
"""Hashes that are worked out at the same time; others wait."""


class KeySource(Protocol):
    """Where keys are kept."""

    async def key(self, key_id: str) -> KeyRecord | None:
        """Return a key; None: there is none."""
        ...


def make_key(
    *,
    tenant_id: str | None,
    role: str = "submit",
    label: str = "",
    expires_at: float | None = None,
    pepper: str = "",
) -> tuple[str, KeyRecord]:
    """Return a new key, to be shown once, and what is to be kept of it.

    Raises:
        ValueError: there is no such role.
    """
    if role not in ROLES:
        raise ValueError(f"{role!r} is no role (known: {', '.join(ROLES)})")
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    salt = secrets.token_bytes(16)
    record = KeyRecord(
        key_id=key_id,
        tenant_id=tenant_id,
        role=role,
        label=label,
        salt=salt,
        created_at=time.time(),
        expires_at=expires_at,
    )
    record.digest = _digest(secret, record, pepper)
    return f"{PREFIX}{key_id}.{secret}", record


def record_of_older(fields: dict[str, object], *, role: str = "operate") -> KeyRecord:
    """Return the record of a key that the older server has made (its JSON, decoded).

    Raises:
        KeyError, ValueError: it is no such record.
    """
    revoked = fields.get("revoked_at")
    return KeyRecord(
        key_id=str(fields["key_id"]),
        tenant_id=str(fields["tenant_id"]),
        role=role,
        scheme=OLDER_SCHEME,
        salt=_unpadded(str(fields["salt_b64"])),
        digest=_unpadded(str(fields["hash_b64"])),
        iterations=int(str(fields.get("iterations") or 200_000)),
        created_at=float(str(fields.get("created_at") or 0.0)),
        revoked_at=None if revoked is None else float(str(revoked)),
    )


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _digest(secret: str, record: KeyRecord, pepper: str) -> bytes:
    password = (secret + pepper).encode()
    if record.scheme == OLDER_SCHEME:
        return hashlib.pbkdf2_hmac("sha256", password, record.salt, record.iterations, dklen=32)
    return hashlib.scrypt(
        password, salt=record.salt, n=_N, r=_R, p=_P, maxmem=_SHORT_OF_MEMORY, dklen=32
    )


def is_genuine(secret: str, record: KeyRecord, pepper: str) -> bool:
    """Whether a secret is the one that a record was made from. Takes some 50 ms."""
    return hmac.compare_digest(_digest(secret, record, pepper), record.digest)


class _Seen:
    """A key that was shown before."""

    __slots__ = ("caller", "checked", "digest", "is_genuine")

    def __init__(self, *, digest: bytes, is_genuine: bool) -> None:
        self.digest = digest
        self.is_genuine = is_genuine
        self.caller: Caller | None = None
        self.checked = 0.0


class KeyRing:
    """Tells who a key belongs to. A key is worked out once, then looked up every two seconds.

    So a revoked key is refused at most two seconds later, on every gateway.
    """

    def __init__(self, source: KeySource, *, pepper: str = "") -> None:
        self._source = source
        self._pepper = pepper
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def known(self, key: str) -> Caller | None:
        """Return who a key belongs to, if that was looked up just now; None: ask ``caller``."""
        seen = self._seen.get(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest())
        if seen is None or time.monotonic() - seen.checked > _FRESH:
            return None
        return seen.caller

    async def caller(self, key: str) -> Caller:
        """Return who a key belongs to.

        Raises:
            Problem: 401 without a key, 403 for one that is not (or no longer) good.
            TransportError: keys cannot be looked up at the moment.
        """
        if not key:
            raise Problem(
                401,
                "api key required",
                code="TR421",
                hint="Send a key in the header; `tailrace admin key create` makes one.",
            )
        token = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        seen = self._seen.get(token)
        if seen is None or time.monotonic() - seen.checked > _FRESH:
            seen = await self._look(token, key, seen)
        if seen.caller is None:
            raise Problem(
                403,
                "invalid api key",
                code="TR422",
                hint="The key is unknown, revoked or expired; ask for a new one.",
            )
        return seen.caller

    async def _look(self, token: bytes, key: str, seen: _Seen | None) -> _Seen:
        """Look a key up, and work it out where it was never seen, or was made anew."""
        form = _FORM.fullmatch(key)
        if form is None:
            return _Seen(digest=b"", is_genuine=False)
        try:
            record = await self._source.key(form[1])
        except TransportError:
            lenient = seen is not None and time.monotonic() - seen.checked < _LENIENT
            if seen is not None and lenient:
                return seen
            raise
        if record is None:
            return self._keep(token, _Seen(digest=b"", is_genuine=False), None)
        if seen is None or seen.digest != record.digest:
            async with self._slots:
                genuine = await asyncio.to_thread(is_genuine, form[2], record, self._pepper)
            seen = _Seen(digest=record.digest, is_genuine=genuine)
        return self._keep(token, seen, record)

    def _keep(self, token: bytes, seen: _Seen, record: KeyRecord | None) -> _Seen:
        seen.caller = None
        if record is not None and seen.is_genuine and _is_valid(record):
            seen.caller = Caller(key_id=record.key_id, tenant_id=record.tenant_id, role=record.role)
        seen.checked = time.monotonic()
        self._seen[token] = seen
        self._seen.move_to_end(token)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return seen


def _is_valid(record: KeyRecord) -> bool:
    expired = record.expires_at is not None and record.expires_at <= time.time()
    return record.revoked_at is None and not expired and record.role in ROLES
