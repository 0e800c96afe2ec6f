import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.cli.report_error import describe_error, wants_json
from tailrace.cli.table import COMMANDS, GROUPS
from tailrace.errors import (
    DefinitionError,
    NotFound,
    PolicyValidationError,
    QueryError,
    RunCancelled,
    RunFailed,
    SettingsError,
    StoreError,
    TransportError,
)

HEAVY = ("asyncio", "yaml", "rich", "sqlite3", "msgspec", "tailrace.engine", "tailrace.model")


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python without the coverage that would load modules of its own there."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, *arguments],
        env=plain | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["trace", "--help"], ["run", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = run("-X", "importtime", "-m", "tailrace", *arguments)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    found = {name for name in imported if name.split(".")[0] in HEAVY or name in HEAVY}
    assert not found


def test_completion_of_commands_imports_none_of_them() -> None:
    environ = {
        "_TAILRACE_COMPLETE": "bash_complete",
        "COMP_WORDS": "tailrace tr",
        "COMP_CWORD": "1",
    }
    code = "import sys; from tailrace.cli.main import main; main()"
    done = run("-X", "importtime", "-c", code, **environ)
    assert done.stdout.split() == ["plain,trace"]
    assert not any(f" {name}\n" in done.stderr for name in HEAVY)


def test_every_row_of_the_table_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in COMMANDS:
        assert main([*entry.name.split(), "--help"]) == 0, entry.name
        assert "Usage: tailrace" in capsys.readouterr().out


def test_every_option_of_every_command_says_what_it_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["describe", "--format", "json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert {command["name"] for command in described["commands"]} == {
        f"tailrace {entry.name}" for entry in COMMANDS
    }
    for command in described["commands"]:
        assert command["help"], command["name"]
        for option in command["options"]:
            assert option["help"], (command["name"], option["names"])


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    outermost = [group for group in GROUPS if " " not in group.name and not group.hidden]
    assert all(f"  {group.name} " in out for group in outermost)


def test_a_group_without_its_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "list" in captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chekc"], "did you mean 'check'?"),
        (["trace", "shwo"], "did you mean 'show'?"),
        (["zzz"], "known: run, "),
        (["version", "--jsn"], "Did you mean '--json'?"),
        (["trace", "list", "--limit", "501"], "1<=x<=500"),
        (["trace", "list", "--since", "yesterday"], "2h, 7d"),
        (["explain", "TR001", "--format", "yaml"], "'text', 'json'"),
    ],
)
def test_a_wrong_command_line_says_what_is_allowed(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error[TR001]: ")
    assert says in captured.err
    assert "Traceback" not in captured.err


def test_with_json_an_error_is_one_object_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["trace", "lst", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "TR001"
    assert set(error) == {"code", "message", "hint", "details", "retryable"}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["trace", "list", "--json"], True),
        (["trace", "list", "--format", "json"], True),
        (["trace", "list", "--format=jsonl"], True),
        (["trace", "list", "-o", "json"], True),
        (["trace", "list", "--format", "markdown"], False),
        (["run", "--", "--json"], False),
        ([], False),
    ],
)
def test_json_is_recognised_before_the_command_line_is_parsed(
    arguments: list[str], wanted: bool
) -> None:
    assert wants_json(arguments) is wanted


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DefinitionError("x"), 2),
        (PolicyValidationError(["x", "y"]), 2),
        (QueryError("x"), 2),
        (SettingsError("x"), 4),
        (RunFailed("x", report=None), 1),
        (RunCancelled("x", report=None), 130),
        (NotFound("x"), 3),
        (StoreError("x"), 5),
        (TransportError("x"), 5),
        (ValueError("x"), 1),
    ],
)
def test_every_class_of_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert describe_error(error).exit_code == code


def test_all_problems_of_a_policy_are_told() -> None:
    report = describe_error(PolicyValidationError(["a is wrong", "b is wrong"]))
    assert [problem.message for problem in report.problems] == ["a is wrong", "b is wrong"]


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    assert describe_error(TransportError("x")).retryable
    assert describe_error(StoreError("x", code="TR506")).retryable
    assert not describe_error(StoreError("x")).retryable


def test_an_internal_error_is_one_line_and_its_traceback_is_there_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> dict[str, Any]:
        raise LookupError("no catalogue")

    monkeypatch.setattr("tailrace.cli.explain.catalogue", broken)
    assert main(["explain"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "error[TR002]: internal error: LookupError: no catalogue" in err
    assert "--debug" in err
    assert main(["explain", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = f"{sys.executable} -m tailrace describe --format json | head -c 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "{"
    assert done.stderr == ""


def test_ctrl_c_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr("tailrace.cli.explain.catalogue", interrupted)
    assert main(["explain"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_before_and_after_the_command_is_left_without_a_traceback() -> None:
    code = """
import signal
import tailrace.__main__ as command, tailrace.cli.main as line

def interrupted():
    raise KeyboardInterrupt

line.main = interrupted
print(command.run(), signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
"""
    done = run("-c", code)
    assert (done.stdout, done.stderr) == ("130 True\n", "interrupted\n")


def test_an_encoding_that_lacks_a_sign_never_stops_the_output(tmp_path: Path) -> None:
    environ = {"PYTHONIOENCODING": "ascii"}
    done = run("-m", "tailrace", "explain", "TR001", "--lang", "ja", **environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    assert "_TAILRACE_COMPLETE" in capsys.readouterr().out
