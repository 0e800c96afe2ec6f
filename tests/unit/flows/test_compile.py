"""Plans: steps, edges, groups, policies, on_error targets."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import DefinitionError
from tailrace.flows.build import build_flow
from tailrace.flows.compile import compile_flow
from tailrace.flows.python import Task, as_node, foreach, repeat, subflow, switch, task, until
from tailrace.model import (
    AnyStep,
    Flow,
    FlowPlan,
    ForEachStep,
    Graph,
    Isolation,
    OnError,
    Policy,
    RepeatStep,
    Retry,
    ScopePlan,
    SubFlowStep,
    SwitchStep,
    TaskStep,
    UntilStep,
)


def plain(value: Any = None) -> Any:
    return value


@task(isolation="process")
def far(value: Any = None) -> Any:
    return value


def step(name: str) -> Task[..., Any]:
    return task(plain).named(name)


a, b, c, d, e = (step(name) for name in "abcde")


def flow_of(root: Any, **fields: Any) -> Flow:
    handlers = {handler.node.name: handler.node for handler in fields.pop("handlers", ())}
    return build_flow(name="f", root=as_node(root), handlers=handlers, **fields)


def plan_of(root: Any, **fields: Any) -> FlowPlan:
    return compile_flow(flow_of(root, **fields))


def refusal(root: Any, **fields: Any) -> str:
    with pytest.raises(DefinitionError) as raised:
        plan_of(root, **fields)
    return "\n".join(f"{found.code} {found.message}" for found in raised.value.findings)


def edges(scope: ScopePlan) -> set[tuple[str, str]]:
    names = [step.name for step in scope.steps]
    return {(names[i], names[s.index]) for s in scope.steps for i in s.predecessors}


def task_step(plan: FlowPlan, name: str) -> TaskStep:
    return next(s for s in plan.scope.steps if isinstance(s, TaskStep) and s.name == name)


def test_an_empty_flow_has_an_empty_plan() -> None:
    plan = compile_flow(build_flow(name="f", root=None))
    assert (plan.scope.steps, plan.scope.entries, plan.scope.exits) == ((), (), ())


def test_sequences_and_groups_dissolve_into_edges() -> None:
    scope = plan_of(a >> (b & (c >> d)) >> e).scope
    assert [s.name for s in scope.steps] == ["a", "b", "c", "d", "e"]
    assert edges(scope) == {("a", "b"), ("a", "c"), ("c", "d"), ("b", "e"), ("d", "e")}
    assert (scope.entries, scope.exits) == ((0,), (4,))


def test_a_group_keeps_its_members_and_its_parent() -> None:
    scope = plan_of(a & (b >> (c & d)) & e).scope
    outer, inner = scope.groups
    assert (outer.name, outer.members, outer.parent) == ("all", (0, 1, 2, 3, 4), None)
    assert (inner.name, inner.members, inner.parent) == ("all_2", (2, 3), 0)
    assert [s.group for s in scope.steps] == [0, 0, 1, 1, 0]
    assert (scope.entries, scope.exits) == ((0, 1, 4), (0, 2, 3, 4))


def test_two_groups_in_a_row_join_each_with_each() -> None:
    scope = plan_of((a & b) >> (c & d)).scope
    assert edges(scope) == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}


def test_a_general_graph_keeps_its_edges() -> None:
    node = Graph(
        nodes=tuple(as_node(operand) for operand in (a, b, (c & d).named("pair"), e)),
        edges=((0, 2), (1, 2), (1, 3), (2, 3)),
    )
    flow = Flow(name="f", root=node)
    scope = compile_flow(flow).scope
    assert [s.name for s in scope.steps] == ["a", "b", "c", "d", "e"]
    assert edges(scope) == {
        ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("b", "e"), ("c", "e"), ("d", "e"),
    }  # fmt: skip
    assert (scope.entries, scope.exits) == ((0, 1), (4,))


def test_a_circle_is_refused() -> None:
    node = Graph(nodes=(a.node, b.node), edges=((0, 1), (1, 0)))
    with pytest.raises(DefinitionError, match="runs in a circle") as raised:
        compile_flow(Flow(name="f", root=node))
    assert raised.value.code == "TR132"


def test_every_kind_of_container_becomes_a_step_with_scopes() -> None:
    inner = flow_of(step("inside"))
    plan = plan_of(
        a
        >> switch("mode", {"x": b, True: c, None: d, "{{ params.key }}": e}, default=step("s"))
        >> foreach("items", item="it", index="i", collect="last", concurrency="{{ params.n }}")(
            step("g")
        )
        >> repeat("{{ params.n }}", collect="first")(step("h"))
        >> until("{{ results.j }}", max_iter=7)(step("j"))
        >> (step("k") >> step("l") | repeat(2, name="m")(step("n")))
        >> subflow(inner, inputs={"n": 1}, name="sub"),
        defaults={"mode": "x", "key": "k", "items": [], "n": 1},
    )
    by_kind = {type(s): s for s in plan.scope.steps}
    chosen, each, times, poll, race, sub = (
        by_kind[kind]
        for kind in (SwitchStep, ForEachStep, RepeatStep, UntilStep, AnyStep, SubFlowStep)
    )
    assert isinstance(chosen, SwitchStep)
    assert [case.label for case in chosen.cases] == ["x", "true", "null", "params.key"]
    assert [case.body.steps[0].name for case in chosen.cases] == ["b", "c", "d", "e"]
    assert [hasattr(case.key, "evaluate") for case in chosen.cases] == [False, False, False, True]
    assert chosen.default is not None
    assert chosen.default.steps[0].name == "s"
    assert isinstance(each, ForEachStep)
    assert (each.item, each.index_name, each.collect.value) == ("it", "i", "last")
    assert each.over.source == "params.items"
    assert not isinstance(each.concurrency, int)
    assert isinstance(times, RepeatStep)
    assert not isinstance(times.count, int)
    assert isinstance(poll, UntilStep)
    assert (poll.condition.source, poll.max_iterations) == ("results.j", 7)
    assert isinstance(race, AnyStep)
    assert race.labels == ("k", "m")
    assert [s.name for s in race.branches[0].steps] == ["k", "l"]
    assert isinstance(sub, SubFlowStep)
    assert sub.flow.scope.steps[0].name == "inside"


def test_the_node_overrules_the_command_line_and_that_the_flow() -> None:
    @task(policy=Policy(timeout="3s", retry=Retry(max_attempts=3, delay="1s")))
    def tried(value: Any = None) -> Any:
        return value

    plan = compile_flow(
        flow_of(
            tried.with_policy(Policy(retry=Retry(max_attempts=4))) >> a,
            policy=Policy(timeout="1s", fail_fast=False, total_timeout="9s"),
        ),
        override=Policy(timeout="2s", retry=Retry(max_attempts=2), fail_fast=True),
    )
    own = task_step(plan, "tried").policy
    assert (own.timeout, own.retry.max_attempts, own.retry.delay) == (3.0, 4, 1.0)
    assert (own.total_timeout, own.fail_fast) == (9.0, True)
    plain_policy = task_step(plan, "a").policy
    assert (plain_policy.timeout, plain_policy.retry.max_attempts) == (2.0, 2)
    assert plan.policy.fail_fast is True


def test_the_command_line_reaches_into_nested_flows() -> None:
    inner = flow_of(b, policy=Policy(timeout="1s"))
    plan = compile_flow(flow_of(a >> subflow(inner, name="sub")), override=Policy(timeout="2s"))
    nested = plan.scope.steps[1]
    assert isinstance(nested, SubFlowStep)
    assert task_step(nested.flow, "b").policy.timeout == 2.0


def on_error(action: str, target: str | None = None, rejoin: str | None = None) -> Policy:
    given = {"target": target, "rejoin": rejoin}
    return Policy(on_error=OnError(action, **{k: v for k, v in given.items() if v is not None}))


def test_a_goto_goes_forward_in_the_graph() -> None:
    plan = plan_of(a.with_policy(on_error("goto", "c")) >> b >> c)
    assert task_step(plan, "a").handler == 2
    assert not any(s.dormant for s in plan.scope.steps)


def test_a_target_outside_the_graph_becomes_a_dormant_step() -> None:
    plan = plan_of(
        a
        >> b.with_policy(on_error("fallback", "mend"))
        >> c.with_policy(on_error("goto", "mend", rejoin="d"))
        >> d,
        handlers=[step("mend")],
    )
    mend = task_step(plan, "mend")
    assert (mend.index, mend.dormant, mend.predecessors, mend.successors) == (4, True, (), ())
    assert (task_step(plan, "b").handler, task_step(plan, "b").rejoin) == (4, None)
    assert (task_step(plan, "c").handler, task_step(plan, "c").rejoin) == (4, 3)
    assert (plan.scope.entries, plan.scope.exits) == ((0,), (3,))


def test_each_scope_has_its_own_dormant_step() -> None:
    failing = on_error("fallback", "mend")
    plan = plan_of(
        a.with_policy(failing) >> repeat(2)(b.with_policy(failing)), handlers=[step("mend")]
    )
    loop = plan.scope.steps[1]
    assert isinstance(loop, RepeatStep)
    assert [s.name for s in loop.body.steps] == ["b", "mend"]
    assert [s.name for s in plan.scope.steps] == ["a", "repeat", "mend"]


def test_a_handler_gets_what_the_failed_node_would_have_got() -> None:
    def mend(rows: Any, seen: Any, a: Any) -> Any:
        return rows, seen, a

    plan = plan_of(
        a >> b.with_policy(on_error("fallback", "mend")),
        handlers=[task(mend)],
        defaults={"seen": 1},
    )
    kinds = [type(b.source).__name__ for b in task_step(plan, "mend").bindings]
    assert kinds == ["FromPayload", "FromParam", "FromResult"]
    alone = b.with_policy(on_error("fallback", "mend"))
    assert "nothing provides it" in refusal(alone, handlers=[task(mend)], defaults={"seen": 1})


@pytest.mark.parametrize(
    ("root", "seen"),
    [
        (
            a >> b.with_policy(on_error("goto", "a")),
            "TR134 the on_error target 'a' of 'b' does not",
        ),
        (a & b.with_policy(on_error("goto", "a")), "TR134"),
        (a >> b.with_policy(on_error("goto", "b")), "TR134"),
        (a.with_policy(on_error("goto", "mned")) >> b, "did you mean 'mend'?"),
        (a.with_policy(on_error("goto", "c")) >> repeat(2)(c), "TR133"),
        (a.with_policy(on_error("fallback", "b")) >> b, "is itself a node of the graph"),
        (a >> b.with_policy(on_error("goto", "mend", "a")), "TR134 the on_error rejoin 'a'"),
    ],
)
def test_a_target_must_be_reachable_and_ahead(root: Any, seen: str) -> None:
    assert seen in refusal(root, handlers=[step("mend")])


def test_handlers_that_send_to_one_another_in_a_circle_are_refused() -> None:
    one, two = (
        step(name).with_policy(on_error("goto", target))
        for name, target in (("one", "two"), ("two", "one"))
    )
    root = a.with_policy(on_error("goto", "one"))
    assert "TR134 on_error targets send to one another" in refusal(root, handlers=[one, two])


def test_a_process_needs_a_function_that_can_be_imported() -> None:
    def hidden(value: Any = None) -> Any:
        return value

    assert "TR159" in refusal(task(isolation="process")(hidden))
    plan = plan_of(far)
    spec = task_step(plan, "far").task
    assert spec.isolation is Isolation.PROCESS
    assert spec.function is far  # the decorated name is what a child process can import


def test_all_errors_are_raised_together() -> None:
    def needs(x: int) -> int:
        return x

    with pytest.raises(DefinitionError, match=r"\(and 2 more\)") as raised:
        plan_of(task(needs) >> b.with_policy(on_error("goto", "nowhere")) >> b)
    assert {found.code for found in raised.value.findings} == {"TR130", "TR133", "TR150"}


@pytest.mark.no_cover
def test_wide_fans_compile_in_linear_time() -> None:
    def seconds(count: int) -> float:
        fan = flow_of(a >> [step(f"n{index}") for index in range(count)] >> b)
        started = time.thread_time()
        compile_flow(fan)
        return time.thread_time() - started

    seconds(100)
    assert seconds(4000) < 16 * 5 * max(seconds(250), 1e-3)  # quadratic would be 16 times 16


@pytest.mark.no_cover
def test_a_chain_of_ten_thousand_nodes_needs_no_recursion() -> None:
    chain: Any = a
    for index in range(10_000):
        chain = chain >> step(f"n{index}")
    scope = plan_of(chain).scope
    assert len(scope.steps) == 10_001
    assert all(after.predecessors == (before.index,) for before, after in pairwise(scope.steps))


@pytest.mark.no_cover
def test_deep_nesting_needs_no_recursion() -> None:
    nested: Any = a
    for index in range(2_000):
        nested = step(f"x{index}") & (step(f"y{index}") >> nested)
    scope = plan_of(nested).scope
    assert len(scope.steps) == 4_001
    assert len(scope.groups) == 2_000


def test_wide_groups_in_a_row_share_their_edges() -> None:
    wide = [step(f"x{index}") for index in range(300)]
    scope = plan_of(wide >> (step("y0") & [step(f"y{index}") for index in range(1, 300)])).scope
    assert len({id(s.predecessors) for s in scope.steps[300:]}) == 1
    assert len({id(s.successors) for s in scope.steps[:300]}) == 1


class Names:
    """Fresh tasks, so that random trees have unique names."""

    def __init__(self) -> None:
        self.count = 0

    def fresh(self) -> Task[..., Any]:
        self.count += 1
        return step(f"t{self.count}")


trees = st.recursive(
    st.just("task"),
    lambda inner: st.tuples(
        st.sampled_from(["seq", "all", "any", "foreach", "repeat", "until", "switch"]),
        st.lists(inner, min_size=1, max_size=4),
    ),
    max_leaves=25,
)


def grown(tree: Any, names: Names) -> Any:
    if tree == "task":
        return names.fresh()
    kind, inner = tree
    parts = [grown(part, names) for part in inner]
    chained = parts[0]
    for part in parts[1:]:
        match kind:
            case "all":
                chained = chained & part
            case "any":
                chained = chained | part
            case _:
                chained = chained >> part
    match kind:
        case "foreach":
            return foreach([1, 2], item="it")(chained)
        case "repeat":
            return repeat(2)(chained)
        case "until":
            return until("{{ true }}")(chained)
        case "switch":
            return switch("{{ 1 }}", dict(enumerate(parts)))
        case _:
            return chained


def scopes_of(scope: ScopePlan) -> list[ScopePlan]:
    found = [scope]
    for inner in scope.steps:
        bodies = [getattr(inner, "body", None), getattr(inner, "default", None)]
        bodies += [case.body for case in getattr(inner, "cases", ())]
        bodies += getattr(inner, "branches", ())
        for body in bodies:
            if body is not None:
                found += scopes_of(body)
    return found


@pytest.mark.no_cover
@given(trees)
def test_a_plan_of_any_tree_holds_together(tree: Any) -> None:
    names = Names()
    plan = plan_of(grown(tree, names))
    scopes = scopes_of(plan.scope)
    tasks = [s.name for scope in scopes for s in scope.steps if isinstance(s, TaskStep)]
    assert sorted(tasks) == sorted(f"t{n}" for n in range(1, names.count + 1))
    for scope in scopes:
        steps = scope.steps
        assert [s.index for s in steps] == list(range(len(steps)))
        for s in steps:
            assert list(s.predecessors) == sorted(set(s.predecessors))
            assert all(before < s.index for before in s.predecessors)
            assert all(s.index in steps[before].successors for before in s.predecessors)
            assert all(s.index in steps[after].predecessors for after in s.successors)
        assert scope.entries == tuple(s.index for s in steps if not s.predecessors)
        assert scope.exits == tuple(s.index for s in steps if not s.successors)
        for position, group in enumerate(scope.groups):
            assert group.parent is None or group.parent < position
            own = {s.index for s in steps if s.group == position}
            assert own <= set(group.members)
        in_order = [s.name for s in steps if isinstance(s, TaskStep)]
        assert in_order == sorted(in_order, key=lambda name: int(name[1:]))


@given(st.integers(1, 9), st.data())
def test_a_graph_keeps_exactly_its_edges(count: int, data: st.DataObject) -> None:
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    order = data.draw(st.permutations(range(count)))
    given_edges = tuple((order[i], order[j]) for i, j in chosen)
    nodes = tuple(step(f"n{i}").node for i in range(count))
    scope = compile_flow(Flow(name="f", root=Graph(nodes=nodes, edges=given_edges))).scope
    assert edges(scope) == {(f"n{i}", f"n{j}") for i, j in given_edges}
