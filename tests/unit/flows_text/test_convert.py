import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.errors import DefinitionError
from tailrace.flows.build import build_flow
from tailrace.flows.discovery import resolve_callable
from tailrace.flows.expressions import canonical
from tailrace.flows.hash import definition_hash
from tailrace.flows.python_write import to_python
from tailrace.flows.yaml_file import parse_yaml
from tailrace.flows.yaml_write import flow_text, to_yaml
from tailrace.model import (
    All,
    AnyOf,
    Case,
    Collect,
    Flow,
    ForEach,
    Graph,
    Isolation,
    Node,
    OnError,
    Policy,
    Repeat,
    Retry,
    ScratchMerge,
    Seq,
    SubFlow,
    Switch,
    TaskNode,
    TaskSpec,
    Until,
)

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

FUNCTIONS = [
    resolve_callable(reference, folder=None, allow=None)
    for reference in ("textwrap:dedent", "textwrap:fill", "shlex:quote", "posixpath:basename")
]

names = st.sampled_from(["", "", "", "x", "y-1", "élan", "all", "all_2", "foreach", "default"])
words = st.sampled_from(["it", "row", "n"])
sources = st.sampled_from(
    ["params.n", "results.a.b[0]", "1 + 2", '{"a": {"b": 1}}', "it", "done", 'a ~ "}}"', "[1, 2]",
     'params["a b"] == "it\'s" and not x', "x if y else z"]
).filter(lambda source: "~" not in source).map(canonical)  # fmt: skip
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["yes", "on", "0o17", "1e3", ".inf", "null", "~", "2020-01-01", "a: b", "# c"]),
)
data = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("abc: -#", max_size=5), inner, max_size=3),
    ),
    max_leaves=6,
)
durations = st.sampled_from([0, 1.5, "250ms", "2h", 7])
retries = st.builds(
    lambda **given: Retry(**{key: value for key, value in given.items() if value is not None}),
    max_attempts=st.one_of(st.none(), st.integers(0, 5)),
    delay=st.one_of(st.none(), st.sampled_from(["200ms", 1])),
    mode=st.sampled_from([None, "fixed", "exponential"]),
    on=st.sampled_from([None, ["transient"], ["timeout", "unknown"]]),
)
policies = st.one_of(
    st.none(),
    st.builds(Policy, timeout=durations),
    st.builds(Policy, retry=retries, fail_fast=st.booleans()),
    st.builds(Policy, on_error=st.builds(OnError, action=st.just("continue"), value=data)),
)


FLOW_NAMES = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.strip).filter(bool)
)


@st.composite
def tasks(draw: st.DrawFn) -> TaskNode:
    function = draw(st.sampled_from(FUNCTIONS))
    spec = TaskSpec(
        name=draw(st.sampled_from(["t", "u", "default"])),
        function=function.function,
        reference=function.reference,
        isolation=draw(st.sampled_from([Isolation.AUTO, Isolation.AUTO, Isolation.PROCESS])),
        policy=draw(policies),
        checkpoint=draw(st.sampled_from(["auto", "auto", "none"])),
        routes=draw(st.booleans()),
        inputs=draw(st.dictionaries(st.sampled_from(["text", "width"]), scalars, max_size=1)),
    )
    return TaskNode(
        name="",
        task=spec,
        inputs=draw(st.dictionaries(st.sampled_from(["text", "a b"]), data, max_size=2)),
        outputs=draw(st.sampled_from([(), (), ("scratch.x",), ("ctx.scratch.y", "params.z")])),
        policy=draw(policies),
    )


keys = st.one_of(
    st.sampled_from(["fast", "true", "12", "default", "a b", 'q"\\', "{{", "\n", 1, -2, True, 1.5]),
    st.none(),
)


