"""Python operators: what they build, and that they leave their operands alone."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from types import SimpleNamespace
from typing import Any, assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import Flow, RunOptions
from tailrace.errors import DefinitionError, PolicyValidationError
from tailrace.flows.build import build_flow
from tailrace.flows.python import (
    Fragment,
    Task,
    as_node,
    foreach,
    repeat,
    route,
    subflow,
    switch,
    task,
    until,
)
from tailrace.model import (
    All,
    AnyOf,
    Case,
    Collect,
    ForEach,
    Graph,
    Isolation,
    Node,
    Policy,
    Repeat,
    Retry,
    Seq,
    SubFlow,
    Switch,
    TaskNode,
    Until,
)


@task
def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


def plain(x: Any) -> Any:
    return x


def step(name: str) -> Task[..., Any]:
    return task(plain).named(name)


a, b, c, d = (step(name) for name in "abcd")


def shape(node: Node | None) -> Any:
    """Return a tree as nested tuples."""
    match node:
        case None:
            return None
        case TaskNode():
            return node.name
        case Seq() | All() | AnyOf():
            return (type(node).__name__, *(shape(child) for child in node.children))
        case Graph():
            return ("Graph", *(shape(child) for child in node.nodes), node.edges)
        case Switch():
            cases = tuple((case.key, shape(case.body)) for case in node.cases)
            return ("Switch", node.name, node.on, cases, shape(node.default))
        case ForEach() | Repeat() | Until():
            return (type(node).__name__, node.name, shape(node.body))
        case SubFlow():
            return ("SubFlow", node.name)


def built(operand: Any) -> Any:
    return shape(build_flow(name="f", root=as_node(operand)).root)


def test_a_task_is_still_its_function() -> None:
    assert double(21) == 42
    assert_type(double(21), int)
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice as much."
    assert not hasattr(plain, "node")


def test_a_task_keeps_what_it_declares() -> None:
    policy = Policy(retry=Retry(max_attempts=2))

    @task(
        name="fetch-all",
        policy=policy,
        inputs={"url": "$params.url"},
        outputs=["scratch.raw"],
        isolation="process",
        checkpoint="pickle",
    )
    def fetch(url: str) -> str:
        return url

    assert fetch.node.name == "fetch-all"
    assert fetch.spec.policy == policy
    assert fetch.spec.inputs == {"url": "$params.url"}
    assert fetch.spec.outputs == ("scratch.raw",)
    assert fetch.spec.isolation is Isolation.PROCESS
    assert fetch.spec.checkpoint == "pickle"


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ({"isolation": "proces"}, "did you mean 'process'?"),
        ({"checkpoint": "json"}, "'json'"),
    ],
)
def test_an_unknown_word_is_refused_with_those_allowed(
    arguments: dict[str, Any], seen: str
) -> None:
    with pytest.raises(DefinitionError, match="allowed: auto") as raised:
        task(**arguments)
    assert seen in raised.value.message


def test_only_callables_become_tasks() -> None:
    with pytest.raises(DefinitionError, match="'fetch' cannot be made a task"):
        task("fetch")  # type: ignore[call-overload]  # on purpose


def test_copies_leave_the_task_as_it_was() -> None:
    policy = Policy(timeout="5s")
    copied = double.named("second").with_inputs(x=1).with_policy(policy).with_outputs("scratch.y")
    assert (copied.node.name, copied.node.policy, copied.node.outputs) == (
        "second",
        policy,
        ("scratch.y",),
    )
    assert copied.with_inputs(y=2).node.inputs == {"x": 1, "y": 2}
    assert copied.node.inputs == {"x": 1}
    assert (double.node.name, double.node.policy, double.node.inputs) == ("double", None, {})
    assert copied(4) == 8


def test_a_task_in_a_class_is_bound_to_its_instance() -> None:
    class Warehouse:
        def __init__(self, stock: int) -> None:
            self.stock = stock

        @task
        def take(self, count: int) -> int:
            return self.stock - count

    bound = Warehouse(10).take
    assert bound(3) == 7
    assert bound.spec.function(4) == 6
    assert isinstance(Warehouse.take, Task)


def test_a_task_is_pickled_by_name_like_a_function() -> None:
    assert pickle.loads(pickle.dumps(double)) is double  # noqa: S301 - written a moment ago
    assert copy.deepcopy(double) is double


def test_sequences_and_groups_are_flat_however_they_are_written() -> None:
    assert built(a >> b >> c) == built(a >> (b >> c)) == ("Seq", "a", "b", "c")
    assert built(a & b & c) == built(a & (b & c)) == ("All", "a", "b", "c")
    assert built(a | b | c) == built(a | (b | c)) == ("AnyOf", "a", "b", "c")
    assert built(a >> (b & (c >> d))) == ("Seq", "a", ("All", "b", ("Seq", "c", "d")))
    assert built(a & b | c) == ("AnyOf", ("All", "a", "b"), "c")


def test_lists_tuples_and_functions_stand_on_either_side() -> None:
    assert built([a, b] >> c) == ("Seq", ("All", "a", "b"), "c")
    assert built(a >> (b, c) >> d) == ("Seq", "a", ("All", "b", "c"), "d")
    assert built(plain >> a) == ("Seq", "plain", "a")
    assert built(plain & a) == ("All", "plain", "a")
    assert built(plain | a) == ("AnyOf", "plain", "a")
    assert built(a & [b, c]) == ("All", "a", "b", "c")
    assert built([a]) == "a"
    assert built(a >> len >> partial(plain)) == ("Seq", "a", "len", "plain")


def test_lambdas_get_numbered_names() -> None:
    flow = a >> (lambda x: x) >> (lambda x: x)
    names = built(flow)[2:]
    assert len(set(names)) == 2
    assert names[1] == f"{names[0]}_2"


def test_what_cannot_run_is_no_operand() -> None:
    with pytest.raises(DefinitionError, match="42 cannot be a node of a flow"):
        a >> 42
    with pytest.raises(DefinitionError, match="a group has no nodes"):
        built(a >> [])


def test_task_objects_of_pyoco_are_operands() -> None:
    inner = SimpleNamespace(
        func=plain,
        name="theirs",
        inputs={"x": "$params.n"},
        outputs=["scratch.x"],
        dependents=set(),
        retries=2,
        timeout_sec=5,
        fail_policy="isolate",
    )
    for operand in (inner, SimpleNamespace(task=inner)):
        root = build_flow(name="f", root=(a >> operand).node).root
        assert isinstance(root, Seq)
        node = root.children[1]
        assert isinstance(node, TaskNode)
        assert (node.name, node.inputs, node.outputs) == (
            "theirs",
            {"x": "$params.n"},
            ("scratch.x",),
        )
        policy = node.task.policy
        assert policy is not None
        assert (policy.retry.max_attempts, policy.timeout) == (2, 5)
        assert policy.on_error.action == "isolate"


def test_a_switch_has_cases_and_a_default() -> None:
    fragment = switch(
        "mode",
        {"fast": a, 2: b, True: c, "{{ params.other }}": d, "{{ 'x' }}": a},
        default=plain,
        name="pick",
    )
    node = fragment.node
    assert isinstance(node, Switch)
    assert (node.name, node.on) == ("pick", "params.mode")
    assert [(case.key, case.template) for case in node.cases] == [
        ("fast", False),
        (2, False),
        (True, False),
        ("params.other", True),
        ("x", False),
    ]
    assert node.default is not None
    with pytest.raises(DefinitionError, match="a case of switch"):
        switch("mode", {(1, 2): a})


def test_loops_take_expressions_literals_and_numbers() -> None:
    each = foreach("{{ params.items }}", item="it", index="i", concurrency=4, collect="flatten")(a)
    assert isinstance(each.node, ForEach)
    assert (each.node.over, each.node.item, each.node.index, each.node.concurrency) == (
        "params.items",
        "it",
        "i",
        4,
    )
    assert each.node.collect is Collect.FLATTEN
    assert as_over(foreach("items")(a)) == "params.items"
    assert as_over(foreach("$node.fetch.output")(a)) == "node.fetch.output"
    thrice = repeat(3)(a >> b)
    assert isinstance(thrice.node, Repeat)
    assert thrice.node.count == 3
    by_param = repeat("{{ params.n }}")(a)
    assert isinstance(by_param.node, Repeat)
    assert by_param.node.count == "params.n"
    poll = until("results.poll.done", max_iter=20)(a)
    assert isinstance(poll.node, Until)
    assert (poll.node.condition, poll.node.max_iterations, poll.node.collect) == (
        "results.poll.done",
        20,
        Collect.LAST,
    )


def as_over(fragment: Fragment) -> str:
    assert isinstance(fragment.node, ForEach)
    return fragment.node.over


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (lambda: foreach("items", collect="lst"), "did you mean 'list'?"),
        (lambda: foreach([object()]), "cannot be written into a flow"),
        (lambda: foreach([float("nan")]), "cannot be written into a flow"),
        (lambda: repeat(True), "no number of iterations"),
        (lambda: repeat(1.5), "no number of iterations"),  # type: ignore[arg-type]  # on purpose
        (lambda: (a >> b).named("x"), "a sequence cannot be named"),
    ],
)
def test_arguments_out_of_bounds_are_refused_where_they_are_written(make: Any, seen: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        make()
    assert seen in raised.value.message


def test_groups_can_be_named_and_then_stay_apart() -> None:
    inner = (b & c).named("pair")
    assert inner.node.name == "pair"  # type: ignore[union-attr]  # a group
    assert built(a & inner) == ("All", "a", ("All", "b", "c"))


def test_a_flow_is_a_node() -> None:
    inner = build_flow(name="inner", root=as_node(a))
    assert built(b >> inner) == ("Seq", "b", ("SubFlow", "inner"))
    assert built(b >> subflow(inner, inputs={"n": 1}, name="sub")) == (
        "Seq",
        "b",
        ("SubFlow", "sub"),
    )


def test_a_route_is_a_task_that_chooses() -> None:
    @task
    def pick(x: int) -> str:
        return "a" if x else "b"

    assert route(pick).spec.routes
    assert not pick.spec.routes
    assert route(plain, name="choose").node.name == "choose"


def test_containers_are_named_by_kind_in_definition_order() -> None:
    inner = foreach("items")(step("x") & step("y"))
    flow = build_flow(
        name="f",
        root=as_node(foreach("items")(inner >> step("all")) >> (a & b) >> (c | d)),
    )
    assert shape(flow.root)[1:3] == (
        ("ForEach", "foreach", ("Seq", ("ForEach", "foreach_2", ("All", "x", "y")), "all")),
        ("All", "a", "b"),
    )
    named = [node.name for node in iterate(flow.root) if isinstance(node, All | AnyOf)]
    assert named == ["all_2", "all_3", "any"]


def iterate(root: Node | None) -> list[Node]:
    from tailrace.flows.tree import walk

    return [] if root is None else list(walk(root))


def test_one_fragment_used_twice_gets_two_names() -> None:
    body = foreach("items")(a)
    flow = switch("mode", {"x": body, "y": body})
    _, _, _, cases, _ = built(flow)
    assert [case[1][1] for case in cases] == ["foreach", "foreach_2"]


def test_what_a_task_declares_and_what_a_node_declares_become_one() -> None:
    @task(inputs={"x": 1, "y": 2}, outputs=["ctx.scratch.raw"])
    def declared(x: int, y: int) -> int:
        return x + y

    node = build_flow(name="f", root=declared.with_inputs(y=3).node).root
    assert isinstance(node, TaskNode)
    assert node.inputs == {"x": 1, "y": 3}
    assert node.outputs == ("scratch.raw",)


operands = st.recursive(
    st.sampled_from([a, b, c, d]),
    lambda inner: st.builds(
        lambda op, left, right: op(left, right),
        st.sampled_from([lambda x, y: x >> y, lambda x, y: x & y, lambda x, y: x | y]),
        inner,
        inner,
    ),
    max_leaves=12,
)


@pytest.mark.no_cover
@given(operands, operands, operands)
def test_operators_are_associative(x: Any, y: Any, z: Any) -> None:
    assert built((x >> y) >> z) == built(x >> (y >> z))
    assert built((x & y) & z) == built(x & (y & z))
    assert built((x | y) | z) == built(x | (y | z))


@given(operands, operands)
def test_operators_never_change_their_operands(x: Any, y: Any) -> None:
    before = shape(x.node), shape(y.node)
    _ = x >> y, x & y, x | y, [x, y] >> x
    assert (shape(x.node), shape(y.node)) == before


@given(operands)
def test_the_canonical_form_is_a_fixpoint(x: Any) -> None:
    once = build_flow(name="f", root=as_node(x))
    assert shape(build_flow(name="f", root=once.root).root) == shape(once.root)
    for node in iterate(once.root):
        if isinstance(node, Seq | All | AnyOf):
            assert len(node.children) >= 2
            assert not any(type(child) is type(node) for child in node.children)


def test_a_policy_may_be_spelled_as_in_a_flow_file() -> None:
    spelled = {"timeout": "5s", "retry": {"max_attempts": 2}}
    made = Policy(timeout="5s", retry=Retry(max_attempts=2))
    one = task(lambda: 1, name="one", policy=spelled)
    assert one.spec.policy == made
    assert one.with_policy(spelled).node.policy == made
    assert Flow("f", one, policy=spelled).policy == made
    assert RunOptions(policy=spelled).policy == made  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"retry": {"max_atempts": 2}}, {"timeout": "soon"}, 3])
def test_what_spells_no_policy_is_refused_where_it_is_written(wrong: Any) -> None:
    with pytest.raises(PolicyValidationError):
        task(lambda: 1, name="one", policy=wrong)
    with pytest.raises(PolicyValidationError):
        Flow("f", task(lambda: 1, name="one"), policy=wrong)


def test_a_case_is_plain_data() -> None:
    assert Case(key="x", body=a.node).template is False
