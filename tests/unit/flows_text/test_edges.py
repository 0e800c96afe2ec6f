import time
from collections.abc import Callable
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.flows.edges import structure
from tailrace.flows.loaded import LoadedFlow
from tailrace.model import All, Graph, Node, Seq, TaskNode, TaskSpec

SPEC = TaskSpec(name="t", function=print, reference="builtins:print")


def nodes(count: int) -> list[Node]:
    return [TaskNode(name=str(number), task=SPEC) for number in range(count)]


def shown(node: Node) -> str:
    match node:
        case TaskNode():
            return node.name
        case Seq():
            return "(" + ">".join(map(shown, node.children)) + ")"
        case All():
            return "(" + "&".join(map(shown, node.children)) + ")"
        case Graph():
            return "graph"
        case _:
            raise AssertionError(node)


Shape = int | tuple[str, "Shape", "Shape"]


def laid_out(shape: Shape, count: int) -> tuple[list[int], list[int], set[tuple[int, int]], int]:
    """Return entries, exits and edges of a shape whose leaves are numbered from ``count``."""
    if isinstance(shape, int):
        return [count], [count], set(), count + 1
    kind, left, right = shape
    entries, exits, edges, count = laid_out(left, count)
    more_entries, more_exits, more_edges, count = laid_out(right, count)
    edges |= more_edges
    if kind == "seq":
        return entries, more_exits, edges | set(product(exits, more_entries)), count
    return entries + more_entries, exits + more_exits, edges, count


def edges_of(node: Node) -> tuple[list[int], list[int], set[tuple[int, int]]]:
    """Return entries, exits and edges of a tree, by the numbers that are its tasks' names."""
    if isinstance(node, TaskNode):
        return [int(node.name)], [int(node.name)], set()
    assert isinstance(node, Seq | All)
    parts = [edges_of(child) for child in node.children]
    edges = {edge for _, _, inner in parts for edge in inner}
    if isinstance(node, All):
        return (
            [entry for entries, _, _ in parts for entry in entries],
            [leave for _, exits, _ in parts for leave in exits],
            edges,
        )
    for (_, exits, _), (entries, _, _) in pairwise(parts):
        edges |= set(product(exits, entries))
    return parts[0][0], parts[-1][1], edges


SHAPES: st.SearchStrategy[Shape] = st.recursive(
    st.just(0),
    lambda inner: st.tuples(st.sampled_from(["seq", "all"]), inner, inner),
    max_leaves=15,
)


@given(SHAPES)
def test_a_nesting_is_found_again_from_its_edges(shape: Shape) -> None:
    _, _, edges, count = laid_out(shape, 0)
    found = structure(nodes(count), sorted(edges))
    assert not isinstance(found, Graph)
    assert edges_of(found)[2] == edges


