"""Large outputs stand in files of their own, which are verified, shared, and go with their runs."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tailrace import Flow, task
from tailrace.codecs import decode, write_reference
from tailrace.codecs.files import Reference, read_reference
from tailrace.errors import StoreError
from tailrace.model import Durability, RunStatus
from tailrace.runtime import RunOptions, RunResult, execute
from tailrace.runtime.resuming import ResumeFrom
from tailrace.store import SqliteStore, SqliteTraceReader, inspect_store, verify_store
from tailrace.store.blobs import (
    GRACE,
    LARGE,
    SWEEP_EVERY,
    Blobs,
    blob_folder,
    remove_orphans,
    store_blob,
)

LETTERS = LARGE + 1000


class LocalStore(SqliteStore):
    """A database with its own read side, as a run is given one."""

    def reader(self) -> SqliteTraceReader:
        return SqliteTraceReader(self.path)


class World:
    """What tasks did, and whether the one that is broken has been mended."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.is_mended = False


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = LocalStore(tmp_path / "runs.db")
    yield made
    made.close()


def flow(world: World, letters: int = LETTERS) -> Flow:
    @task
    def big() -> list[str]:
        world.done.append("big")
        return ["x" * letters]

    @task
    def last(payload: list[str]) -> int:
        world.done.append("last")
        if not world.is_mended:
            raise ValueError("broken")
        return len(payload[0])

    return Flow("large", big >> last)


def run(flow: Flow, store: LocalStore, **options: Any) -> RunResult:
    return execute(flow, RunOptions(store=store, **options))


def resumed(world: World, store: LocalStore, failed: RunResult) -> RunResult:
    world.is_mended = True
    world.done.clear()
    return run(flow(world), store, resume=ResumeFrom(run_id=failed.run_id))


def files(store: LocalStore) -> list[Path]:
    return sorted(blob_folder(store.path).glob("??/*"))


def rows(store: LocalStore) -> list[tuple[str, bytes]]:
    with closing(sqlite3.connect(store.path)) as db:
        return db.execute("SELECT codec, body FROM checkpoint WHERE id & 268435455 > 1").fetchall()


def not_reused(store: LocalStore, result: RunResult) -> str:
    with closing(store.reader()) as reader:
        spans = reader.trace(result.run_id).spans
    big = next(span for span in spans if span.name == "node big")
    return str(big.attributes.get("tailrace.not_reused", ""))


def test_a_large_output_is_a_file_that_the_checkpoint_names(
    world: World, store: LocalStore
) -> None:
    failed = run(flow(world), store)

    (file,) = files(store)
    body = file.read_bytes()
    digest = sha256(body).hexdigest()
    assert (file.parent.name, file.name) == (digest[:2], digest)
    assert rows(store) == [("file:json", f"sha256:{digest} {len(body)}".encode())]
    with closing(store.reader()) as reader:
        kept = next(one for one in reader.checkpoints(failed.run_id) if one.path == "big")
    assert decode(kept.codec, kept.body) == ["x" * LETTERS]

    assert resumed(world, store, failed).output == LETTERS
    assert world.done == ["last"]
    stats = inspect_store(store.path)
    assert (stats.blobs, stats.blob_size) == (1, len(body))
    assert verify_store(store.path) == []


def test_an_output_up_to_the_bound_stays_in_the_database(world: World, store: LocalStore) -> None:
    run(flow(world, LARGE - len('[""]')), store)
    assert files(store) == []
    assert [codec for codec, _ in rows(store)] == ["json"]


def test_equal_outputs_share_a_file(world: World, store: LocalStore) -> None:
    run(flow(world), store)
    run(flow(world), store)
    assert len(files(store)) == 1
    assert len(rows(store)) == 2
    assert inspect_store(store.path).blobs == 1


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda file: file.unlink(), "cannot be read: No such file"),
        (lambda file: file.write_bytes(b"[1]"), "is damaged"),
        (lambda file: file.write_bytes(b"y" * file.stat().st_size), "is damaged"),
    ],
    ids=["missing", "short", "changed"],
)
def test_a_file_that_is_missing_or_damaged_runs_the_node_again_and_the_trace_says_why(
    world: World, store: LocalStore, harm: Any, why: str
) -> None:
    failed = run(flow(world), store)
    (file,) = files(store)
    harm(file)
    (problem,) = verify_store(store.path)
    assert str(file) in problem

    result = resumed(world, store, failed)
    assert result.output == LETTERS
    assert world.done == ["big", "last"]
    said = not_reused(store, result)
    assert said.startswith(f"what run {failed.run_id} left of it cannot be reused: ")
    assert why in said
    assert verify_store(store.path) == []  # the same output was written again, whole


