"""The table ``[failures]`` of ``tailrace.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import SettingsError
from tailrace.failures import classifier_faults, classify, use_rules
from tailrace.model.rule import Rule
from tailrace.settings import FailureSettings, load_settings, variable_of

WHOLE = """
grace = 2
[failures]
telemetry = ["ring", "sentry"]
tags = 3
flood_limit = 7
retry_after_cap = 60
letter_expiry_days = 1.5
poison_limit = 2
max_generations = 9
keep_days = 30
code_version = "2026-11"
worker_id = "w1"
[[failures.rules]]
type = "SlotTaken"
category = "transient"
class = "throttled"
[[failures.rules]]
attribute = { code = "55P03" }
category = "permanent"
"""

TWO_RULES = """
[[failures.rules]]
type = "X"
category = "unknown"
[[failures.rules]]
type = "X"
category = "transiant"
"""


def settings(tmp_path: Path, text: str, **environ: str) -> FailureSettings:
    (tmp_path / "tailrace.toml").write_text(text)
    return load_settings(tmp_path, environ=environ).failures


def test_every_setting_is_read(tmp_path: Path) -> None:
    assert settings(tmp_path, WHOLE) == FailureSettings(
        rules=(
            Rule(type="SlotTaken", category="transient", class_="throttled"),
            Rule(attribute={"code": "55P03"}, category="permanent"),
        ),
        telemetry=("ring", "sentry"),
        tags=3,
        flood_limit=7,
        retry_after_cap=60.0,
        letter_expiry_days=1.5,
        poison_limit=2,
        max_generations=9,
        keep_days=30.0,
        code_version="2026-11",
        worker_id="w1",
    )


def test_without_a_table_the_defaults_hold(tmp_path: Path) -> None:
    assert settings(tmp_path, "grace = 2") == FailureSettings()
    assert FailureSettings().flood_limit == 100


def test_variables_win_over_the_file_and_origins_say_so(tmp_path: Path) -> None:
    (tmp_path / "tailrace.toml").write_text(WHOLE)
    environ = {
        "TAILRACE_FAILURES_FLOOD_LIMIT": "0",
        "TAILRACE_FAILURES_KEEP_DAYS": "0.5",
        "TAILRACE_FAILURES_TELEMETRY": "ring, otel",
        "TAILRACE_CODE_VERSION": "abc123",
    }
    found = load_settings(tmp_path, environ=environ)
    assert (found.failures.flood_limit, found.failures.keep_days) == (0, 0.5)
    assert found.failures.telemetry == ("ring", "otel")
    assert found.failures.code_version == "abc123"
    assert found.origins["failures.code_version"] == "TAILRACE_CODE_VERSION"
    assert found.origins["failures.tags"] == str(tmp_path / "tailrace.toml")
    assert found.origins["durability"] == "default"
    assert found.value_of("failures.tags") == 3
    assert variable_of("failures.worker_id") == "TAILRACE_WORKER_ID"


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("[failures]\nflod_limit = 1", "TR190", "did you mean 'failures.flood_limit'?"),
        ("flood_limit = 1", "TR190", "did you mean 'failures.flood_limit'?"),
        ("[failurs]\ntags = 1", "TR190", "did you mean 'failures'?"),
        ("failures = 3", "TR192", "failures is 3; it must be a table, [failures]"),
        ("[failures]\ntags = 65", "TR192", "failures.tags is 65; it must be a whole number from 0"),
        ("[failures]\ntags = true", "TR192", "failures.tags is True"),
        ("[failures]\npoison_limit = 0", "TR192", "a whole number from 1 to 1000"),
        ("[failures]\nretry_after_cap = -1", "TR192", "seconds from 0 to"),
        ("[failures]\nkeep_days = nan", "TR192", "days from 0 to"),
        ("[failures]\ntelemetry = 3", "TR192", "a list of texts"),
        ('[failures]\nworker_id = "a\\u0000"', "TR192", "a line of at most 128 characters"),
        ("[failures]\nrules = 3", "TR194", "failures.rules is 3; write each rule as a table"),
        (
            TWO_RULES,
            "TR194",
            "failures.rules[1]: category is 'transiant'; it must be one of transient, permanent,",
        ),
        (TWO_RULES, "TR194", "did you mean 'transient'?"),
        (
            '[[failures.rules]]\ntpe = "X"\ncategory = "unknown"',
            "TR194",
            "failures.rules[0]: unknown key 'tpe'",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_key_and_nearest_name(
    text: Any, code: Any, part: Any, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, text)
    assert caught.value.code == code
    assert part in caught.value.message
    assert str(tmp_path / "tailrace.toml") in caught.value.message


def test_a_rule_of_the_project_wins_over_our_own(tmp_path: Path) -> None:
    text = '[[failures.rules]]\ntype = "ValueError"\ncategory = "transient"\nname = "ours"\n'
    use_rules(settings(tmp_path, text).rules)
    try:
        assert classify(ValueError("x")).rule == "rule:ours"
        assert classify(ValueError("x")).category == "transient"
    finally:
        use_rules([])
    assert classify(ValueError("x")).category == "permanent"
    assert classifier_faults() == {}
