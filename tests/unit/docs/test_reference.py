"""Every command, setting, option and error code is documented."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path

import yaml

import tailrace
from tailrace.errors.codes import catalogue
from tailrace.flow import Flow
from tailrace.model import Context
from tailrace.model.rule import KEYS
from tailrace.policy.fields import FIELDS
from tailrace.policy.validate import cautions, problems
from tailrace.runtime import RunResult
from tailrace.settings import load_settings, variable_of

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def test_the_pages_that_come_from_the_program_are_up_to_date() -> None:
    write = runpy.run_path(str(ROOT / ".ci" / "reference.py"))
    stale = [name for name, text in write["pages"]().items() if page(name) != text]
    assert not stale, "run: make reference"


def test_every_setting_is_documented_with_its_variable() -> None:
    text = page("settings.md")
    names = list(load_settings(ROOT, environ={}).origins)
    assert {"db", "failures.flood_limit"} <= set(names)
    for name in names:
        variable = variable_of(name)
        row = f"| `{name}` | `{variable}` |" if variable else f"| `{name}` | |"
        assert row in text


def test_every_key_of_a_rule_for_failures_is_documented() -> None:
    text = page("settings.md")
    assert not [key for key in KEYS if f"| `{key}` |" not in text]


def test_every_field_of_a_policy_is_documented() -> None:
    text = page("policy.md")
    assert not [name for name in FIELDS if f"| `{name}` |" not in text]


def test_every_message_of_the_japanese_table_is_the_one_a_policy_gives() -> None:
    text = (ROOT / "README_ja.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\{.*?\})` \| (TR\d+) \| (.*?) \|", text, re.MULTILINE)
    assert len(rows) > 10
    for written, code, message in rows:
        policy = yaml.safe_load(written)
        found = [*problems(policy), *cautions(policy)]
        assert (code, message) == (found[0].code, found[0].message)


def test_every_code_that_the_source_uses_is_in_the_catalogue() -> None:
    known = set(catalogue())
    used = {
        code
        for source in (ROOT / "src").rglob("*.py")
        for code in re.findall(r'"(TR\d{3})"', source.read_text("utf-8"))
    }
    assert used <= known


def test_every_public_name_is_documented() -> None:
    text = "".join(file.read_text("utf-8") for file in (ROOT / "docs").rglob("*.md"))
    missing = [name for name in tailrace.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing


def test_every_option_of_a_run_and_every_part_of_its_result_is_documented() -> None:
    text = page("python-api.md")
    described = inspect.getdoc(Flow.run) or ""
    options = set(re.findall(r"``(\w+)``", described)) - {"False"}
    assert {"policy", "tracers", "durability"} <= options
    parts = {*RunResult.__struct_fields__} - {"reason", "timed_out"}
    assert not [name for name in options | parts if f"`{name}`" not in text]


def test_everything_a_task_can_see_is_documented() -> None:
    text = page("python-api.md")
    names = [name for name in vars(Context) if not name.startswith("_")]
    assert not [name for name in names if not re.search(rf"`(?:\w+\.)?{name}\b", text)]
