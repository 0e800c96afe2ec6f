"""How callables are named, and which of them another process finds again."""

from __future__ import annotations

import functools
import json
import os.path
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import DefinitionError
from tailrace.events.action import describe_action, find_action, is_async, name_of


def local_work() -> str:
    return "done"


class Tool:
    def __call__(self) -> str:
        return "called"

    async def later(self) -> None: ...

    def method(self) -> str:
        return "method"


class AsyncTool:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (functools.partial(os.path.join, "a"), "join"),
        (functools.partial(functools.partial(local_work)), "local_work"),
        (lambda: None, "<lambda>"),
        (Tool(), "Tool"),
        (Tool().method, "method"),
        (print, "print"),
    ],
)
def test_every_callable_has_a_name(call: Callable[..., Any], name: str) -> None:
    """The older program lost the error of what had no ``__name__``."""
    assert name_of(call) == name
    assert describe_action(call).name == name


def test_a_function_of_a_module_with_plain_arguments_is_found_again() -> None:
    action = describe_action(functools.partial(os.path.basename, "a/b"))
    assert action.task_ref == "posixpath:basename"
    found = find_action(action.task_ref, json.loads(json.dumps(action.payload)))
    assert found.call() == action.call() == "b"


@pytest.mark.parametrize(
    "call",
    [
        lambda: None,
        Tool(),
        Tool().method,
        functools.partial(os.path.basename, b"a"),
        functools.partial(os.path.basename, object()),
        functools.partial(json.dumps, {"password": "hunter2"}),
        functools.partial(json.dumps, (1, 2)),
    ],
)
def test_what_lives_in_this_process_only_or_holds_a_secret_is_not(
    call: Callable[..., Any],
) -> None:
    action = describe_action(call)
    assert (action.task_ref, action.payload) == ("", None)
    assert not action.is_repeatable


@pytest.mark.parametrize(
    ("task_ref", "payload", "message"),
    [
        ("nowhere.at.all:f", None, "ModuleNotFoundError"),
        ("os.path:nothing", None, "AttributeError"),
        ("os.path:sep", None, "which cannot be called"),
        ("os.path", None, "names no function"),
        ("os.path:join", {"arguments": []}, "the payload of os.path:join is"),
        ("os.path:join", [1], "the payload"),
    ],
)
def test_what_cannot_be_found_says_why(task_ref: str, payload: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as seen:
        find_action(task_ref, payload)
    assert seen.value.code == "TR335"
    assert seen.value.hint


def test_a_module_is_found_in_the_folder_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_module_of_this_test.py").write_text("def work():\n    return 'done'\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    import a_module_of_this_test  # type: ignore[import-not-found]

    action = describe_action(a_module_of_this_test.work)
    assert action.home == str(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:-1])
    monkeypatch.delitem(sys.modules, "a_module_of_this_test")
    with pytest.raises(DefinitionError, match="No module named"):
        find_action(action.task_ref, None)
    assert find_action(action.task_ref, None, action.home).call() == "done"
    monkeypatch.delitem(sys.modules, "a_module_of_this_test")


def test_a_function_of_another_script_is_not_taken_for_one_of_this() -> None:
    with pytest.raises(DefinitionError, match="is not this program"):
        find_action("__main__:main", None, "/somewhere/else.py")


def test_coroutine_functions_are_known_in_all_their_forms() -> None:
    assert is_async(Tool().later)
    assert is_async(functools.partial(Tool().later))
    assert is_async(AsyncTool())
    assert not is_async(Tool())
    assert not is_async(local_work)
