"""What ``tailrace replay`` refuses, and its Python prompt."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.cli.prompt import names_of, open_prompt
from tailrace.runtime.replay import Replay

FLOW = """
from tailrace import Flow, foreach, task

@task(checkpoint="none")
def fetch(n: int):
    return list(range(n))

@task
def clean(row: int, task: str = "x"):
    if row == 2:
        raise ValueError("two")
    return row

@task
def total(each: list):
    return sum(each)

loop = foreach("$node.fetch.output", item="row", name="each")(clean)
flow = Flow("rows", fetch >> loop >> total, defaults={"n": 4})
"""
NAME = "flow_that_is_replayed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a failed run; its module is loaded once."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / f"{NAME}.py").write_text(FLOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", f"{NAME}.py", "-q", "--no-diary"]) == 1
    yield folder
    sys.modules.pop(NAME, None)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ffff"], 3, "no run id begins with 'ffff'"),
        (["--node", "fetsch"], 3, "did you mean 'fetch'?"),
        (["--node", "each.clean"], 3, "name one with the indices of its loops: each[2].clean"),
        (["--break", "total"], 3, "was skipped: needs each"),
        (["--until", "each[9].clean"], 3, "ran in 3 iterations, not in this one"),
        (["--run"], 2, "--run needs --node"),
        (["--until", "fetch", "--node", "fetch"], 2, "give one of"),
        (["--node", "each[1].clean", "--run"], 2, "error[TR318]"),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(["replay", *arguments]) == code
    assert said in capsys.readouterr().err


def test_an_input_that_is_not_known_is_named_with_what_was_recorded_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["replay", "--node", "each[1].clean"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "    row        (not known: item 1 of each is not known; recorded as 1)" in shown


def test_the_names_of_a_prompt_are_the_inputs_and_then_what_every_node_has(folder: Path) -> None:
    node = Replay(folder / ".tailrace" / "tailrace.db").node("@last", "each[2].clean")
    names = names_of(node)

    assert names["task"] is node.function
    assert names["inputs"] == dict(node.inputs)
    assert names["failure"].message == "two"
    assert {"row", "output", "arguments", "debug"} <= names.keys()


class _Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_ipython_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: dict[str, Any] = {}
    stand_in = ModuleType("IPython")
    stand_in.embed = opened.update  # type: ignore[attr-defined]
    stand_in.__spec__ = type(sys.__spec__)("IPython", None)
    monkeypatch.setitem(sys.modules, "IPython", stand_in)
    monkeypatch.setattr(sys, "stdin", _Typed())

    open_prompt({"row": 1}, "what is known")
    assert (opened["user_ns"], opened["banner1"]) == ({"row": 1}, "what is known")


def test_an_open_block_is_closed_by_the_end_of_the_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("for n in rows:\n    print(n)"))
    open_prompt({"rows": [1, 2]}, "what is known")
    output = capsys.readouterr()
    assert output.out.split() == ["1", "2"]
    assert output.err == "what is known\n"
