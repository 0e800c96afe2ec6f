"""Large outputs: files beside the database, each named by the SHA-256 of what it holds.

A checkpoint of such an output has the codec ``file:CODEC`` and the reference ``sha256:DIGEST
SIZE`` as its body. The file is whole and in place before the commit that names it. Readers put
the file's folder behind the reference; decoding it reads the file and verifies its digest.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tailrace.codecs import FILE, Reference, read_reference, write_reference
from tailrace.errors import StoreError
from tailrace.model.span import Checkpoint, Recalled
from tailrace.store.fault import DISK_FULL

LARGE = 1 << 20
"""Bytes up to which an encoded output stands in the database itself."""
GRACE = 3600.0
"""Seconds for which a file that nothing names is kept: its commit may be under way."""
SWEEP_EVERY = 86_400.0
"""Seconds between two looks, by those who open a store, for files that nothing names."""
_SWEPT = "swept"
_REFERENCES = "SELECT body FROM checkpoint WHERE codec >= 'file:' AND codec < 'file;'"

Kept = TypeVar("Kept", Checkpoint, Recalled)


class Blobs(Struct, frozen=True, kw_only=True):
    """What the files of a store amount to."""

    count: int = 0
    size: int = 0
    """Bytes."""


def blob_folder(database: Path) -> Path:
    """Return the folder of the large outputs of a store."""
    return database.with_name(database.name + "-blobs")


def store_blob(folder: Path, body: bytes, *, lasting: bool) -> bytes:
    """Write a file unless it is there already, and return the reference to it.

    Args:
        folder: of the store.
        body: what it is to hold.
        lasting: it survives the loss of power.

    Raises:
        StoreError: it cannot be written (TR504 on a full disk, else TR521).
    """
    reference = Reference(sha256(body).hexdigest(), len(body))
    path = folder / reference.digest[:2] / reference.digest
    try:
        if _is_whole(path, reference):
            os.utime(path)  # young again for whoever looks for files that nothing names
        else:
            _write(path, body, lasting=lasting)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return write_reference(reference)


def _write(path: Path, body: bytes, *, lasting: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with draft.open("xb") as file:
            file.write(body)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:  # Ctrl-C leaves no draft behind either
        draft.unlink(missing_ok=True)
        raise
    if lasting:
        for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
            _sync(folder)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return StoreError(
        f"cannot write the large output {path}: {error.strerror or error}",
        code=DISK_FULL if is_full else "TR521",
        hint=f"{'free space on the file system of' if is_full else 'make writable:'} "
        f"{path.parent.parent}",
        details={"path": str(path), "errno": error.errno},
    )


def located(kept: Kept, folder: Path) -> Kept:
    """Return a checkpoint that can be decoded: a reference gets the folder of its file."""
    if not kept.codec.startswith(FILE):
        return kept
    return replace(kept, body=write_reference(read_reference(kept.body), folder))


def count_blobs(db: sqlite3.Connection) -> Blobs:
    """Return how many files the checkpoints name, and how many bytes those hold."""
    sizes = dict(_named(db))
    return Blobs(count=len(sizes), size=sum(sizes.values()))


def verify_blobs(db: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """Yield what is wrong with the files that checkpoints name."""
    for digest, size in sorted(set(_named(db))):
        path = folder / digest[:2] / digest
        if not path.exists():
            yield f"the large output {path} is missing"
        elif not _is_whole(path, Reference(digest, size)):
            yield f"the large output {path} is damaged"


def remove_orphans(db: sqlite3.Connection, folder: Path, *, grace: float = GRACE) -> Blobs:
    """Remove files that no checkpoint names and that are older than ``grace`` seconds.

    A file that is written anew at the very moment of its removal is missed by its checkpoint: its
    node is then run again when its run is resumed.
    """
    if not folder.is_dir():
        return Blobs()
    latest = time.time() - grace
    old = [path for path in folder.glob("??/*") if _changed(path) < latest]
    if not old:
        return Blobs()
    named = {digest for digest, _ in _named(db)}  # after the look at the folder
    count = size = 0
    for path in old:
        if path.name not in named and _changed(path) < latest:
            size += path.stat().st_size
            path.unlink(missing_ok=True)
            count += 1
    return Blobs(count=count, size=size)


def sweep_when_due(db: sqlite3.Connection, folder: Path) -> None:
    """Remove orphans, if a day has passed since anybody did; else cost one look at a file."""
    mark = folder / _SWEPT
    with suppress(OSError, sqlite3.Error, StoreError):  # whoever wants to know asks verify_blobs
        if folder.is_dir() and time.time() - _changed(mark) >= SWEEP_EVERY:
            mark.touch()
            remove_orphans(db, folder)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0 if path.name == _SWEPT else float("inf")


def _named(db: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Yield digest and size of the files that checkpoints name, once for each checkpoint."""
    for (body,) in db.execute(_REFERENCES):
        reference = read_reference(body)
        yield reference.digest, reference.size


def _is_whole(path: Path, reference: Reference) -> bool:
    try:
        if path.stat().st_size != reference.size:
            return False
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest() == reference.digest
    except FileNotFoundError:
        return False
