"""Flow files of Pyoco 0.8 are read unchanged."""

from pathlib import Path
from textwrap import dedent

import pytest

from tailrace.flows.yaml_file import parse_yaml
from tailrace.model import Severity

MODULE = """
def read(path="x"): return [1, 2, 3]
def clean(rows=None): return rows
def full(rows=None): return rows
def report(value=None): return value
def tick(it=None, i=None): return it
def probe(): return {"ok": True, "count": 3}
"""

TASKS = """
tasks:
  read: {callable: "pyoco_like_tasks:read", inputs: {path: $ctx.params.path}}
  clean: {callable: "pyoco_like_tasks:clean", inputs: {rows: $node.read.output}}
  full: {callable: "pyoco_like_tasks:full"}
  report: {callable: "pyoco_like_tasks:report", outputs: [scratch.report]}
  tick: {callable: "pyoco_like_tasks:tick"}
  probe: {callable: "pyoco_like_tasks:probe"}
"""

FILES = {
    "sequence": ("read >> clean >> report", ""),
    "comments and lines": ("read   # first\n>> clean\n# between\n>> report", ""),
    "named nodes": ("read >> again: clean >> once_more: clean >> report", ""),
    "switch by name": ("switch(on=mode){ fast: full; slow: read >> clean; default: report }", ""),
    "switch by template": ("switch(on={{ params.mode }}){ fast: full; default: report; }", ""),
    "switch by selector": ('switch(on="$ctx.params.mode"){ fast: full; default: report }', ""),
    "switch by condition": (
        "switch(on={{ $ctx.params.n > 1 }}){ true: full; false: report }", "",
    ),
    "switch by number": ('switch(on=n){ 1: full; "2": report; default: probe }', ""),
    "quoted branch": ('read >> switch(on=mode){ fast: "clean >> report"; default: full }', ""),
    "template as case": ("switch(on=mode){ {{ params.other }}: full; default: report }", ""),
    "switch of a result": (
        "probe >> switch(on={{ results.probe.ok }}){ true: full; default: report }", "",
    ),
    "repeat": ("repeat(count=3){ probe }", ""),
    "repeat by param": ("repeat(count=n, collect=last){ probe >> report }", ""),
    "repeat by template": ("repeat(count={{ params.n }}){ probe }", ""),
    "foreach": ("foreach(over=items, item=it, index=i){ tick }", ""),
    "foreach of a result": (
        "read >> foreach(over={{ results.read }}, item=it, collect=flatten){ tick } >> report", "",
    ),
    "nested loops": (
        "foreach(over=items, item=it){ repeat(count=2){ switch(on=n){ 1: tick; default: full } }}",
        "",
    ),
    "until": ("until(cond={{ results.probe.ok }}, max_iter=5){ probe }", ""),
    "until by selector": ("until(cond='$ctx.results.probe.count > 2'){ probe }", ""),
    "until by iteration": ("until(cond={{ $ctx.loop.iteration >= 2 }}, collect=list){ probe }", ""),
    "pipes": ("pipe(prepare) >> report", 'pipes: {prepare: "read >> clean"}'),
    "pipes in pipes": (
        "pipe('outer') >> report",
        'pipes:\n  inner: "read"\n  outer: "pipe(inner) >> clean"',
    ),
    "pipe in a branch": (
        "switch(on=mode){ fast: pipe(p); default: report }", "pipes: {p: read >> clean}",
    ),
    "the same task in two branches": (
        "switch(on=mode){ fast: read >> report; default: full >> report }", "",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyoco_like_tasks.py").write_text(MODULE)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_without_errors(name: str, folder: Path) -> None:
    graph, rest = FILES[name]
    lines = "\n".join(f"    {line}" for line in graph.split("\n"))
    text = (
        f"version: 1\n{TASKS}\n{rest}\nflow:\n"
        "  defaults: {path: x, mode: fast, other: slow, n: 2, items: [1, 2]}\n"
        f"  graph: |\n{lines}\nruntime:\n  expose_env: [HOME]\n"
    )
    loaded = parse_yaml(text, file="flow.yaml", folder=folder)
    errors = [found for found in loaded.findings if found.severity is Severity.ERROR]
    assert errors == []
    assert loaded.flow is not None


def test_a_task_may_use_another_task_of_the_file(folder: Path) -> None:
    text = """\
        version: 1
        tasks:
          base: {callable: "pyoco_like_tasks:report", inputs: {value: 1}, outputs: [scratch.a]}
          alias: {use: base, inputs: {value: 2}, outputs: [scratch.b]}
        flow: {graph: "base >> alias"}
        """
    loaded = parse_yaml(dedent(text), file="flow.yaml", folder=folder)
    assert loaded.findings == []
    assert loaded.flow is not None
    alias = loaded.flow.root.children[1]  # type: ignore[union-attr]
    assert alias.inputs == {"value": 2}  # type: ignore[union-attr]
    assert alias.outputs == ("scratch.a", "scratch.b")  # type: ignore[union-attr]
