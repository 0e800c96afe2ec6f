"""``module:function``, as flow files name it."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.errors import DefinitionError
from tailrace.flows.discovery import resolve_callable

Write = Callable[..., Path]


def _refusal(reference: str, folder: Path | None = None) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        resolve_callable(reference, folder=folder)
    return caught.value


def test_a_function_beside_the_flow_file_is_found(write: Write, tmp_path: Path) -> None:
    write("etl/tasks.py", "def fetch(url):\n    '''Fetch it.'''\n    return url\n")

    spec = resolve_callable("tasks:fetch", folder=tmp_path / "etl")

    assert (spec.name, spec.reference, spec.doc) == ("fetch", "tasks:fetch", "Fetch it.")
    assert spec.origin == "yaml"
    assert spec.function("x") == "x"


def test_packages_nested_attributes_and_spaces_are_fine(write: Write, tmp_path: Path) -> None:
    write("etl/pack/__init__.py", "")
    write("etl/pack/jobs.py", "class Group:\n    @staticmethod\n    def job(): return 1\n")

    spec = resolve_callable(" pack.jobs:Group.job ", folder=tmp_path / "etl")

    assert spec.function() == 1
    assert spec.reference == "pack.jobs:Group.job"


def test_a_lambda_has_the_reference_the_file_gives_it(write: Write, tmp_path: Path) -> None:
    write("etl/tasks.py", "double = lambda n: n * 2\n")

    assert resolve_callable("tasks:double", folder=tmp_path / "etl").reference == "tasks:double"


def test_a_decorated_task_keeps_its_policy(write: Write, tmp_path: Path) -> None:
    write(
        "etl/tasks.py",
        """
        from tailrace import Policy, task

        @task(policy=Policy(timeout="5s"), outputs=["scratch.x"])
        def fetch(): ...
        """,
    )

    spec = resolve_callable("tasks:fetch", folder=tmp_path / "etl")

    assert spec.policy is not None
    assert spec.policy.timeout == "5s"
    assert spec.outputs == ("scratch.x",)


def test_two_folders_may_hold_modules_of_one_name(write: Write, tmp_path: Path) -> None:
    write("a/tasks.py", "import side\ndef who(): return 'a' + side.NAME\n")
    write("a/side.py", "NAME = 'A'\n")
    write("b/tasks.py", "import side\ndef who(): return 'b' + side.NAME\n")
    write("b/side.py", "NAME = 'B'\n")

    first = resolve_callable("tasks:who", folder=tmp_path / "a")
    second = resolve_callable("tasks:who", folder=tmp_path / "b")
    again = resolve_callable("tasks:who", folder=tmp_path / "a")

    assert [spec.function() for spec in (first, second, again)] == ["aA", "bB", "aA"]


def test_two_folders_may_hold_packages_without_init_of_one_name(
    write: Write, tmp_path: Path
) -> None:
    write("a/pack/tasks.py", "def who(): return 'a'\n")
    write("b/pack/tasks.py", "def who(): return 'b'\n")

    first = resolve_callable("pack.tasks:who", folder=tmp_path / "a")
    second = resolve_callable("pack.tasks:who", folder=tmp_path / "b")

    assert [first.function(), second.function()] == ["a", "b"]


def test_a_module_is_imported_once_per_folder(write: Write, tmp_path: Path) -> None:
    write("a/tasks.py", "def one(): ...\ndef two(): ...\n")

    one = resolve_callable("tasks:one", folder=tmp_path / "a")
    two = resolve_callable("tasks:two", folder=tmp_path / "a")

    assert one.function.__globals__ is two.function.__globals__
    assert sys.path.count(str(tmp_path / "a")) == 1


@pytest.mark.parametrize("name", ["json", "msgspec"])
def test_a_module_named_like_one_of_python_or_a_package_is_refused(
    write: Write, tmp_path: Path, name: str
) -> None:
    before = importlib.import_module(name)
    write(f"a/{name}.py", "def load(): ...\n")

    error = _refusal(f"{name}:load", tmp_path / "a")

    assert error.code == "TR169"
    assert error.hint == f"Rename {name}.py."
    assert sys.modules[name] is before


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("weather.tasks.fetch", "Write 'weather.tasks:fetch'."),
        ("fetch", "Write 'module:function'"),
        ("a:b:c", "Write 'module:function'"),
        ("", "Write 'module:function'"),
        (".tasks:fetch", "Write 'module:function'"),
        ("tasks:", "Write 'module:function'"),
        ("os.system('x'):y", "Write 'module:function'"),
        ("1a:b", "Write 'module:function'"),
    ],
)
def test_a_text_of_another_shape_is_refused_with_the_mend(reference: str, hint: str) -> None:
    error = _refusal(reference)

    assert error.code == "TR160"
    assert error.hint.startswith(hint)


def test_a_module_that_is_not_there_names_the_nearest(write: Write, tmp_path: Path) -> None:
    write("etl/weather.py", "")

    error = _refusal("waether:fetch", tmp_path / "etl")

    assert error.code == "TR161"
    assert "did you mean 'weather'?" in error.message
    assert str(tmp_path / "etl") in error.message


def test_a_missing_submodule_says_which_part_is_missing(write: Write, tmp_path: Path) -> None:
    write("etl/pack/__init__.py", "")

    assert _refusal("pack.nope:x", tmp_path / "etl").code == "TR161"
    assert "(there is no 'nopack')" in _refusal("nopack.sub:x", tmp_path / "etl").message


@pytest.mark.parametrize(
    ("source", "line", "cause"),
    [
        ("import os\nimport not_installed\n", 2, "No module named 'not_installed'"),
        ("x = 1\ny = undefined\n", 2, "NameError: name 'undefined' is not defined"),
        ("def f(:\n    pass\n", 1, "SyntaxError: "),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError: "),
        ("raise SystemExit(3)\n", 1, "SystemExit(3)"),
        ("from os import nothing_like_this\n", 1, "ImportError: cannot import name"),
        ("raise ValueError('two\\nlines')\n", 1, "ValueError: two lines"),
    ],
)  # fmt: skip
def test_a_failing_module_is_reported_with_the_cause_and_the_users_own_line(
    write: Write, tmp_path: Path, source: str, line: int, cause: str
) -> None:
    file = write("etl/tasks.py", source)

    error = _refusal("tasks:f", tmp_path / "etl")

    assert error.code == "TR162"
    assert cause in error.message
    assert f"{file}:{line}: " in error.message
    assert (error.details["file"], error.details["line"]) == (str(file), line)
    assert "tasks" not in sys.modules


def test_a_failure_deep_in_the_folder_names_the_innermost_line(
    write: Write, tmp_path: Path
) -> None:
    write("etl/tasks.py", "import inner\n")
    inner = write("etl/inner.py", "\n\nimport json\njson.loads('nope')\n")

    error = _refusal("tasks:f", tmp_path / "etl")

    assert (error.details["file"], error.details["line"]) == (str(inner), 4)


def test_a_mended_module_is_found_after_it_failed(write: Write, tmp_path: Path) -> None:
    write("etl/tasks.py", "raise ValueError('not yet')\n")
    _refusal("tasks:f", tmp_path / "etl")

    write("etl/tasks.py", "def f(): return 'mended and longer than before'\n")

    assert resolve_callable("tasks:f", folder=tmp_path / "etl").function()[:6] == "mended"


def test_a_missing_function_names_the_nearest(write: Write, tmp_path: Path) -> None:
    write("etl/tasks.py", "LIMIT = 1\ndef fetch_rows(): ...\ndef _hidden(): ...\n")

    error = _refusal("tasks:fetch_row", tmp_path / "etl")

    assert error.code == "TR163"
    assert "did you mean 'fetch_rows'?" in error.message
    assert "(callables there: fetch_rows)" in error.message


def test_a_module_that_fails_while_it_is_asked_is_reported(write: Write, tmp_path: Path) -> None:
    write("etl/tasks.py", "def __getattr__(name):\n    raise OSError('disk')\n")

    assert "OSError: disk" in _refusal("tasks:x", tmp_path / "etl").message


def test_what_is_named_must_be_callable(write: Write, tmp_path: Path) -> None:
    write("etl/tasks.py", "LIMIT = 1\n")

    error = _refusal("tasks:LIMIT", tmp_path / "etl")

    assert error.code == "TR164"
    assert "tasks:LIMIT: LIMIT is an int, which cannot be called" in error.message


def test_only_allowed_modules_are_imported(write: Write, tmp_path: Path) -> None:
    write("etl/unlisted_tasks.py", "raise AssertionError('imported')\n")

    with pytest.raises(DefinitionError) as caught:
        resolve_callable(
            "unlisted_tasks:f", folder=tmp_path / "etl", allow=lambda name: name == "other"
        )

    assert caught.value.code == "TR165"
    assert "unlisted_tasks" not in sys.modules
