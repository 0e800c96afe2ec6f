"""Finding a flow by what a user types."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.flows.load import load_target
from tailrace.model import Finding, Severity

FLOW = """
from tailrace.flows import as_node, build_flow, task

@task
def first(n: int = 0) -> int:
    return n

def make(name):
    return build_flow(name=name, root=as_node(first))
"""


@pytest.fixture(autouse=True)
def imports_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def only(target: str) -> Finding:
    loaded = load_target(target)
    assert loaded.flow is None
    (found,) = loaded.findings
    assert found.severity is Severity.ERROR
    return found


def name_of(target: str) -> str:
    loaded = load_target(target)
    assert loaded.findings == []
    assert loaded.flow is not None
    return loaded.flow.name


def test_the_one_flow_of_a_python_file_is_found_by_itself(tmp_path: Path) -> None:
    target = write(
        tmp_path / "lone_one.py", FLOW + "flow = same = make('lone')\n_hidden = make('x')"
    )
    assert name_of(target) == "lone"
    assert name_of(f"{target}:same") == "lone"
    assert name_of(f"{target}:_hidden") == "x"


def test_of_several_flows_one_must_be_chosen(tmp_path: Path) -> None:
    target = write(tmp_path / "two_flows.py", FLOW + "north = make('n')\nsouth = make('s')")
    found = only(target)
    assert found.code == "TR119"
    assert "several flows: north, south" in found.message
    assert found.hint == f"Choose one: {target}:north."
    assert name_of(f"{target}:south") == "s"
    assert "did you mean 'south'?" in only(f"{target}:suoth").message
    assert "'first' of" in only(f"{target}:first").message


def test_a_module_without_a_flow_is_said_so(tmp_path: Path) -> None:
    assert only(write(tmp_path / "no_flow.py", FLOW)).code == "TR119"


def test_a_module_is_found_from_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path / "shop" / "__init__.py", "")
    write(tmp_path / "shop" / "flows.py", FLOW + "nightly = make('nightly')")
    assert name_of("shop.flows:nightly") == "nightly"
    assert name_of("shop.flows") == "nightly"


def test_two_files_of_one_name_do_not_mix(tmp_path: Path) -> None:
    targets = [
        write(tmp_path / folder / "same_name.py", FLOW + f"flow = make('{folder}')")
        for folder in ("one", "two")
    ]
    assert [name_of(target) for target in (*targets, *targets)] == ["one", "two", "one", "two"]


def test_a_file_named_like_a_loaded_module_of_python_is_refused(tmp_path: Path) -> None:
    found = only(write(tmp_path / "json.py", FLOW + "flow = make('mine')"))
    assert "Rename json.py" in found.hint


def test_a_yaml_file_is_loaded_and_checked(tmp_path: Path) -> None:
    write(tmp_path / "work.py", "def first(n):\n    return n\n")
    tasks = "version: 1\ntasks: {first: {callable: work:first}}\n"
    target = write(tmp_path / "flow.yaml", tasks + "flow: {defaults: {n: 1}, graph: first}\n")
    assert name_of(target) == "flow"
    loaded = load_target(write(tmp_path / "short.yml", tasks + "flow: {graph: first}\n"))
    assert [found.code for found in loaded.findings] == ["TR150"]


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("missing.yaml", "there is no file missing.yaml"),
        ("missing.py", "there is no file missing.py"),
        ("missing.py:flow", "there is no file missing.py"),
        ("no/such/folder/flow.yml", "there is no file"),
        ("what is this", "neither a file nor a module"),
        ("", "neither a file nor a module"),
        ("no_such_module_at_all:flow", "there is no module 'no_such_module_at_all'"),
    ],
)
def test_a_target_that_is_nothing_is_refused(target: str, seen: str) -> None:
    assert seen in only(target).message


def test_a_misspelt_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "wether.yaml", "version: 1")
    assert "did you mean 'wether.yaml'?" in only("weather.yaml").message


@pytest.mark.parametrize(
    ("text", "line", "seen"),
    [
        ("x = 1\nimport no_such_package\n", 2, "Install what provides 'no_such_package'"),
        ("def f():\n    return 1 / 0\nf()\n", 2, "ZeroDivisionError"),
        ("x = (1,\ny = 2\n", 1, "SyntaxError"),
        ("import sys\nsys.exit('no')\n", 2, "SystemExit"),
    ],
)
def test_a_failing_import_points_at_the_users_line(
    tmp_path: Path, text: str, line: int, seen: str
) -> None:
    target = write(tmp_path / "broken_module.py", text)
    found = only(target)
    assert found.code == "TR162"
    assert found.where is not None
    assert (found.where.file, found.where.line) == (target, line)
    assert found.where.text == text.splitlines()[line - 1]
    assert seen in found.message + found.hint
    assert "broken_module" not in sys.modules


def test_a_definition_error_keeps_its_code_and_points_at_the_flow(tmp_path: Path) -> None:
    target = write(tmp_path / "wrong_flow.py", FLOW + "flow = first >> 42\n")
    found = only(target)
    assert found.code == "TR128"
    assert found.where is not None
    assert found.where.text == "flow = first >> 42"


def test_findings_of_the_check_come_along(tmp_path: Path) -> None:
    text = FLOW.replace("n: int = 0", "n: int") + "flow = make('f')\n"
    loaded = load_target(write(tmp_path / "needs_n.py", text))
    assert loaded.flow is not None
    assert [found.code for found in loaded.findings] == ["TR150"]


def test_importing_the_decorator_stays_light() -> None:
    heavy = {"asyncio", "yaml", "sqlite3", "concurrent.futures", "difflib", "tailrace.engine"}
    code = (
        "import sys; before = set(sys.modules); from tailrace import task; "
        "print(*sorted(set(sys.modules) - before))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert heavy.isdisjoint(output.split())