def test_a_cached_output_is_read_from_its_file(store: LocalStore) -> None:
    def body() -> str:
        return "z" * LETTERS

    flow = Flow("cached", task(body, cache="inputs"))
    assert [len(run(flow, store).output) for _ in range(2)] == [LETTERS, LETTERS]
    assert [codec for codec, _ in rows(store)] == ["file:json", "file:json"]
    assert len(files(store)) == 1


def test_files_that_nothing_names_go_once_they_are_old(world: World, store: LocalStore) -> None:
    first = run(flow(world), store)
    run(flow(world, LETTERS + 1), store)
    gone = files(store)[0]
    with closing(sqlite3.connect(store.path)) as db:
        for file in files(store):
            if f"{file.name}" in str(rows(store)[0]):
                gone = file
        db.execute("DELETE FROM run WHERE run_id = ?", (first.run_id,))
        db.commit()
        folder = blob_folder(store.path)
        assert remove_orphans(db, folder) == Blobs()  # too young: its commit may be under way
        draft = gone.with_name(f".{gone.name}-1-aa")
        draft.write_bytes(b"torn")
        for file in files(store):
            os.utime(file, (1.0, 1.0))
        removed = remove_orphans(db, folder)
    assert removed.count == 2
    assert not gone.exists()
    assert len(files(store)) == 1
    assert verify_store(store.path) == []


def test_whoever_opens_a_store_sweeps_it_once_a_day(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    SqliteStore(path).close()
    folder = blob_folder(path)

    def orphan() -> Path:
        store_blob(folder, b"left behind", lasting=False)
        (file,) = folder.glob("??/*")
        os.utime(file, (time.time() - GRACE - 60,) * 2)
        return file

    file = orphan()
    SqliteStore(path).close()
    assert not file.exists()
    file = orphan()
    SqliteStore(path).close()
    assert file.exists()
    os.utime(folder / "swept", (time.time() - SWEEP_EVERY - 60,) * 2)
    SqliteStore(path).close()
    assert not file.exists()


def test_a_file_that_cannot_be_written_fails_the_run_instead_of_losing_its_output(
    world: World, store: LocalStore
) -> None:
    blob_folder(store.path).write_text("in the way")
    with pytest.raises(StoreError, match="cannot write the large output") as caught:
        run(flow(world), store)
    assert caught.value.code == "TR521"
    with closing(store.reader()) as reader:
        (left,) = reader.runs()
    assert left.status is RunStatus.FAILED
    assert rows(store) == []


def test_with_durability_power_the_file_and_its_folders_are_synced_before_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    store = LocalStore(tmp_path / "power.db", durability=Durability.POWER)
    run(flow(world), store)
    (file,) = files(store)
    store.close()
    assert synced[0].startswith(f".{file.name}")
    assert synced[1:] == [file.parent.name, "power.db-blobs", tmp_path.name]


@pytest.mark.parametrize("body", [b"", b"sha256:zz 1", b"sha256:" + b"a" * 64, b"\xff"])
def test_what_is_no_reference_is_refused(body: bytes) -> None:
    with pytest.raises(StoreError, match="reference to a large output is damaged"):
        read_reference(body)
    with pytest.raises(StoreError):
        decode("file:json", body)


def test_a_reference_keeps_its_folder_whatever_that_is_called() -> None:
    folder = Path("/data/\udcff new\nline")
    reference = Reference("a" * 64, 7)
    assert read_reference(write_reference(reference, folder)).folder == folder
    assert read_reference(write_reference(reference)).folder is None
