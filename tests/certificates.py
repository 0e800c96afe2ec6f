"""Certificates of a CA of our own, and credentials of NATS, made anew for each test."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]


class Authority:
    """A CA in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        self.file = folder / f"{name}.pem"
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}"),
            *("-keyout", str(self.key), "-out", str(self.file)),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    @property
    def key(self) -> Path:
        return self.folder / f"{self._name}-key.pem"

    def sign(self, name: str, *, days: int = 2) -> tuple[Path, Path]:
        """Return a certificate for 127.0.0.1 and its key; with ``days`` below 0 it has expired."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        request, more = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        more.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request)),
        )
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self.key)),
            *("-CAcreateserial", "-days", str(days), "-extfile", str(more)),
            *("-out", str(certificate)),
        )
        return certificate, key

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def tls_config(authority: Authority, certificate: tuple[Path, Path], *, verify: bool) -> str:
    """Return what a server's configuration says about its encryption."""
    cert_file, key_file = certificate
    return (
        f'tls {{ cert_file: "{cert_file}", key_file: "{key_file}",'
        f' ca_file: "{authority.file}", verify: {str(verify).lower()} }}\n'
    )


def new_nkey(kind: int) -> tuple[bytes, str]:
    """Return the seed and the public key of a new nkey."""
    seed = nkeys.encode_seed(os.urandom(32), kind)
    return bytes(seed), nkeys.from_seed(bytearray(seed)).public_key.decode()


class Operator:
    """Who signs the accounts of a server, in memory."""

    def __init__(self) -> None:
        self._seed, self._public = new_nkey(nkeys.PREFIX_BYTE_OPERATOR)
        self._account_seed, self._account = new_nkey(nkeys.PREFIX_BYTE_ACCOUNT)
        _, self._system = new_nkey(nkeys.PREFIX_BYTE_ACCOUNT)
        limits = dict.fromkeys(
            ("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1
        )
        limits |= dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
        self._tokens = {
            self._public: _token(
                self._seed, self._public, "operator", {"system_account": self._system}
            ),
            self._account: _token(
                self._seed, self._account, "account", {"limits": {**limits, "wildcards": True}}
            ),
            self._system: _token(
                self._seed, self._system, "account", {"limits": {"conn": -1, "subs": -1}}
            ),
        }

    def config(self) -> str:
        """Return what the server's configuration says about who may connect."""
        return (
            f"operator: {self._tokens[self._public]}\n"
            "resolver: MEMORY\n"
            f"resolver_preload: {{ {self._account}: {self._tokens[self._account]},"
            f" {self._system}: {self._tokens[self._system]} }}\n"
        )

    def credentials(self, file: Path) -> Path:
        """Write the credentials of a new user, and return the file."""
        seed, public = new_nkey(nkeys.PREFIX_BYTE_USER)
        limits = dict.fromkeys(("subs", "data", "payload"), -1)
        token = _token(self._account_seed, public, "user", limits)
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{seed.decode()}\n------END USER NKEY SEED------\n"
        )
        return file


def _token(seed: bytes, subject: str, kind: str, content: dict[str, Any]) -> str:
    """Return a signed claim."""
    pair = nkeys.from_seed(bytearray(seed))
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": pair.public_key.decode(),
        "name": kind,
        "sub": subject,
        "nats": {**content, "type": kind, "version": 2},
    }
    digest = hashlib.sha256(json.dumps(body).encode()).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    signed = f"{_packed(json.dumps(head).encode())}.{_packed(json.dumps(body).encode())}"
    return f"{signed}.{_packed(pair.sign(signed.encode()))}"


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
