"""Which database is looked at, and what is said where there is none."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.database import database_to_read, open_reader
from tailrace.cli.stores import existing_database
from tailrace.errors import StoreError


def read(db: Path | None) -> None:
    with open_reader(db):
        pass


@pytest.mark.parametrize("look", [read, existing_database])
def test_in_a_folder_of_tailrace_up_its_index_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Path | None], Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError) as caught:
        look(None)
    assert (caught.value.code, "index.db" in (caught.value.hint or "")) == ("TR501", False)
    index = tmp_path / ".tailrace" / "index.db"
    index.parent.mkdir()
    index.touch()
    with pytest.raises(StoreError) as caught:
        look(None)
    assert caught.value.code == "TR501"
    assert f"--db {index}" in (caught.value.hint or "")


@pytest.mark.parametrize("look", [read, existing_database])
@pytest.mark.parametrize("closed", ["the folder", "the file"])
def test_what_this_user_may_not_look_at_is_told_as_that(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    look: Callable[[Path | None], Any],
    closed: str,
) -> None:
    path = tmp_path / "runs.db"
    path.touch()

    def refuse(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    if closed == "the folder":  # root may look everywhere
        monkeypatch.setattr(Path, "exists", refuse)
    else:
        monkeypatch.setattr("os.access", lambda *_: False)
        look = read
    with pytest.raises(StoreError, match="Permission denied") as caught:
        look(path)
    assert caught.value.code == "TR501"
    assert "readable" in (caught.value.hint or "")


def test_a_database_that_is_there_is_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tailrace").mkdir()
    for name in ("index.db", "tailrace.db"):
        (tmp_path / ".tailrace" / name).touch()
    assert database_to_read(None) == tmp_path / ".tailrace" / "tailrace.db"
