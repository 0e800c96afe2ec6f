"""The commands over a real store, with failures that were recorded directly."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.model.failure import FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog

MakeFailure = Callable[..., FailureSnapshot]
MakeLetter = Callable[..., DeadLetter]
FIRST = "v1:3ac9f0d2e17b4c58a6930d1f7e2b8c45"
SECOND = "v1:81d0aa13e17b4c58a6930d1f7e2b8c45"
HOUR = 3_600 * 10**9


class Desk:
    """A folder with a store, and the command line in it."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], make: tuple[MakeFailure, MakeLetter]
    ) -> None:
        self.db = folder / ".tailrace" / "tailrace.db"
        self._capsys = capsys
        self._failure, self._letter = make

    def fail(self, fingerprint: str = FIRST, *, letter: bool = True, **changes: Any) -> str:
        """Record a failure now, with the letter it led to, and return the failure's id."""
        number = new_sortable()
        at = changes.pop("captured_ns", time.time_ns())
        one = self._failure(
            failure_id=f"F-{number}", captured_ns=at, run_id="", fp_site=fingerprint, **changes
        )
        left = self._letter(
            dl_id=f"DL-{number}",
            task_key=number,
            run_id="",
            failure_id=one.failure_id,
            fp_site=fingerprint,
            category=one.category,
            class_=one.class_,
            type=one.type,
            message=one.message,
            created_ns=at,
            updated_ns=at,
        )
        with closing(SqliteFailureLog(self.db)) as log:
            log.record([one], [left] if letter else [])
        return one.failure_id

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command that must end with ``code`` and return its standard output."""
        self._capsys.readouterr()
        assert main([*arguments]) == code, self._capsys.readouterr().err
        self.out, self.err = self._capsys.readouterr()
        return self.out

    def data(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))


@pytest.fixture
def desk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: MakeFailure,
    letter: MakeLetter,
) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    desk = Desk(tmp_path, capsys, (failure, letter))
    desk.db.parent.mkdir()
    return desk


TEXT_ONLY = ["failures prometheus", "failures export"]
READERS = [
    *("failures status", "failures list", "failures groups", "failures candidates"),
    *("failures metrics", "failures audit", "failures audit verify", "failures batches"),
    *("dlq list", "dlq list --each", "events status", "events list"),
]


@pytest.mark.parametrize("line", READERS + TEXT_ONLY)
def test_without_a_store_every_command_says_so_and_makes_none(desk: Desk, line: str) -> None:
    desk.db.parent.rmdir()
    desk.run(*line.split(), code=5)
    assert "TR501" in desk.err
    assert not desk.db.exists()


@pytest.mark.parametrize("line", [*READERS, *TEXT_ONLY, *(f"{line} --json" for line in READERS)])
def test_with_nothing_that_failed_every_command_works(desk: Desk, line: str) -> None:
    with closing(SqliteFailureLog(desk.db)) as log:
        log.record([])
    out = desk.run(*line.split())
    assert "Traceback" not in desk.err
    if line.endswith("--json"):
        assert json.loads(out) is not None


def test_what_hurts_most_comes_first_with_exact_counts(desk: Desk) -> None:
    for _ in range(3):
        desk.fail(SECOND, category="permanent", class_="validation", type="ValueError")
    desk.fail(FIRST)
    groups = desk.data("failures", "groups")
    assert [(one["fp_site"], one["count"], one["open_letters"]) for one in groups] == [
        (SECOND, 3, 3),
        (FIRST, 1, 1),
    ]
    assert groups[0]["trend"] == [0, 0, 0, 0, 0, 0, 3]
    lines = desk.run("failures", "groups").splitlines()
    assert [line.split()[-1] for line in lines] == ["ADVICE", "fix", "redrive"]
    assert "2 groups, 4 failures in all" in desk.err


def test_only_the_last_week_is_looked_at_unless_asked(desk: Desk) -> None:
    desk.fail(captured_ns=time.time_ns() - 9 * 24 * HOUR)
    assert desk.data("failures", "groups") == []
    assert desk.data("failures", "groups", "--since", "30d")[0]["count"] == 1


def test_the_trend_has_a_part_for_each_day_of_the_week(desk: Desk) -> None:
    for day in (0, 0, 2, 6):
        desk.fail(captured_ns=time.time_ns() - day * 24 * HOUR - HOUR, letter=False)
    assert desk.data("failures", "groups")[0]["trend"] == [1, 0, 0, 0, 1, 0, 2]


def test_counts_are_exact_beyond_any_page(desk: Desk, failure: MakeFailure) -> None:
    start = time.time_ns() - HOUR
    snapshots, letters = [], []
    for number in range(500):
        key = f"{number:026d}"
        one = failure(
            failure_id=f"F-{key}",
            captured_ns=start + number * 10**6,
            run_id="",
            fp_site=f"v1:{number:032x}",
            disposition="terminal" if number % 2 else "handled",
        )
        snapshots.append(one)
        if number % 2:
            left = DeadLetter(
                dl_id=f"DL-{key}",
                task_key=key,
                failure_id=one.failure_id,
                category="transient",
                fp_site=one.fp_site,
                attempts_total=1,
                created_ns=one.captured_ns,
                updated_ns=one.captured_ns,
            )
            letters.append(left)
    with closing(SqliteFailureLog(desk.db)) as log:
        log.record(snapshots, letters)
    counts = desk.data("failures", "status")
    assert counts["total"]["failures"] == 500
    assert counts["disposition"] == {"handled": 250, "terminal": 250}
    assert counts["letters"] == {"open": 250}
    candidates = desk.data("failures", "candidates", "--limit", "1")
    assert candidates[0]["dl_id"] == letters[0].dl_id  # the oldest
    assert "1 of 250 candidates" in (desk.run("failures", "candidates", "--limit", "1") + desk.err)
    assert "250 letters in 250 groups" in (desk.run("dlq", "list") + desk.err)


def test_what_may_pass_by_itself_is_a_candidate_and_nothing_else(desk: Desk) -> None:
    passing = [
        desk.fail(class_="network"),
        desk.fail(category="timeout", class_="timeout"),
        desk.fail(category="unknown", class_="worker_lost"),
    ]
    desk.fail(category="permanent", class_="bug")
    desk.fail(category="unknown", class_="unknown")
    found = [one["failure_id"] for one in desk.data("failures", "candidates")]
    assert found == passing


def test_fail_if_exits_1_when_something_is_found(desk: Desk) -> None:
    desk.fail()
    for command in (["failures", "status"], ["failures", "list"], ["dlq", "list"]):
        desk.run(*command, "--fail-if", code=1)
        desk.run(*command, "--fail-if", "--flow", "another")


def test_ids_are_found_by_their_beginning_with_and_without_the_prefix(desk: Desk) -> None:
    one = desk.fail()
    for name in (one, one[:-4], one[2:], one[2:-4], "@last"):
        assert desk.data("failures", "show", name)["failure_id"] == one
        assert desk.data("failures", "trail", name)["chapters"][0]["failure"]["failure_id"] == one
    dl_id = "DL-" + one[2:]
    for name in (dl_id, dl_id[:-4], dl_id[3:], "@last"):
        assert desk.data("dlq", "show", name)["dl_id"] == dl_id
    for name in (FIRST, FIRST[:9], FIRST[3:], FIRST[3:9], "@last"):
        assert desk.data("failures", "groups", "show", name)["fp_site"] == FIRST
    assert desk.data("dlq", "show", FIRST[3:9])["dl_id"] == dl_id
    assert [letter["dl_id"] for letter in desk.data("dlq", "show", FIRST)] == [dl_id]


@pytest.mark.parametrize(
    "line",
    [
        "failures show F-01NOSUCH", "failures trail F-01NOSUCH", "failures trail DL-01NOSUCH",
        "failures groups show v1:ffff", "failures groups resolve v1:ffff", "dlq show DL-01NOSUCH",
        "dlq show v1:ffff", "dlq redrive DL-01NOSUCH", "dlq park DL-01NOSUCH",
        "dlq reopen DL-01NOSUCH", "dlq discard DL-01NOSUCH --reason x --yes",
        "failures batches show nosuch", "failures batches pause nosuch",
        "failures batches resume nosuch", "events show EVT-1",
    ],
)  # fmt: skip
def test_an_unknown_id_exits_3(desk: Desk, line: str) -> None:
    desk.fail()
    desk.run(*line.split(), code=3)
    assert desk.out == ""
    assert "Traceback" not in desk.err


def test_what_the_list_shows_can_be_pasted_into_show(desk: Desk) -> None:
    desk.fail()
    shown = desk.run("dlq", "list").splitlines()[1].split()[0]
    assert shown == FIRST
    assert desk.run("dlq", "show", shown)
    each = desk.run("dlq", "list", "--each").splitlines()[1].split()[0]
    assert each in desk.run("dlq", "show", each)
    failure = desk.run("failures", "list").splitlines()[1].split()[0]
    assert failure in desk.run("failures", "show", failure)


def test_filters_are_the_same_on_every_list(desk: Desk) -> None:
    desk.fail(FIRST, flow="a", type="KeyError")
    desk.fail(SECOND, flow="b", category="permanent", class_="bug", type="ValueError")
    for option, value in (
        ("--category", "permanent"),
        ("--class", "bug"),
        ("--fp", SECOND[:8]),
        ("--type", "ValueError"),
    ):
        for command in (["failures", "list"], ["failures", "groups"], ["dlq", "list"]):
            found = desk.data(*command, option, value)
            assert [one["fp_site"] for one in found] == [SECOND], (option, command)


def test_a_run_that_is_not_there_exits_3(desk: Desk) -> None:
    desk.fail()
    desk.run("failures", "list", "--run", "0123", code=3)
    assert desk.data("failures", "list", "--run", "0" * 32) == []


def test_all_formats_of_a_list_parse(desk: Desk) -> None:
    desk.fail(message="a|b\n\x1b[31m 時間切れ")
    for command in (["failures", "list"], ["failures", "groups"], ["dlq", "list"]):
        assert isinstance(desk.data(*command), list)
        lines = desk.run(*command, "--format", "jsonl").splitlines()
        assert [json.loads(line)["fp_site"] for line in lines] == [FIRST]
        markdown = desk.run(*command, "--format", "markdown").splitlines()
        assert len(markdown) == 3
        assert "\x1b" not in desk.run(*command)


def test_a_group_is_resolved_ignored_and_reopened_on_record(desk: Desk) -> None:
    desk.fail()
    desk.run("failures", "groups", "resolve", FIRST[:9], "--reason", "mended", "--actor", "ana")
    assert desk.data("failures", "groups") == []
    assert desk.data("failures", "groups", "--state", "any")[0]["state"] == "resolved"
    desk.run("failures", "groups", "ignore", FIRST, "--for", "30d")
    until = desk.data("failures", "groups", "--state", "ignored")[0]["ignored_until"]
    assert until is not None
    desk.run("failures", "groups", "reopen", FIRST)
    assert desk.data("failures", "groups")[0]["state"] == "open"
    audit = desk.data("failures", "audit")
    assert [(one["action"], one["actor"], one["reason"]) for one in audit][:1] == [
        ("resolve", "ana", "mended")
    ]
    assert [one["action"] for one in audit] == ["resolve", "ignore", "reopen"]


def test_a_group_merged_into_another_counts_there(desk: Desk) -> None:
    desk.fail(FIRST)
    desk.fail(SECOND)
    desk.run("failures", "groups", "merge", SECOND[:8], FIRST[:8])
    groups = desk.data("failures", "groups")
    assert [(one["fp_site"], one["count"]) for one in groups] == [(FIRST, 2)]


def test_discarding_needs_a_reason_and_without_a_terminal_a_yes(desk: Desk) -> None:
    one = desk.fail()
    desk.run("dlq", "discard", "@last", code=2)
    assert "--reason" in desk.err
    desk.run("dlq", "discard", "@last", "--reason", " ", "--yes", code=2)
    desk.run("dlq", "discard", "@last", "--reason", "test data", code=2)
    assert "TR340" in desk.err
    assert "DL-" + one[2:] in desk.err  # the plan
    assert desk.data("dlq", "list")[0]["state"] == "open"
    desk.run("dlq", "discard", "@last", "--reason", "test data", "--yes")
    assert desk.data("dlq", "list") == []
    assert desk.data("dlq", "list", "--state", "discarded")[0]["dl_id"] == "DL-" + one[2:]


@pytest.mark.parametrize("verb", ["redrive", "park", "reopen", "discard --reason x --yes"])
def test_a_verb_without_letters_does_not_mean_all_of_them(desk: Desk, verb: str) -> None:
    desk.fail()
    desk.run("dlq", *verb.split(), code=2)
    assert "TR341" in desk.err
    assert desk.data("dlq", "list")[0]["state"] == "open"


@pytest.mark.parametrize("rest", ["", "--dry-run"])
@pytest.mark.parametrize("choice", ["--flow nope", "--all --state resolved", "@last --flow nope"])
def test_a_redrive_of_nothing_exits_3_and_makes_no_batch(
    desk: Desk, choice: str, rest: str
) -> None:
    desk.fail()
    desk.run("dlq", "redrive", *choice.split(), *rest.split(), code=3)
    assert "TR349" in desk.err
    assert desk.out == ""
    assert desk.data("failures", "batches") == []
    assert desk.data("dlq", "list")[0]["generation"] == 0


def test_letters_are_parked_and_reopened(desk: Desk) -> None:
    desk.fail()
    desk.run("dlq", "park", "--flow", "nightly", "--reason", "supplier is down")
    assert desk.data("dlq", "list")[0]["state"] == "parked"
    desk.run("dlq", "reopen", "@last")
    assert desk.data("dlq", "list")[0]["state"] == "open"
    assert [one["action"] for one in desk.data("failures", "audit")] == ["park", "reopen"]


def test_letters_that_were_exported_can_be_imported_once(desk: Desk, tmp_path: Path) -> None:
    one = desk.fail()
    file = tmp_path / "letters.jsonl"
    desk.run("dlq", "export", "--output", str(file))
    assert json.loads(file.read_text("utf-8"))["dl_id"] == "DL-" + one[2:]
    other = tmp_path / "other.db"
    desk.run("dlq", "import", str(file), "--db", str(other), "--dry-run")
    assert not other.exists()
    desk.run("dlq", "import", str(file), "--db", str(other))
    desk.run("dlq", "import", str(file), "--db", str(other))
    assert "0 letters read, 1 were here already" in desk.err
    with closing(SqliteDeadLetters(other)) as letters:
        assert letters.letter(one[2:]).failure_id == one


def test_a_file_with_a_wrong_line_is_not_imported(desk: Desk, tmp_path: Path) -> None:
    desk.fail()
    file = tmp_path / "letters.jsonl"
    desk.run("dlq", "export", "--output", str(file))
    with file.open("a", encoding="utf-8") as lines:
        lines.write('{"event_id": "EVT-1"}\n')
    other = tmp_path / "other.db"
    desk.run("dlq", "import", str(file), "--db", str(other), code=2)
    assert f"{file}:2" in desk.err
    assert "TR342" in desk.err
    assert not other.exists()


def test_an_edited_line_of_the_audit_trail_is_found(desk: Desk) -> None:
    desk.fail()
    for _ in range(3):
        desk.run("failures", "groups", "resolve", FIRST)
    assert desk.data("failures", "audit", "verify") == {"sound": True, "first_broken": None}
    with closing(sqlite3.connect(desk.db)) as connection, connection:
        connection.execute("UPDATE recovery_action SET actor = 'mallory' WHERE seq = 2")
    assert desk.data("failures", "audit", "verify", code=1) == {"sound": False, "first_broken": 2}


def test_a_purge_shows_its_plan_and_leaves_what_waits(desk: Desk) -> None:
    old = time.time_ns() - 100 * 24 * HOUR
    waits = desk.fail(captured_ns=old)
    desk.fail(captured_ns=old, letter=False)
    young = desk.fail(letter=False)
    desk.run("failures", "purge", "--older-than", "90d", code=2)
    assert "TR340" in desk.err
    assert "at most 2 failures" in desk.err
    assert desk.data("failures", "purge", "--older-than", "90d", "--yes")["failures"] == 1
    left = {one["failure_id"] for one in desk.data("failures", "list")}
    assert left == {waits, young}


def test_a_purge_says_since_when_or_asks(desk: Desk) -> None:
    desk.fail()
    desk.run("failures", "purge", "--yes", code=2)
    assert "--older-than" in desk.err


def test_numbers_for_programs_have_zeros_and_no_label_of_a_user(desk: Desk) -> None:
    for number in range(20):
        desk.fail(f"v1:{number:032x}", node_id=f"node{number}", message=f"m{number}")
    text = desk.run("failures", "prometheus")
    assert 'tailrace_store_failures{category="transient"} 20' in text
    assert 'tailrace_dead_letters{state="parked"} 0' in text
    assert "node1" not in text
    assert desk.data("failures", "metrics")["tailrace_dead_letters.open"] == 20


def test_a_report_has_counts_groups_failures_and_letters(desk: Desk, tmp_path: Path) -> None:
    one = desk.fail()
    desk.run("failures", "export", "--output", "error_report.json")
    body = json.loads((tmp_path / "error_report.json").read_text("utf-8"))
    assert body["counts"]["total"]["failures"] == 1
    assert body["failures"][0]["failure_id"] == one
    assert body["dead_letters"][0]["failure_id"] == one
    desk.run("failures", "export", "--output", "week.md")
    assert one in (tmp_path / "week.md").read_text("utf-8")


def test_failures_are_watched_as_they_happen(desk: Desk) -> None:
    first, second = desk.fail(), desk.fail(SECOND)
    out = desk.run("failures", "watch", "--since", "1h", "--count", "2", "--format", "jsonl")
    assert [json.loads(line)["failure_id"] for line in out.splitlines()] == [first, second]
    out = desk.run("failures", "watch", "--since", "1h", "--count", "1")
    assert first in out


@pytest.mark.parametrize(
    ("arguments", "category", "class_", "rule"),
    [
        (["--type", "TimeoutError"], "transient", "timeout", "type:TimeoutError"),
        (["--status", "429"], "transient", "throttled", "http:429"),
        (["--status", "404"], "permanent", "not_found", "http:404"),
        (["--errno", "ENOSPC"], "transient", "resource", "errno:ENOSPC"),
        (["--errno", "28"], "transient", "resource", "errno:ENOSPC"),
        (["--type", "NoSuchThing"], "unknown", "unknown", "unknown"),
    ],
)
def test_a_verdict_is_told_without_a_failure(
    desk: Desk, arguments: list[str], category: str, class_: str, rule: str
) -> None:
    facts = desk.data("failures", "classify", *arguments)
    assert (facts["category"], facts["class"], facts["rule"]) == (category, class_, rule)


def test_a_rule_of_the_project_takes_part_in_the_verdict(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tailrace.toml").write_text(
        '[[failures.rules]]\ntype = "KeyError"\ncategory = "transient"\n', "utf-8"
    )
    facts = desk.data("failures", "classify", "--type", "KeyError")
    assert facts["category"] == "transient"
    assert facts["rule"].startswith("rule:")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--type"),
        (["--errno", "ENOSPCC"], "did you mean ENOSPC?"),
        (["--status", "9000"], "TR321"),
        (["--retry-after", "soon", "--status", "429"], "TR321"),
    ],
)
def test_a_verdict_about_nothing_says_what_is_allowed(
    desk: Desk, arguments: list[str], says: str
) -> None:
    desk.run("failures", "classify", *arguments, code=2)
    assert says in desk.err


def test_the_older_names_are_the_same_commands(desk: Desk) -> None:
    one = desk.fail()
    pairs = {
        "failures failed": "failures list",
        "failures retry-candidates": "failures candidates",
        f"failures detail {one}": f"failures show {one}",
        "failures dlq list": "dlq list",
        "failures dlq": "dlq list",
        "dlq": "dlq list",
        "events dlq": "dlq list",
        f"failures fingerprint {FIRST}": f"failures groups show {FIRST}",
        "failures groups": "failures groups list",
    }
    for older, name in pairs.items():
        assert desk.data(*older.split()) == desk.data(*name.split()), older


def test_a_bare_group_without_a_default_shows_its_help(desk: Desk) -> None:
    desk.run("failures", code=2)
    assert "tailrace failures groups" in desk.err
    desk.run("dlq", "--help")
    assert "tailrace dlq redrive" in desk.out
    desk.run("dlq", "lsit", code=2)
    assert "did you mean 'list'?" in desk.err


def test_under_an_ascii_locale_no_sign_is_beyond_ascii(desk: Desk) -> None:
    desk.fail(message="plain")
    environ = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    for command in ("failures groups", "dlq list", "failures list", "failures show @last"):
        done = subprocess.run(
            [sys.executable, "-m", "tailrace", *command.split()],
            env=environ,
            capture_output=True,
            check=True,
        )
        assert (done.stdout + done.stderr).isascii(), command
        assert b"\\u" not in done.stdout + done.stderr, command
        assert b"\\x" not in done.stdout + done.stderr, command
