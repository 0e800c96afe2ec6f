"""Dead letters as files: written, they are safe to show; read, they keep the project's rules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tailrace.cli.main import main
from tailrace.model.letter import DeadLetter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog

MakeLetter = Callable[..., DeadLetter]
DAY_NS = 86_400 * 10**9


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tailrace.toml").write_text("[failures]\nletter_expiry_days = 30\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_exported_letters_hold_no_character_that_moves_a_terminals_cursor(
    project: Path, letter: MakeLetter
) -> None:
    one = letter(message="a\x9b2J \u202eb \x7f \u2028 Zürich")
    with closing(SqliteFailureLog("letters.db")) as log:
        log.record([], [one])
    assert main(["dlq", "export", "--db", "letters.db", "--output", "letters.jsonl"]) == 0
    text = (project / "letters.jsonl").read_text("utf-8")
    assert "\\u009b2J \\u202eb \\u007f \\u2028 Zürich" in text
    assert msgspec.json.decode(text, type=DeadLetter).message == one.message


def test_an_imported_letter_expires_as_the_project_says(project: Path, letter: MakeLetter) -> None:
    dated = letter(dl_id="DL-01KAHV6X3Q8Z04YQ0M5VNW2C7S", expires_ns=7)
    lines = [msgspec.json.encode(one).decode() for one in (letter(), dated)]
    (project / "letters.jsonl").write_text("\n".join(lines), "utf-8")
    assert main(["dlq", "import", "letters.jsonl", "--db", "other.db"]) == 0
    with closing(SqliteDeadLetters("other.db")) as letters:
        assert letters.letter(letter().dl_id).expires_ns == letter().created_ns + 30 * DAY_NS
        assert letters.letter(dated.dl_id).expires_ns == 7
