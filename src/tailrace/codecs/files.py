"""Values that stand in a file of their own: the reference to it, and reading it back."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from tailrace.errors import StoreError

FILE = "file:"
"""Before the name of a codec: the body is the reference to a file which holds the true body."""


class Reference(Struct, frozen=True):
    """A file by what it holds."""

    digest: str
    """SHA-256 in hex; also the name of the file, in a folder of its first two digits."""
    size: int
    """Bytes."""
    folder: Path | None = None
    """Where the files of the store are; None: not known yet."""


def write_reference(reference: Reference, folder: Path | None = None) -> bytes:
    """Return the reference as bytes, with the folder of the store's files if there is one."""
    text = f"sha256:{reference.digest} {reference.size}"
    text += "" if folder is None else f"\n{folder}"
    return text.encode("utf-8", "surrogateescape")


def read_reference(body: bytes) -> Reference:
    """Return what ``write_reference`` was given.

    Raises:
        StoreError: it is no such reference (TR520).
    """
    head, _, folder = body.decode("utf-8", "surrogateescape").partition("\n")
    name, _, size = head.partition(" ")
    digest = name.removeprefix("sha256:")
    if not (len(digest) == 64 and set(digest) <= set("0123456789abcdef") and size.isdecimal()):
        raise StoreError("the reference to a large output is damaged", code="TR520")
    return Reference(digest, int(size), Path(folder) if folder else None)


def read_file(body: bytes) -> bytes:
    """Return what the file of a reference holds.

    Raises:
        StoreError: it is missing (TR519), or does not hold what it held (TR520).
    """
    reference = read_reference(body)
    folder = reference.folder or Path()
    path = folder / reference.digest[:2] / reference.digest
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the large output {path} cannot be read: {error.strerror or error}",
            code="TR519",
            hint="put the file back, or run the node again",
            details={"path": str(path)},
        ) from error
    if sha256(content).hexdigest() != reference.digest:
        raise StoreError(
            f"the large output {path} is damaged",
            code="TR520",
            hint="put the file back, or run the node again",
            details={"path": str(path)},
        )
    return content