def containers(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    cases = st.lists(
        st.one_of(
            st.builds(Case, key=keys, body=inner),
            st.builds(Case, key=sources, body=inner, template=st.just(True)),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda case: (type(case.key), case.key, case.template),
    )
    counts = st.one_of(st.integers(0, 9), sources)
    collect = st.sampled_from(list(Collect))
    return st.one_of(
        st.builds(Seq, children=several),
        st.builds(All, children=several, name=names),
        st.builds(AnyOf, children=several, name=names),
        st.builds(
            Switch, name=names, on=sources, cases=cases.map(tuple), default=st.none() | inner
        ),
        st.builds(
            ForEach,
            name=names,
            over=sources,
            body=inner,
            item=st.none() | words,
            index=st.none() | words,
            collect=collect,
            concurrency=st.one_of(st.integers(1, 9), sources),
        ),
        st.builds(Repeat, name=names, count=counts, body=inner, collect=collect),
        st.builds(
            Until,
            name=names,
            condition=sources,
            body=inner,
            max_iterations=st.sampled_from([1000, 5]),
            collect=collect,
        ),
    )


trees = st.recursive(tasks(), containers, max_leaves=8)


def with_own_names(node: Node) -> Node:
    """Give each container that has a name one that nothing else has."""
    from msgspec.structs import replace

    from tailrace.flows.tree import fold, with_children

    taken: set[str] = set()

    def renamed(node: Node, parts: list[Node], number: int) -> Node:
        node = with_children(node, parts)
        name = getattr(node, "name", "")
        if isinstance(node, Seq | Graph) or not name:
            return node
        if name in taken:
            return replace(node, name=f"{name}_{number}x")
        taken.add(name)
        return node

    return fold(node, renamed)


@st.composite
def flows(draw: st.DrawFn, roots: st.SearchStrategy[Node] = trees) -> Flow:
    return build_flow(
        name=draw(FLOW_NAMES),
        root=with_own_names(draw(roots)),
        defaults=draw(st.dictionaries(st.sampled_from(["n", "items"]), data, max_size=2)),
        policy=draw(policies),
        max_parallel=draw(st.sampled_from([8, 1, 20])),
        expose_env=draw(st.sampled_from([(), ("A", "B")])),
        scratch_merge=draw(st.sampled_from(list(ScratchMerge))),
    )


def from_yaml(text: str) -> Flow:
    loaded = parse_yaml(text, file="x.yaml")
    assert loaded.flow is not None, (loaded.findings, text)
    return loaded.flow


def from_python(text: str) -> Flow:
    space: dict[str, Any] = {}
    exec(text, space)  # noqa: S102 - the source was made by the code under test
    flow = space["flow"]
    assert isinstance(flow, Flow)
    return flow


quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=times(20))


@pytest.mark.no_cover
@given(flows())
@quick
def test_graph_text_gives_the_same_flow(flow: Flow) -> None:
    text = to_yaml(flow)
    again = from_yaml(text)
    assert definition_hash(again) == definition_hash(flow), text
    assert to_yaml(again) == text


@given(flows())
@quick
def test_an_edge_list_gives_the_same_flow(flow: Flow) -> None:
    text = to_yaml(flow, form="edges")
    assert definition_hash(from_yaml(text)) == definition_hash(flow), text


@pytest.mark.no_cover
@given(flows())
@quick
def test_python_source_gives_the_same_flow(flow: Flow) -> None:
    text = to_python(flow)
    assert definition_hash(from_python(text)) == definition_hash(flow), text


@st.composite
def graphs(draw: st.DrawFn) -> Node:
    nodes = draw(st.lists(st.one_of(tasks(), trees), min_size=2, max_size=5))
    pairs = draw(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
    edges = tuple(sorted((low, high) for low, high in pairs if low < high < len(nodes)))
    return Graph(nodes=tuple(nodes), edges=edges)


@pytest.mark.no_cover
@given(flows(graphs()))
@quick
def test_general_graphs_are_kept_as_edges_and_in_python(flow: Flow) -> None:
    for again in (from_yaml(to_yaml(flow, form="edges")), from_python(to_python(flow))):
        assert definition_hash(again) == definition_hash(flow)


@given(data)
@quick
def test_data_written_as_yaml_is_read_as_the_same_data(value: Any) -> None:
    from tailrace.flows.findings import Findings
    from tailrace.flows.passage import SourceFile
    from tailrace.flows.yaml_text import plain, read_yaml

    findings = Findings()
    tree = read_yaml(SourceFile("f", f"a: {flow_text(value)}"), findings)
    assert findings.sorted() == []
    assert tree is not None
    assert repr(plain(tree)) == repr({"a": value})


def task(name: str) -> TaskNode:
    return TaskNode(name=name, task=FUNCTIONS[0])


def test_sub_flows_are_kept_in_python_and_refused_in_a_flow_file() -> None:
    inner = build_flow(name="inner", root=Seq(children=(task("a"), task("b"))))
    root = Seq(children=(task("a"), SubFlow(name="", flow=inner, inputs={"x": [1]})))
    flow = build_flow(name="outer", root=root)
    assert definition_hash(from_python(to_python(flow))) == definition_hash(flow)
    with pytest.raises(DefinitionError, match="sub-flow") as caught:
        to_yaml(flow)
    assert caught.value.code == "TR004"


@pytest.mark.no_cover
def test_a_long_chain_is_python_that_compiles() -> None:
    chain = Seq(children=tuple(task(f"n{number}") for number in range(5000)))
    flow = build_flow(name="long", root=chain)
    assert definition_hash(from_python(to_python(flow))) == definition_hash(flow)


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (build_flow(name="x", root=None), "no nodes"),
        (
            build_flow(
                name="x",
                root=TaskNode(
                    name="a", task=TaskSpec(name="a", function=print, reference="<lambda m>")
                ),
            ),
            "no file can name",
        ),
        (build_flow(name="x", root=task("a"), defaults={"d": {1, 2}}), "cannot be written"),
        (build_flow(name="x\ud800", root=task("a")), "half a character"),
    ],
)
def test_what_no_file_can_say_is_refused(flow: Flow, words: str) -> None:
    with pytest.raises(DefinitionError, match=words) as caught:
        to_yaml(flow)
    assert caught.value.code == "TR004"


