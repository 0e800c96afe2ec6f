"""Where a flow is loaded from when it is run again."""

import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
from tailrace import Flow, task

@task
def fail() -> int:
    raise ConnectionError("down")

single = Flow("single", fail)
"""
PROGRAM = """
from steps import single
from tailrace.runtime.plans import ready_plan
from tailrace.settings import load_settings

print(ready_plan(single, (), None, load_settings().failures).target)
"""
ALONE = PROGRAM.replace("from steps import single", STEPS)


def run(folder: Path, *arguments: str, program: str = "") -> str:
    """Run a program in the folder and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=program,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.py").write_text(STEPS)
    return tmp_path


def test_a_flow_is_loaded_from_its_module_and_not_from_the_program_that_ran_it(
    folder: Path,
) -> None:
    (folder / "program.py").write_text(PROGRAM)
    assert run(folder, "program.py") == f"{folder / 'steps.py'}:single"


def test_a_flow_is_loaded_from_its_module_also_where_its_tasks_are_in_another(folder: Path) -> None:
    (folder / "flows.py").write_text(
        "from steps import fail\nfrom tailrace import Flow\nsingle = Flow('single', fail)\n"
    )
    (folder / "program.py").write_text(PROGRAM.replace("from steps", "from flows"))
    assert run(folder, "program.py") == f"{folder / 'flows.py'}:single"


def test_a_flow_of_a_program_is_loaded_from_the_program(folder: Path) -> None:
    (folder / "alone.py").write_text(ALONE)
    assert run(folder, "alone.py") == f"{folder / 'alone.py'}:single"


def test_a_flow_from_standard_input_can_be_loaded_only_from_its_module(folder: Path) -> None:
    assert run(folder, "-", program=PROGRAM) == f"{folder / 'steps.py'}:single"
    assert run(folder, "-", program=ALONE) == ""
