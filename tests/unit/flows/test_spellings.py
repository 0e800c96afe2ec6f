"""One flow in Python operators, graph text and an edge list is one definition."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.flows.build import build_flow
from tailrace.flows.compile import compile_flow
from tailrace.flows.hash import definition_hash
from tailrace.flows.python import as_node, foreach, repeat, switch, task, until
from tailrace.flows.yaml_file import parse_yaml
from tailrace.model import Flow

Tree = Any
"""A task's number, or (operator, trees)."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("spellings")
    (made / "spelt_tasks.py").write_text(
        "def step(value=None):\n    return value\n", encoding="utf-8"
    )
    before = list(sys.path)
    sys.path.insert(0, str(made))
    yield made
    sys.path[:] = before
    del sys.modules["spelt_tasks"]


def numbered(tree: Tree) -> Tree:
    """Give the tasks of a tree the numbers 1, 2, … in definition order."""
    count = 0

    def walk(part: Tree) -> Tree:
        nonlocal count
        if part is None:
            count += 1
            return count
        return part[0], [walk(inner) for inner in part[1]]

    return walk(tree)


trees = st.recursive(
    st.none(),
    lambda inner: st.tuples(st.sampled_from([">>", "&"]), st.lists(inner, min_size=2, max_size=4)),
    max_leaves=14,
).map(numbered)


def in_python(tree: Tree, step: Any) -> Any:
    if isinstance(tree, int):
        return task(step).named(f"t{tree}")
    joined, *rest = [in_python(part, step) for part in tree[1]]
    for part in rest:
        joined = joined >> part if tree[0] == ">>" else joined & part
    return joined


def in_text(tree: Tree) -> str:
    if isinstance(tree, int):
        return f"t{tree}"
    return f"({f' {tree[0]} '.join(in_text(part) for part in tree[1])})"


def tasks_text(count: int) -> str:
    lines = [f"  t{number}: {{callable: 'spelt_tasks:step'}}" for number in range(1, count + 1)]
    return "\n".join(["version: 1", "tasks:", *lines, ""])


def loaded(text: str, folder: Path) -> Flow:
    found = parse_yaml(text, file="flow.yaml", folder=folder)
    assert [finding.message for finding in found.findings] == []
    assert found.flow is not None
    return found.flow


def by_operators(tree: Tree) -> Flow:
    from spelt_tasks import step  # type: ignore[import-not-found]  # the fixture has written it

    return build_flow(name="python", root=as_node(in_python(tree, step)))


@pytest.mark.no_cover
@given(tree=trees)
def test_operators_and_graph_text_give_one_hash(folder: Path, tree: Tree) -> None:
    spoken = by_operators(tree)
    count = len(compile_flow(spoken).scope.steps)
    written = loaded(f"{tasks_text(count)}flow:\n  graph: {in_text(tree)}\n", folder)
    assert definition_hash(written) == definition_hash(spoken)


@pytest.mark.no_cover
@given(tree=trees)
def test_an_edge_list_gives_the_same_hash(folder: Path, tree: Tree) -> None:
    spoken = by_operators(tree)
    steps = compile_flow(spoken).scope.steps
    nodes = [f"    - {each.name}" for each in steps]  # definition order is order of appearance
    edges = [
        f"    - {before.name} >> {steps[after].name}"
        for before in steps
        for after in before.successors
    ]
    lines = ["flow:", "  edges:", *nodes, *edges]
    written = loaded(tasks_text(len(steps)) + "\n".join(lines) + "\n", folder)
    assert definition_hash(written) == definition_hash(spoken)


def test_control_blocks_give_one_hash(folder: Path) -> None:
    from spelt_tasks import step

    t = [task(step).named(f"t{number}") for number in range(8)]
    spoken = build_flow(
        name="python",
        defaults={"mode": "x", "items": [], "n": 2},
        root=as_node(
            t[1]
            >> switch("mode", {"x": t[2], 2: t[3] >> t[4], True: t[4]}, default=t[5])
            >> foreach("items", item="it", index="i", concurrency=4, collect="flatten")(t[6])
            >> repeat("{{ params.n }}", collect="last")(until("results.t7", max_iter=9)(t[7]))
        ),
    )
    text = """\
flow:
  defaults: {mode: x, items: [], n: 2}
  graph: |
    t1
    >> switch(on=mode){ x: t2 ; 2: t3 >> t4 ; true: t4 ; default: t5 }
    >> foreach(over={{ params.items }}, item=it, index=i, collect=flatten, concurrency=4){ t6 }
    >> repeat(count=n, collect=last){ until(cond={{ results.t7 }}, max_iter=9){ t7 } }
"""
    assert definition_hash(loaded(tasks_text(7) + text, folder)) == definition_hash(spoken)
    changed = loaded(tasks_text(7) + text.replace("max_iter=9", "max_iter=8"), folder)
    assert definition_hash(changed) != definition_hash(spoken)