@given(st.integers(1, 7), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_the_edges_of_any_graph_are_kept(count: int, pairs: set[tuple[int, int]]) -> None:
    edges = {(low, high) for low, high in pairs if low < high < count}
    found = structure(nodes(count), sorted(edges))
    if isinstance(found, Graph):
        assert set(found.edges) == edges
        assert len(found.nodes) == count
    else:
        assert edges_of(found)[2] == edges


@given(st.integers(1, 5), st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
def test_a_circle_stays_a_graph(count: int, pairs: set[tuple[int, int]]) -> None:
    edges = {(low % count, high % count) for low, high in pairs} | {(0, 0)}
    assert isinstance(structure(nodes(count), sorted(edges)), Graph)


@pytest.mark.parametrize(
    ("edges", "meaning"),
    [
        ([(0, 1), (1, 2), (2, 3)], "(0>1>2>3)"),
        ([(0, 1), (0, 2), (1, 3), (2, 3)], "(0>(1&2)>3)"),
        ([(0, 2), (0, 3), (1, 2), (1, 3)], "((0&1)>(2&3))"),
        ([(0, 1), (2, 3)], "((0>1)&(2>3))"),
        ([], "(0&1&2&3)"),
        ([(0, 2), (0, 3), (1, 3)], "graph"),
        ([(0, 1), (1, 2), (2, 3), (0, 3)], "graph"),
        ([(3, 2), (2, 1), (1, 0)], "(3>2>1>0)"),
    ],
)
def test_groups_keep_the_order_of_definition(edges: list[tuple[int, int]], meaning: str) -> None:
    assert shown(structure(nodes(4), edges)) == meaning


def test_long_chains_and_wide_fans_are_fast() -> None:
    start = time.thread_time()
    chain = structure(nodes(10_000), [(number, number + 1) for number in range(9_999)])
    fan = structure(
        nodes(1_002), [edge for at in range(1, 1_001) for edge in ((0, at), (at, 1_001))]
    )
    assert time.thread_time() - start < 30
    assert isinstance(chain, Seq)
    assert len(chain.children) == 10_000
    assert isinstance(fan, Seq)
    assert len(fan.children) == 3


Read = Callable[..., LoadedFlow]


def edge_flow(read_graph: Read, *chains: str, entry: str = "") -> LoadedFlow:
    rest = f"  entry: {entry}" if entry else ""
    return read_graph("\n".join(f"- {chain!r}" for chain in chains), key="edges:", rest=rest)


@pytest.mark.parametrize(
    ("chains", "graph"),
    [
        (["a >> b >> c"], "a >> b >> c"),
        (["a >> (b & c)", "(b & c) >> d"], "a >> (b & c) >> d"),
        (["a >> b", "a >> c", "b >> d", "c >> d"], "a >> (b & c) >> d"),
        (["a", "b"], "(a & b)"),
        (["a >> (b >> c & d)", "(c & d) >> e"], "a >> (b >> c & d) >> e"),
        (["x: a >> y: a", "y >> b"], "x: a >> y: a >> b"),
        (["a >> (b | c)", "(b | c) >> d"], "a >> (b | c) >> d"),
        (["a >> r: repeat(count=n){ b }", "r >> c"], "a >> r: repeat(count=n){ b } >> c"),
    ],
)
def test_edges_and_graph_text_are_the_same_flow(
    read_graph: Read, chains: list[str], graph: str
) -> None:
    from tailrace.flows.hash import definition_hash

    edges, text = edge_flow(read_graph, *chains), read_graph(graph)
    assert edges.flow is not None, edges.findings
    assert text.flow is not None, text.findings
    assert definition_hash(edges.flow) == definition_hash(text.flow)


def codes(loaded: LoadedFlow) -> list[str]:
    return [found.code for found in loaded.findings if found.severity == "error"]


def test_a_circle_of_edges_is_named(read_graph: Read) -> None:
    loaded = edge_flow(read_graph, "a >> b >> c", "c >> d >> b")
    assert codes(loaded) == ["TR132"]
    assert "b >> c >> d >> b" in loaded.findings[0].message
    assert loaded.flow is None


def test_what_no_edge_leads_to_is_reported(read_graph: Read) -> None:
    loaded = edge_flow(read_graph, "a >> b", "c >> d", entry="a")
    assert codes(loaded) == ["TR118", "TR118"]
    assert "'c'" in loaded.findings[0].message
    assert str(loaded.findings[0].where).startswith("flow.yaml:15:")


def test_several_entries_are_a_list(read_graph: Read) -> None:
    loaded = edge_flow(read_graph, "a >> c", "b >> c", entry="[a, b]")
    assert codes(loaded) == []


def test_an_entry_is_no_sequence(read_graph: Read) -> None:
    assert codes(edge_flow(read_graph, "a >> b", entry="a >> b")) == ["TR118"]


def test_one_name_for_two_tasks_is_refused(read_graph: Read) -> None:
    assert codes(edge_flow(read_graph, "n: a >> b", "n: c >> d")) == ["TR130"]


def test_a_graph_that_is_no_nesting_stays_a_graph(read_graph: Read) -> None:
    loaded = edge_flow(read_graph, "a >> c", "a >> d", "b >> d")
    assert loaded.flow is not None
    assert isinstance(loaded.flow.root, Graph)


def test_pipes_that_double_are_stopped(read_graph: Read) -> None:
    pipes = "\n".join(f"  p{n}: pipe(p{n + 1}) >> pipe(p{n + 1})" for n in range(40))
    rest = f"pipes:\n{pipes}\n  p40: a"
    start = time.thread_time()
    for key, graph in (("edges:", "- pipe(p0)"), ("graph: |", "pipe(p0)")):
        assert "TR126" in codes(read_graph(graph, key=key, rest=rest))
    assert time.thread_time() - start < 30


@pytest.mark.parametrize(
    ("chains", "graph"),
    [
        (
            [
                "a >> switch(on=mode){ x: b; default: c }",
                "switch(on=mode){ x: b; default: c } >> d",
            ],
            "a >> switch(on=mode){ x: b; default: c } >> d",
        ),
        (
            ["foreach(over=items){ a } >> b", "foreach(over=items){ a } >> c"],
            "foreach(over=items){ a } >> (b & c)",
        ),
        (["a >> g: (b & c)", "g >> d"], "a >> g: (b & c) >> d"),
        (["a >> (pipe(p) & d)", "c >> e", "d >> e"], "a >> (b >> c & d) >> e"),
        (["(pipe(p) | d) >> e", "e >> f"], "(b >> c | d) >> e >> f"),
    ],
)
def test_a_block_written_again_is_the_same_node(
    read_graph: Read, chains: list[str], graph: str
) -> None:
    from tailrace.flows.hash import definition_hash

    rest = "pipes: {p: b >> c}"
    edges = read_graph("\n".join(f"- {chain!r}" for chain in chains), key="edges:", rest=rest)
    text = read_graph(graph)
    assert codes(edges) == codes(text) == []
    assert edges.flow is not None
    assert text.flow is not None
    assert definition_hash(edges.flow) == definition_hash(text.flow)


@pytest.mark.parametrize(
    ("chain", "code"),
    [
        ("a >> pipe(q)", "TR124"),
        ("a >> nothing", "TR123"),
        ("a >> pipe(loop)", "TR125"),
        ("a >> switch(on={{ ) }}){ x: b }", "TR140"),
        ("n: a >> n: switch(on=mode){ x: b }", "TR130"),
    ],
)
def test_a_mistake_in_a_chain_is_reported(read_graph: Read, chain: str, code: str) -> None:
    loaded = read_graph(f"- {chain!r}", key="edges:", rest="pipes: {loop: pipe(loop)}")
    assert code in codes(loaded)
    assert loaded.flow is None


def test_pipes_may_be_nested_as_deep_as_before_and_no_deeper(read_graph: Read) -> None:
    for count, expected in ((127, []), (129, ["TR126"])):
        pipes = "\n".join(f"  p{n}: pipe(p{n + 1})" for n in range(count))
        rest = f"pipes:\n{pipes}\n  p{count}: a"
        assert codes(read_graph("pipe(p0)", rest=rest)) == expected
        assert codes(read_graph("- pipe(p0)", key="edges:", rest=rest)) == expected


@pytest.mark.no_cover
def test_the_deepest_nesting_allowed_needs_no_deep_stack(read_graph: Read) -> None:
    depth = 40
    pipes = "\n".join(f"  p{n}: '{'(b & ' * depth}pipe(p{n + 1}){')' * depth}'" for n in range(128))
    for key, graph in (("edges:", "- pipe(p0)"), ("graph: |", "pipe(p0)")):
        loaded = read_graph(graph, key=key, rest=f"pipes:\n{pipes}\n  p128: a")
        assert "TR126" in codes(loaded)
