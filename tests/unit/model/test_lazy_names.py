"""Rooms whose names are loaded when first used offer exactly what they say."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

ROOMS = [
    "tailrace",
    "tailrace.events",
    "tailrace.failures",
    "tailrace.flows",
    "tailrace.model",
    "tailrace.runtime.redrive",
    "tailrace.store",
]


def homes(room: Any) -> dict[str, str]:
    """Return the module of each name."""
    table: dict[str, str] = room._HOMES
    return {name: f"{room.__name__}.{home}" for name, home in table.items()}


def imports_for_checkers(room: Any) -> dict[str, str]:
    tree = ast.parse(Path(room.__file__).read_text("utf-8"))
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    return {
        alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", ROOMS)
def test_the_table_the_public_names_and_the_types_agree(name: str) -> None:
    room = import_module(name)
    assert sorted(homes(room)) == sorted(room.__all__)
    assert imports_for_checkers(room) == homes(room)


@pytest.mark.parametrize("name", ROOMS)
def test_every_name_loads_from_its_home(name: str) -> None:
    room = import_module(name)
    for public, home in homes(room).items():
        assert getattr(room, public) is getattr(import_module(home), public)
    assert set(room.__all__) <= set(dir(room))


@pytest.mark.parametrize("name", ROOMS)
def test_no_name_is_that_of_a_module_which_would_hide_it(name: str) -> None:
    room = import_module(name)
    modules = {module.name for module in iter_modules(room.__path__)}
    assert not modules & set(room.__all__)


@pytest.mark.parametrize("name", ROOMS)
def test_a_name_that_does_not_exist_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"'{name}' has no attribute 'Nope'"):
        _ = import_module(name).Nope


@pytest.mark.parametrize("name", ROOMS)
def test_importing_a_room_loads_none_of_its_modules(name: str) -> None:
    code = f"import sys, {name}; print(*(m for m in sys.modules if m.startswith('{name}.')))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) <= {"tailrace.lazy"}


def test_a_plain_run_loads_neither_what_looks_at_failures_nor_what_walks_loops(
    tmp_path: Path,
) -> None:
    code = """
import sys
from tailrace import Flow, task

@task
def one() -> int:
    return 1

assert Flow("plain", one.node).run().output == 1
print(*(name for name in sys.modules if name.startswith("tailrace.")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "tailrace.store.journal" in loaded
    assert not loaded & {
        "tailrace.engine.containers",
        "tailrace.failures.capturing",
        "tailrace.failures.supervision",
        "tailrace.runtime.resume",
    }
