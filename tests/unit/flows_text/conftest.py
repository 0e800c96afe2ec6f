from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tailrace.flows.loaded import LoadedFlow
from tailrace.flows.yaml_file import parse_yaml

TASKS = """
def fetch(url="x"): return url
def check(value=None): return value
def clean(value=None): return value
def enrich(value=None): return value
def load(value=None): return value
def poll(value=None): return {"done": True}
def pick(value=None): return "load"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module of tasks whose name no other test uses."""
    (tmp_path / "flows_text_tasks.py").write_text(TASKS)
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Callable[[str], LoadedFlow]:
    """Read a flow file."""

    def parse(text: str) -> LoadedFlow:
        return parse_yaml(dedent(text), file="flow.yaml", folder=folder)

    return parse


@pytest.fixture
def read_graph(folder: Path) -> Callable[..., LoadedFlow]:
    """Read a file whose flow is some graph text over tasks a to h, or other lines."""

    def parse(graph: str, *, rest: str = "", key: str = "graph: |") -> LoadedFlow:
        lines = ["version: 1", "tasks:"]
        lines += [f"  {name}: {{callable: 'flows_text_tasks:check'}}" for name in "abcdefgh"]
        lines += ["flow:", "  defaults: {mode: fast, items: [1], n: 2}"]
        lines += [f"  {key}", *(f"    {line}" for line in graph.split("\n"))]
        return parse_yaml("\n".join([*lines, rest]), file="flow.yaml", folder=folder)

    return parse
