"""Findings: everything that is wrong, each once, with a place and a way to mend it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.flows.build import build_flow
from tailrace.flows.check import check_flow, needs_param
from tailrace.flows.findings import Findings
from tailrace.flows.place import Place, Places, exclude, ordered, precedes
from tailrace.flows.python import Task, as_node, foreach, repeat, switch, task, until
from tailrace.model import Finding, Flow, Policy, Retry, Seq, Severity, SourceSpan, Switch


def plain(value: Any = None) -> Any:
    return value


def boom() -> Any:
    raise AssertionError("a check ran a task")


def step(name: str, **inputs: Any) -> Task[..., Any]:
    def use(value: Any = None, x: Any = None) -> Any:
        return value, x

    return task(use).named(name).with_inputs(**inputs)


a, b, c, d = (step(name) for name in "abcd")


def flow_of(root: Any, **fields: Any) -> Flow:
    handlers = {handler.node.name: handler.node for handler in fields.pop("handlers", ())}
    return build_flow(name="f", root=as_node(root), handlers=handlers, **fields)


def check(root: Any, **fields: Any) -> list[Finding]:
    return check_flow(flow_of(root, **fields))


def told(root: Any, **fields: Any) -> str:
    return "\n".join(
        f"{found.severity} {found.code} {found.message} | {found.hint}"
        for found in check(root, **fields)
    )


def test_a_sound_flow_has_no_findings_and_runs_nothing() -> None:
    loop = foreach("items", item="it", index="i")(step("inside", x="{{ it }} of {{ i }}"))
    fine = (
        task(boom)
        >> switch("mode", {"x": a, "y": step("y", x="$node.boom.output[0]")}, default=b)
        >> loop
        >> until("{{ results.poll.done or loop.index > 3 }}")(
            step("poll", x="{{ results.poll | default(0) }}")
        )
        >> step("last", x="{{ params.note | default('none') }} {{ results.inside }}")
    )
    assert check(fine, defaults={"mode": "x", "items": []}) == []


@pytest.mark.parametrize(
    ("template", "seen"),
    [
        (
            "{{ params.modee }}",
            "TR153 no param is named 'modee' (params: mode); did you mean 'mode'?",
        ),
        ("$params.other", "Pass it with --param other=…"),
        ("{{ results.second }}", "TR152 the node 'second' is not upstream"),
        ("$node.frist.output", "TR152 no node is named 'frist'"),
        ("{{ results.frist }}", "did you mean 'first'?"),
        ("{{ itme }}", "TR154 nothing is named 'itme'"),
        ("$env.TOKEN", "TR155 the environment variable 'TOKEN' is not exposed"),
        ("{{ loop.index }}", "TR156 'loop' is read outside of any loop"),
        ("{{ joins.nowhere.a }}", "TR152 no node is named 'nowhere'"),
        ("{{ 1 + }}", "TR14"),
    ],
)
def test_what_an_expression_cannot_read_is_found(template: str, seen: str) -> None:
    flow = step("first") >> step("middle", x=[{"deep": template}]) >> step("second")
    text = told(flow, defaults={"mode": 1})
    assert seen in text
    assert text.count("\n") == 0


@pytest.mark.parametrize(
    "template",
    [
        "{{ params.maybe | default(1) }}",
        "{{ params.maybe or 2 }}",
        "{{ params.maybe if 'maybe' in params else 3 }}",
        "{{ results.first.deep[0] }}",
        "$node.first.output",
        "{{ scratch.anything.at.all }}",
        "$env.HOME",
        "$payload.key",
        "a text with $5 in it",
    ],
)
def test_what_may_be_there_is_no_finding(template: str) -> None:
    assert check(step("first") >> step("second", x=template), expose_env=["HOME"]) == []


def test_every_place_that_holds_an_expression_is_checked() -> None:
    text = told(
        a
        >> switch("{{ results.s1 }}", {"{{ results.s2 }}": b}, default=c)
        >> foreach("{{ results.f1 }}", concurrency="{{ results.f2 }}")(d)
        >> repeat("{{ results.r1 }}")(step("e"))
        >> until("{{ results.u1 }}")(step("g"))
    )
    for name in ("s1", "s2", "f1", "f2", "r1", "u1"):
        assert f"no node is named {name!r}" in text


def test_a_loop_sees_its_earlier_iterations_and_until_its_own_body() -> None:
    body = step("early", x="{{ results.late }}") >> step("late")
    assert check(until("{{ results.late.done }}")(body)) == []
    assert check(repeat(3)(body)) == []
    assert "'late' is not upstream" in told(foreach([1])(body))
    assert "'late' is not upstream" in told(body)


def test_branches_of_one_switch_may_share_names() -> None:
    root = switch("mode", {"x": a >> b, "y": b}, default=b >> c)
    assert check(root, defaults={"mode": 1}) == []
    text = told(root >> b, defaults={"mode": 1})
    assert "TR130 the name 'b' is given to 4 nodes" in text
    assert 'b.named("b_2")' in text


def test_names_are_unique_across_scopes() -> None:
    assert "TR130" in told(a >> repeat(2)(a))
    assert "TR130" in told(a | a)
    assert "TR130" in told(a >> repeat(2, name="a")(b))
    assert "TR130" in told(a, handlers=[a])


@pytest.mark.parametrize("name", ["", "two words", "1st", "a.b", "a/b", "-a", "a-", "each[0]"])
def test_a_name_must_fit_into_paths_and_graph_text(name: str) -> None:
    flow = Flow(name="f", root=step("x").named(name).node)
    (found,) = [found for found in check_flow(flow) if found.code == "TR131"]
    assert repr(name) in found.message


@pytest.mark.parametrize("name", ["a", "_", "fetch-all", "要求", "x1", "été"])
def test_names_of_any_script_are_fine(name: str) -> None:
    assert check(step(name)) == []


@pytest.mark.parametrize(
    ("root", "seen"),
    [
        (switch("{{ 1 }}", {1: a}), "warning TR135 switch 'switch' has no default"),
        (switch("{{ 1 }}", {"default": a}), "is the text 'default'"),
        (switch("{{ 1 }}", {}), "error TR137 switch 'switch' has no cases"),
        (foreach([1], item="params")(a), "error TR158"),
        (foreach([1], item="ctx")(a), "error TR158"),
        (foreach([1], item="node")(a), "warning TR158"),
        (foreach([1], item="two words")(a), "error TR158"),
        (foreach([1], item="i", index="i")(a), "both named 'i'"),
        (foreach([1], concurrency=0)(a), "TR136 foreach.concurrency is 0; it must be 1 or more"),
        (repeat(-1)(a), "TR136 repeat.count is -1; it must be 0 or more"),
        (until("{{ results.a }}", max_iter=0)(a), "TR136 until.max_iter is 0"),
        (a.with_outputs("raw"), "TR138 'raw' is no place for the result of 'a'"),
        (a.with_outputs("scratch."), "TR138"),
    ],
)
def test_bounds_and_forms_are_checked(root: Any, seen: str) -> None:
    assert seen in told(root)


def test_a_handler_nothing_sends_to_is_a_warning() -> None:
    assert "warning TR139 'b' stands outside the graph" in told(a, handlers=[b])


def test_a_flow_runs_at_least_one_attempt_at_a_time() -> None:
    assert "TR136 max_parallel is 0; it must be 1 or more" in told(a, max_parallel=0)


def test_a_flow_without_nodes_is_a_warning() -> None:
    (found,) = check_flow(build_flow(name="f", root=None))
    assert (found.code, found.severity) == ("TR137", Severity.WARNING)


def test_policies_of_every_level_are_checked() -> None:
    wrong = Policy(retry=Retry(max_attempts=-1))
    flow = flow_of(task(policy=wrong)(plain) >> a, policy=wrong)
    paths = {
        found.subject.split(".retry")[0]
        for found in check_flow(flow, override=wrong)
        if found.code.startswith("TR17")
    }
    assert paths == {"flow.policy", "--policy", "tasks.plain.policy"}


def test_the_payload_is_known_where_several_nodes_join() -> None:
    joined = (a & b) >> step("join", x="{{ payload.a }}")
    assert check(joined) == []
    assert "has no 'c'" in told((a & b) >> step("join", x="{{ payload.c }}"))
    assert "TR157 there is no payload" in told(step("first", x="{{ payload.c }}"))


def test_params_the_run_gives_are_known() -> None:
    flow = flow_of(step("first", x="{{ params.given }}"))
    (found,) = check_flow(flow)
    assert needs_param(found)
    assert check_flow(flow, params=["given"]) == []


def test_findings_are_kept_once_and_sorted_by_place() -> None:
    findings = Findings()
    spans = [
        SourceSpan(file=file, line=line, column=1, end_line=line, end_column=2)
        for file, line in (("b", 1), ("a", 9), ("a", 2))
    ]
    findings.add("TR1", "nowhere")
    for span in (*spans, *spans):
        findings.add("TR1", "here", where=span)
    assert [str(found.where) for found in findings.sorted()] == ["a:2:1", "a:9:1", "b:1:1", "None"]


def test_a_finding_points_at_the_definition_of_the_function() -> None:
    @task
    def needy(rows: list[int]) -> list[int]:
        return rows

    (found,) = check(needy)
    assert found.where is not None
    assert found.where.text.strip() == "def needy(rows: list[int]) -> list[int]:"


node_trees = st.recursive(
    st.just("task"),
    lambda inner: st.tuples(
        st.sampled_from(["seq", "all", "switch", "repeat"]), st.lists(inner, min_size=2, max_size=3)
    ),
    max_leaves=12,
)


def grown(tree: Any, counter: list[int]) -> Any:
    if tree == "task":
        counter[0] += 1
        return step(f"t{counter[0]}")
    kind, inner = tree
    parts = [grown(part, counter) for part in inner]
    if kind == "switch":
        return switch("{{ 1 }}", dict(enumerate(parts)))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined & part if kind == "all" else joined >> part
    return repeat(2)(joined) if kind == "repeat" else joined


@given(node_trees)
def test_before_is_a_strict_order_and_agrees_with_a_plain_model(tree: Any) -> None:
    flow = flow_of(grown(tree, [0]))
    places = Places(flow.root)
    tasks = [place for place in places if place.name.startswith("t")]

    def ancestors(place: Place | None) -> list[Place]:
        found: list[Place] = []
        while place is not None:
            found.append(place)
            place = place.parent
        return found

    for one in tasks:
        assert not precedes(one, one)
        for two in tasks:
            shared = [p for p in ancestors(one) if p in ancestors(two)]
            branch = [
                next((p for p in ancestors(x) if p.parent is shared[0]), None) for x in (one, two)
            ]
            left, right = branch
            both = left is not None and right is not None and left is not right
            assert precedes(one, two) == bool(
                both
                and isinstance(shared[0].node, Seq)
                and left is not None
                and right is not None
                and left.position < right.position
            )
            assert exclude(one, two) == (both and isinstance(shared[0].node, Switch))
            if precedes(one, two):
                assert not precedes(two, one)


@given(st.integers(0, 8), st.data())
def test_an_order_respects_all_edges_or_there_is_a_circle(count: int, data: st.DataObject) -> None:
    numbers = st.integers(0, max(count - 1, 0))
    edges = data.draw(st.lists(st.tuples(numbers, numbers), max_size=12)) if count else []
    order = ordered(count, edges)
    reach = {(x, y) for x, y in edges}
    for _ in range(count):
        reach |= {(x, z) for x, y in reach for w, z in reach if y == w}
    assert (order is None) == any(x == y for x, y in reach)
    if order is not None:
        assert sorted(order) == list(range(count))
        assert all(order.index(x) < order.index(y) for x, y in edges)
