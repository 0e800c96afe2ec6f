"""Where settings come from, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.errors import SettingsError
from tailrace.model import Durability
from tailrace.settings import database_for, load_settings


def test_a_file_found_upwards_wins_over_defaults_and_the_environment_over_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "tailrace.toml").write_text('durability = "power"\ngrace = 2\ndb = "runs.db"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    settings = load_settings(inner, environ={"TAILRACE_GRACE": "0.5"})
    assert settings.durability is Durability.POWER
    assert settings.grace == 0.5
    assert settings.db == tmp_path / "runs.db"
    assert settings.origins["grace"] == "TAILRACE_GRACE"
    assert settings.origins["durability"] == str(tmp_path / "tailrace.toml")
    assert settings.origins["diary"] == "default"


def test_zero_is_a_value(tmp_path: Path) -> None:
    assert load_settings(tmp_path, environ={"TAILRACE_GRACE": "0"}).grace == 0


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("durabilty = 1", "TR190", "did you mean 'durability'?"),
        ('durability = "some"', "TR192", "'power' or 'process' or 'relaxed'"),
        ("grace = -1", "TR192", "seconds from 0 to 86400"),
        ("grace = true", "TR192", "seconds"),
        ("diary = 3", "TR192", "true or false"),
        ("grace = [", "TR191", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_the_place(
    text: str, code: str, part: str, tmp_path: Path
) -> None:
    (tmp_path / "tailrace.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environ={})
    assert caught.value.code == code
    assert part in str(caught.value)
    assert "tailrace.toml" in str(caught.value)


def test_the_database_is_the_nearest_one_upwards_else_here(tmp_path: Path) -> None:
    inner = tmp_path / "a"
    inner.mkdir()
    settings = load_settings(tmp_path, environ={})
    assert database_for(inner, settings) == inner / ".tailrace" / "tailrace.db"
    (tmp_path / ".tailrace").mkdir()
    (tmp_path / ".tailrace" / "tailrace.db").touch()
    assert database_for(inner, settings) == tmp_path / ".tailrace" / "tailrace.db"