def test_a_general_graph_is_refused_as_graph_text() -> None:
    nodes = tuple(map(task, "abcd"))
    flow = build_flow(name="g", root=Graph(nodes=nodes, edges=((0, 2), (0, 3), (1, 3))))
    with pytest.raises(DefinitionError, match="graph text"):
        to_yaml(flow)


def test_a_tree_too_deep_for_a_file_is_refused() -> None:
    node: Node = task("a")
    for number in range(60):
        node = Repeat(name=f"r{number}", count=1, body=node)
    with pytest.raises(DefinitionError, match="nested"):
        to_yaml(build_flow(name="deep", root=node))


def test_functions_of_a_users_module_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "convert_user_tasks.py").write_text("def one(x=1): return x\ndef two(): return 2\n")
    text = """\
version: 1
name: mine
tasks:
  one:
    callable: convert_user_tasks:one
    inputs:
      x: "{{ params.x }}"
  two:
    callable: convert_user_tasks:two
flow:
  defaults:
    x: 1
  graph: |
    one
    >> again: two
    >> two
"""
    loaded = parse_yaml(text, file="f.yaml", folder=tmp_path)
    assert loaded.findings == []
    assert loaded.flow is not None
    assert to_yaml(loaded.flow) == text
    source = to_python(loaded.flow)
    assert 'two.named("again")' in source
    assert "convert_user_tasks" in sys.modules
    assert definition_hash(from_python(source)) == definition_hash(loaded.flow)


def test_branches_may_give_one_name_to_two_tasks() -> None:
    other = TaskNode(name="a", task=FUNCTIONS[1])
    cases = (Case(key="x", body=task("a")), Case(key="y", body=other))
    flow = build_flow(name="f", root=Switch(name="", on="params.m", cases=cases, default=task("b")))
    for form in ("graph", "edges"):
        again = from_yaml(to_yaml(flow, form=form))
        assert definition_hash(again) == definition_hash(flow)
    assert definition_hash(from_python(to_python(flow))) == definition_hash(flow)


def test_variables_never_hide_what_the_module_needs() -> None:
    hard = ["class", "task", "Flow", "textwrap", "flow", "a-b", "a_b", "part", "float"]
    nodes = (TaskNode(name=name, task=FUNCTIONS[0], inputs={"text": name}) for name in hard)
    root = Seq(children=tuple(nodes))
    flow = build_flow(name="f", root=root, defaults={"x": float("inf"), "y": (1, (2,))})
    source = to_python(flow)
    assert definition_hash(from_python(source)) == definition_hash(flow)


def test_a_switch_whose_keys_python_takes_for_one_keeps_both() -> None:
    cases = (Case(key=1, body=task("a")), Case(key=True, body=task("b")))
    flow = build_flow(name="f", root=Switch(name="", on="params.m", cases=cases, default=task("c")))
    assert definition_hash(from_python(to_python(flow))) == definition_hash(flow)


def test_only_two_forms_of_a_file_are_known() -> None:
    with pytest.raises(DefinitionError, match="allowed: graph, edges"):
        to_yaml(build_flow(name="f", root=task("a")), form="json")


def test_handlers_are_kept_under_their_names() -> None:
    policy = Policy(on_error=OnError(action="goto", target="b"))
    root = Seq(children=(TaskNode(name="a", task=FUNCTIONS[0], policy=policy), task("c")))
    flow = build_flow(name="f", root=root, handlers={"b": task("b")})
    assert list(from_yaml(to_yaml(flow)).handlers) == ["b"]
    for again in (from_yaml(to_yaml(flow)), from_python(to_python(flow))):
        assert definition_hash(again) == definition_hash(flow)
