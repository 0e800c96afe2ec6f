"""Every command about failures, letters and events in every format, and what none may show."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.cli.main import main
from tailrace.model.failure import FailureSnapshot
from tailrace.model.letter import DeadLetter, RedriveBatch
from tailrace.store import SqliteFailureLog, SqliteRedriveLog

Run = Callable[..., str]
HIDDEN = "correct-horse-battery"
PATCH = {"params": {"api_key": HIDDEN, "region": "osaka"}}
LISTS = ("failures list", "failures groups", "failures candidates", "failures batches", "dlq list")
ONE = (
    *("failures show @last", "failures trail @last", "failures metrics"),
    *("failures groups show @last", "failures groups resolve @last", "failures audit verify"),
    *("failures batches show monday", "failures classify --status 429", "dlq show @last"),
    *("events status", "events metrics", "events show @last"),
)
DEEDS = ("dlq park --all", "dlq discard --all --reason over --yes", "failures status")


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Callable[..., FailureSnapshot],
    letter: Callable[..., DeadLetter],
) -> Run:
    """Return the command line in a folder with a failure, its letter, a batch and an event."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    db = tmp_path / ".tailrace" / "tailrace.db"
    db.parent.mkdir()
    now = time.time_ns()
    one = failure(captured_ns=now, run_id="")
    left = letter(run_id="", failure_id=one.failure_id, fp_site=one.fp_site, created_ns=now)
    with closing(SqliteFailureLog(db)) as log:
        log.record([one], [left])
    with closing(SqliteRedriveLog(db)) as redrives:
        redrives.put_batch(
            RedriveBatch(
                batch_id="monday", filter={}, actor="ana", patch=PATCH, policy=None, created_ns=now
            )
        )

    def call(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main([*arguments]) == code, capsys.readouterr().err
        captured = capsys.readouterr()
        return captured.out if not code else captured.err

    call("events", "emit", "deployed", "ci")
    return call


@pytest.mark.parametrize("line", [*LISTS, *ONE])
def test_every_command_knows_every_format(run: Run, line: str) -> None:
    words = line.split()
    whole = json.loads(run(*words, "--format", "json"))
    items = [json.loads(text) for text in run(*words, "--format", "jsonl").splitlines()]
    assert items == (whole if isinstance(whole, list) else [whole])
    for form in ("table", "markdown"):
        assert "\x1b" not in run(*words, "--format", form)


@pytest.mark.parametrize("line", DEEDS)
def test_what_is_done_is_told_in_every_format(run: Run, line: str) -> None:
    assert all(json.loads(text) for text in run(*line.split(), "--format", "jsonl").splitlines())
    for form in ("json", "table", "markdown"):
        run(*line.split(), "--format", form)


def test_a_fact_is_a_row_in_markdown(run: Run) -> None:
    lines = run("failures", "classify", "--status", "429", "--format", "markdown").splitlines()
    assert lines[:3] == ["| what | value |", "|---|---|", "| category | transient |"]


def test_what_is_watched_is_json_when_that_is_asked_for(run: Run) -> None:
    for words in (("failures", "watch"), ("events", "tail")):
        for form in (["--json"], ["--format", "json"], ["--format", "jsonl"]):
            line = run(*words, "--since", "1h", "--count", "1", *form)
            assert json.loads(line)


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "markdown"])
@pytest.mark.parametrize("line", ["failures batches show monday", "failures batches list"])
def test_a_secret_of_a_patch_is_not_shown(run: Run, line: str, form: str) -> None:
    out = run(*line.split(), "--format", form)
    assert HIDDEN not in out
    assert "monday" in out
    if form.startswith("json"):
        assert "osaka" in out


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["failures", "list", "--category", "transiet"], "'transient'"),
        (["dlq", "list", "--class", "netwrk"], "'network'"),
        (["events", "list", "--status", "fialed"], "'failed'"),
        (["failures", "list", "--format", "jsn"], "'json'"),
    ],
)
def test_the_nearest_allowed_value_is_named(run: Run, words: list[str], nearest: str) -> None:
    assert f"; did you mean {nearest}?" in run(*words, code=2)


def test_nothing_is_meant_by_what_is_near_nothing(run: Run) -> None:
    assert "did you mean" not in run("failures", "list", "--category", "zzzzzz", code=2)


@pytest.mark.parametrize(
    "words",
    [
        ["dlq", "import", "gone.jsonl"],
        ["dlq", "export", "--output", "file/letters.jsonl"],
        ["failures", "export", "--output", "file/report.json"],
    ],
)
def test_a_file_that_cannot_be_used_is_no_finding(run: Run, words: list[str]) -> None:
    Path("file").touch()
    assert "error[TR001]: " in run(*words, code=2)
