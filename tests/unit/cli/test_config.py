"""Settings as ``tailrace config show`` prints them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailrace.cli.main import main

RULES = """
[failures]
flood_limit = 7
[[failures.rules]]
type = "SlotTaken"
category = "transient"
class = "throttled"
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_setting_is_shown_with_its_origin_those_of_tables_too(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tailrace.toml").write_text(RULES)
    assert main(["config", "show", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    file = str(project / "tailrace.toml")
    assert shown["failures.flood_limit"] == {"value": 7, "from": file}
    assert shown["failures.rules"] == {
        "value": [{"type": "SlotTaken", "category": "transient", "class": "throttled"}],
        "from": file,
    }
    assert shown["failures.poison_limit"] == {"value": 3, "from": "default"}
    assert shown["db"]["from"] == "default"


def test_the_table_shows_rules_and_what_is_empty(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["config", "show"]) == 0
    empty = capsys.readouterr().out.splitlines()
    assert next(line.split() for line in empty if "failures.rules" in line)[1] == "-"
    (project / "tailrace.toml").write_text(RULES)
    assert main(["config", "show"]) == 0
    assert "category=transient class=throttled type=SlotTaken" in capsys.readouterr().out


def test_a_rule_that_is_wrong_ends_with_the_place_and_exit_4(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tailrace.toml").write_text(RULES.replace("transient", "transiant"))
    assert main(["config", "show"]) == 4
    said = capsys.readouterr().err
    assert "error[TR194]" in said
    assert "failures.rules[0]: category is 'transiant'" in said
    assert "did you mean 'transient'?" in said
