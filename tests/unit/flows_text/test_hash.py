from collections.abc import Callable
from typing import Any

import pytest

from tailrace.flows.build import build_flow
from tailrace.flows.hash import definition_hash
from tailrace.flows.loaded import LoadedFlow
from tailrace.flows.python import foreach, switch, task
from tailrace.model import Flow, OnError, Policy, Retry, ScratchMerge, TaskNode

Read = Callable[..., LoadedFlow]


def extract(source: str = "x") -> str:
    return source


def clean(extract: Any = None) -> Any:
    return extract


def load(value: Any = None) -> Any:
    return value


def in_python() -> Flow:
    made = task(extract, name="extract", policy=Policy(timeout="5s"), inputs={"source": "a"})
    body = made >> (clean & task(load).named("enrich")) >> load
    return build_flow(name="p", root=body.node, defaults={"n": 1}, policy=Policy(fail_fast=True))


def in_yaml(read: Read, structure: str) -> Flow:
    loaded = read(
        f"""\
version: 1
name: another
tasks:
  extract:
    callable: {__name__}:extract
    inputs: {{source: a}}
    policy: {{timeout: 5000ms}}
  clean: {{callable: "{__name__}:clean"}}
  load: {{callable: "{__name__}:load"}}
flow:
  defaults: {{n: 1}}
  policy: {{fail_fast: true}}
  {structure}
"""
    )
    assert loaded.flow is not None, loaded.findings
    return loaded.flow


def test_three_spellings_of_one_flow_have_one_hash(read: Read) -> None:
    graph = in_yaml(read, 'graph: "extract >> (clean & enrich: load) >> load"')
    chains = "['extract >> (clean & enrich: load)', '(clean & enrich) >> load']"
    edges = in_yaml(read, f"entry: extract\n  edges: {chains}")
    assert definition_hash(in_python()) == definition_hash(graph) == definition_hash(edges)


def test_the_hash_is_a_sha256() -> None:
    assert len(bytes.fromhex(definition_hash(in_python()))) == 32


def test_the_hash_that_stored_runs_carry_stays_what_it_is(read: Read) -> None:
    loaded = read(
        """\
version: 1
name: kept
tasks:
  mean:
    callable: statistics:mean
    inputs: {data: "{{ params.numbers }}"}
    policy: {timeout: 5s, retry: {max_attempts: 2, delay: 1s, on: [transient]}}
  show: {callable: "json:dumps", inputs: {obj: "{{ results.mean }}"}, outputs: [text]}
flow:
  defaults: {numbers: [1, 2.5], names: {a: null}}
  policy: {fail_fast: false}
  graph: "mean >> show"
"""
    )
    assert loaded.flow is not None, loaded.findings
    assert (
        definition_hash(loaded.flow)
        == "fd8d3ea08e8c0c01dd81112975dfe57988170b866b5c37797346f9772c392b75"
    )


def node(**given: Any) -> TaskNode:
    policy = given.pop("policy", None)
    made = task(extract, **given)
    return (made if policy is None else made.with_policy(policy)).node


def flow(body: Any, **given: Any) -> Flow:
    return build_flow(name="f", root=getattr(body, "node", body), **given)


DIFFERENT = [
    flow(node()),
    flow(node(name="other")),
    flow(task(clean).named("extract")),
    flow(node(inputs={"source": 1})),
    flow(node(inputs={"source": 1.0})),
    flow(node(inputs={"source": True})),
    flow(node(inputs={"source": "1"})),
    flow(node(inputs={"source": [1]})),
    flow(node(inputs={"source": {"a": 1}})),
    flow(node(inputs={"source": {1: 1}})),
    flow(node(inputs={"source": {"1": 1}})),
    flow(node(outputs="scratch.x")),
    flow(node(isolation="thread")),
    flow(node(checkpoint="none")),
    flow(node(policy=Policy(timeout=5))),
    flow(node(policy=Policy(timeout=0))),
    flow(node(policy=Policy(total_timeout=5))),
    flow(node(policy=Policy(retry=Retry(max_attempts=2)))),
    flow(node(policy=Policy(on_error=OnError(action="continue")))),
    flow(node(policy=Policy(on_error=OnError(action="continue", value=None)))),
    flow(node(), defaults={"n": 1}),
    flow(node(), policy=Policy(fail_fast=False)),
    flow(node(), max_parallel=1),
    flow(node(), expose_env=("A",)),
    flow(node(), scratch_merge=ScratchMerge.OVERWRITE),
    flow(node(), handlers={"h": node(name="h")}),
    flow(task(extract) >> clean),
    flow(task(clean) >> extract),
    flow(task(extract) & clean),
    flow(task(clean) & extract),
    flow(task(extract) | clean),
    flow((task(extract) & clean).named("both")),
    flow(switch("mode", {"a": extract})),
    flow(switch("mode", {"b": extract})),
    flow(switch("mode", {1: extract})),
    flow(switch("mode", {True: extract})),
    flow(switch("mode", {}, default=extract)),
    flow(switch("{{ results.mode }}", {"a": extract})),
    flow(foreach("items")(extract)),
    flow(foreach("items", item="it")(extract)),
    flow(foreach("items", index="it")(extract)),
    flow(foreach("items", concurrency=2)(extract)),
    flow(foreach("items", collect="last")(extract)),
]


def test_whatever_changes_what_a_flow_does_changes_its_hash() -> None:
    assert len({definition_hash(one) for one in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (flow(node(policy=Policy(timeout="5s"))), flow(node(policy=Policy(timeout=5)))),
        (
            flow(node(inputs={"source": {"a": 1, "b": 2}})),
            flow(node(inputs={"source": {"b": 2, "a": 1}})),
        ),
        (flow(node(inputs={"source": (1, 2)})), flow(node(inputs={"source": [1, 2]}))),
        (flow(node(outputs="ctx.scratch.x")), flow(node(outputs=["scratch.x"]))),
        (flow(switch("mode", {"{{ 1 }}": extract})), flow(switch("mode", {1: extract}))),
        (flow(node(), expose_env=("A", "B")), flow(node(), expose_env=("B", "A"))),
    ],
)
def test_what_means_the_same_has_the_same_hash(left: Flow, right: Flow) -> None:
    assert definition_hash(left) == definition_hash(right)


def test_an_object_counts_by_its_type_not_by_its_address() -> None:
    hashes = {definition_hash(flow(node(), defaults={"x": object()})) for _ in range(3)}
    assert len(hashes) == 1
