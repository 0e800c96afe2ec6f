import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.db import size_text
from tailrace.cli.main import main
from tailrace.model import RunId
from tailrace.store import SqliteStore, inspect_store, verify_store


@pytest.fixture
def database(journal: Any, tmp_path: Path) -> Path:
    """A store with one finished run of three nodes."""
    for name in ("fetch", "parse", "load"):
        journal.node(name)
    journal.end()
    path = tmp_path / "traces.db"
    store = SqliteStore(path)
    writer = store.open_journal(RunId(journal.records[0].run_id))
    writer.append(journal.records)
    writer.close()
    store.close()
    return path


def test_stats_count_what_is_there(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "stats", "--db", str(database), "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert (stats["runs"], stats["spans"], stats["events"]) == (1, 7, 0)
    assert stats["size_bytes"] >= database.stat().st_size
    assert stats["first_run"] == stats["last_run"]
    assert main(["db", "stats", "--db", str(database)]) == 0
    out = capsys.readouterr().out
    assert "runs           1" in out
    assert "failures       0 in 0 groups" in out


def test_a_sound_file_passes(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "check", "--db", str(database)]) == 0
    assert "sound" in capsys.readouterr().out


def test_a_broken_reference_is_found(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = sqlite3.connect(database)
    db.execute("INSERT INTO checkpoint (id, codec, body) VALUES (12345, 'json', x'31')")
    db.commit()
    db.close()
    (problem,) = verify_store(database)
    assert "row 12345 of checkpoint refers to a row of span" in problem
    assert main(["db", "check", "--db", str(database), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["sound"] is False


def test_a_foreign_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database" * 1_000)
    assert main(["db", "stats", "--db", str(file)]) == 5
    assert "error[TR505]" in capsys.readouterr().err


def test_reading_changes_nothing(database: Path) -> None:
    before = database.read_bytes()
    inspect_store(database)
    verify_store(database)
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 kB"), (40 << 20, "40.0 MB"), (3 << 40, "3.0 TB")],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize("arguments", [["trace", "list"], ["trace", "show"], ["db", "stats"]])
def test_reading_traces_imports_neither_engine_nor_flows(
    database: Path, arguments: list[str]
) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tailrace", *arguments]
    done = subprocess.run(
        [*command, "--db", str(database)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = ("asyncio", "rich", "yaml", "tailrace.engine", "tailrace.flows", "tailrace.runtime")
    assert not imported & set(heavy)
