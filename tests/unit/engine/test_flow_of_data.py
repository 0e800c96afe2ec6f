"""What goes along the edges, and in which order things start."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace import Flow, Routing, RunFailed, foreach, repeat, route, subflow, switch, task, until
from tailrace.model import NodeState, RunStatus
from tailrace.testing import MemoryStore


def run(flow: Flow, **inputs: Any) -> Any:
    return flow.run(store=MemoryStore(), **inputs)


@task
def one() -> int:
    return 1


@task
def double(value: int) -> int:
    return value * 2


@task
def add_ten(value: int) -> int:
    return value + 10


def test_a_sequence_hands_each_output_to_the_next_node() -> None:
    result = run(Flow("f", one >> double >> add_ten))
    assert result.output == 12
    assert result.outputs == {"one": 1, "double": 2, "add_ten": 12}


def test_a_join_receives_a_mapping_by_node_name_in_definition_order() -> None:
    @task
    def join(both: dict[str, int]) -> list[tuple[str, int]]:
        return list(both.items())

    assert run(Flow("f", one >> (double & add_ten) >> join)).output == [
        ("double", 2),
        ("add_ten", 11),
    ]


def test_a_parameter_named_like_a_node_gets_that_nodes_output() -> None:
    @task
    def total(one: int, double: int) -> int:
        return one + double

    assert run(Flow("f", one >> double >> total)).output == 3


def test_none_is_a_value_and_tuples_stay_tuples() -> None:
    @task
    def nothing() -> None:
        return None

    @task
    def pair(value: None) -> tuple[Any, int]:
        return (value, 2)

    assert run(Flow("f", nothing >> pair)).output == (None, 2)


def test_any_takes_the_first_success_and_goes_on() -> None:
    @task
    def broken() -> int:
        raise ValueError("no")

    assert run(Flow("f", (broken | one) >> double)).output == 2


def test_any_fails_when_every_branch_fails() -> None:
    @task
    def broken() -> int:
        raise ValueError("no")

    @task
    def broken_too() -> int:
        raise KeyError("neither")

    with pytest.raises(RunFailed) as caught:
        run(Flow("f", (broken | broken_too) >> double))
    assert caught.value.report.error_type in {"ValueError", "KeyError"}


def test_switch_runs_only_the_branch_whose_key_is_equal() -> None:
    flow = Flow(
        "f",
        one
        >> switch("{{ params.mode }}", {"twice": double, "more": add_ten}, default=one.named("d")),
    )
    assert run(flow, mode="twice").output == 2
    assert run(flow, mode="more").output == 11
    assert run(flow, mode="else").output == 1


def test_switch_without_a_match_fails_and_says_which_cases_there_are() -> None:
    flow = Flow("f", switch("{{ params.mode }}", {"a": one, "b": double.with_inputs(value=1)}))
    result = run(flow, mode="c", raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    assert "'c'" in result.report.error_message
    assert "a, b" in result.report.error_message


def test_true_is_not_the_case_one() -> None:
    flow = Flow("f", switch("{{ params.on }}", {1: one}, default=double.with_inputs(value=21)))
    assert run(flow, on=True).output == 42
    assert run(flow, on=1).output == 1


def test_foreach_gives_each_item_and_collects_in_order() -> None:
    flow = Flow("f", foreach("{{ params.items }}")(double))
    assert run(flow, items=[3, 1, 2]).output == [6, 2, 4]


def test_foreach_with_concurrency_keeps_item_order() -> None:
    import threading

    gate = threading.Barrier(3, timeout=30)

    @task
    def meet(value: int) -> int:
        gate.wait()
        return value * 2

    flow = Flow("f", foreach("{{ params.items }}", concurrency=3)(meet))
    assert run(flow, items=[3, 1, 2]).output == [6, 2, 4]


@pytest.mark.parametrize(
    ("collect", "expected"),
    [("list", [[1], [2, 2]]), ("first", [1]), ("last", [2, 2]), ("flatten", [1, 2, 2])],
)
def test_collect_says_what_a_loop_returns(collect: str, expected: Any) -> None:
    @task
    def copies(n: int) -> list[int]:
        return [n] * n

    flow = Flow("f", foreach("{{ params.items }}", collect=collect)(copies))
    assert run(flow, items=[1, 2]).output == expected


def test_foreach_over_a_mapping_gives_items() -> None:
    @task
    def show(pair: tuple[str, int]) -> str:
        return f"{pair[0]}={pair[1]}"

    flow = Flow("f", foreach("{{ params.m }}")(show))
    assert run(flow, m={"a": 1, "b": 2}).output == ["a=1", "b=2"]


def test_foreach_over_text_is_refused_because_nobody_means_characters() -> None:
    result = run(
        Flow("f", foreach("{{ params.items }}")(double)), items="abc", raise_on_failure=False
    )
    assert result.status is RunStatus.FAILED
    assert "list" in result.report.error_message


def test_foreach_over_nothing_collects_nothing() -> None:
    assert run(Flow("f", foreach("{{ params.items }}")(double)), items=[]).output == []


def test_repeat_runs_its_body_that_often() -> None:
    @task
    def index(ctx: Any) -> tuple[int, int]:
        return ctx.loop.index, ctx.loop.iteration

    assert run(Flow("f", repeat(3)(index))).output == [(0, 1), (1, 2), (2, 3)]


def test_until_runs_first_and_stops_when_the_condition_holds() -> None:
    @task
    def poll(ctx: Any) -> dict[str, Any]:
        return {"done": ctx.loop.iteration == 3, "n": ctx.loop.iteration}

    flow = Flow("f", until("{{ results.poll.done }}", max_iter=5)(poll))
    assert run(flow).output == {"done": True, "n": 3}


def test_until_gives_up_after_its_maximum() -> None:
    @task
    def poll() -> dict[str, bool]:
        return {"done": False}

    flow = Flow("f", until("{{ results.poll.done }}", max_iter=2)(poll))
    result = run(flow, raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    assert "2 iterations" in result.report.error_message


def test_nested_loops_know_all_their_frames() -> None:
    seen: list[str] = []

    @task
    def note(ctx: Any, a: int, b: int) -> None:
        seen.append(f"{a}{b} {[loop.index for loop in ctx.loops]} {ctx.node}")

    inner = foreach("{{ params.inner }}", item="b", name="inner")(note)
    flow = Flow("f", foreach("{{ params.outer }}", item="a", name="outer")(inner))
    run(flow, outer=[1, 2], inner=[8, 9])
    assert seen[0] == "18 [0, 0] outer[0].inner[0].note"
    assert seen[-1] == "29 [1, 1] outer[1].inner[1].note"
    assert len(seen) == 4


def test_a_later_node_can_name_what_a_finished_loop_left() -> None:
    @task
    def last(double: int) -> int:
        return double

    flow = Flow("f", foreach("{{ params.items }}")(double) >> last)
    assert run(flow, items=[1, 5]).output == 10


def test_route_activates_only_what_it_names_and_the_join_waits_for_that() -> None:
    @task
    def join(payload: dict[str, int]) -> dict[str, int]:
        return payload

    def choose(value: int) -> Any:
        return Routing("double", confidence=0.9, reason="small")

    flow = Flow("f", one >> route(choose) >> (double & add_ten) >> join)
    assert run(flow).output == {"double": 2}


def test_route_may_name_several() -> None:
    @task
    def join(payload: dict[str, int]) -> dict[str, int]:
        return payload

    flow = Flow(
        "f", one >> route(lambda _value: ["double", "add_ten"]) >> (double & add_ten) >> join
    )
    assert run(flow).output == {"double": 2, "add_ten": 11}


def test_route_to_an_unknown_name_fails_with_the_nearest() -> None:
    flow = Flow("f", one >> route(lambda _value: "dubble") >> (double & add_ten))
    result = run(flow, raise_on_failure=False)
    assert "did you mean 'double'" in result.report.error_message


def test_a_subflow_sees_only_its_inputs() -> None:
    inner = Flow("inner", double.with_inputs(value="{{ params.x }}"), defaults={"x": 5})
    outer = Flow("outer", one >> subflow(inner, inputs={"x": "{{ results.one }}"}) >> add_ten)
    assert run(outer).output == 12


def test_async_and_sync_tasks_mix() -> None:
    @task
    async def later(value: int) -> int:
        return value + 1

    assert run(Flow("f", one >> later >> double)).output == 4


async def _inside_a_loop() -> Any:
    return await Flow("f", one >> double).run_async(store=MemoryStore())


def test_a_flow_runs_inside_a_running_loop_both_ways() -> None:
    import asyncio

    async def both() -> tuple[Any, Any]:
        return (await _inside_a_loop()).output, run(Flow("g", one >> add_ten)).output

    assert asyncio.run(both()) == (2, 11)


def test_outputs_write_scratch_and_scratch_travels_with_the_data() -> None:
    @task(outputs=["scratch.raw.value"])
    def fetch() -> int:
        return 7

    @task
    def read(ctx: Any) -> Any:
        return ctx.scratch["raw"]["value"]

    assert run(Flow("f", fetch >> read)).output == 7


def test_branches_that_write_one_scratch_key_conflict_at_the_join() -> None:
    @task
    def left(ctx: Any) -> None:
        ctx.scratch["k"] = "l"

    @task
    def right(ctx: Any) -> None:
        ctx.scratch["k"] = "r"

    @task
    def join(ctx: Any) -> Any:
        return ctx.scratch["k"]

    body = (left & right) >> join
    result = run(Flow("f", body), raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    assert "'left'" in result.report.error_message
    assert "'right'" in result.report.error_message
    assert run(Flow("f", body, scratch_merge="overwrite")).output == "r"
    assert run(Flow("f", body, scratch_merge="keep_first")).output == "l"


def test_a_branch_that_only_inherits_a_key_does_not_conflict_with_one_that_writes_it() -> None:
    @task
    def base(ctx: Any) -> None:
        ctx.scratch["k"] = "old"

    @task
    def writer(ctx: Any) -> None:
        assert ctx.scratch["k"] == "old"
        ctx.scratch["k"] = "new"

    @task
    def bystander(ctx: Any) -> Any:
        return ctx.scratch["k"]

    @task
    def join(ctx: Any) -> Any:
        return ctx.scratch["k"]

    assert run(Flow("f", base >> (writer & bystander) >> join)).output == "new"


@pytest.mark.no_cover
def test_thousands_of_nodes_in_a_chain_run_without_recursion() -> None:
    nodes = [add_ten.named(f"n{number}") for number in range(2_000)]
    body: Any = one
    for node in nodes:
        body = body >> node
    assert run(Flow("f", body)).output == 1 + 10 * 2_000


def test_a_generator_is_read_to_its_end() -> None:
    @task
    def numbers() -> Any:
        yield from (1, 2, 3)

    assert run(Flow("f", numbers >> foreach("$payload")(double))).output == [2, 4, 6]


def test_the_states_of_all_nodes_are_in_the_trace() -> None:
    store = MemoryStore()

    @task
    def broken(value: int) -> int:
        raise ValueError("bad row 17")

    flow = Flow("f", one >> broken >> double)
    result = flow.run(store=store, raise_on_failure=False)
    spans = {span.name: span for span in store.trace(result.run_id).spans}
    assert spans["node broken"].status.value == "error"
    assert spans["node double"].attributes["tailrace.skip.reason"] == "needs broken"
    assert NodeState.SKIPPED == "SKIPPED"


def test_a_group_whose_members_are_all_skipped_leaves_no_span() -> None:
    @task
    def broken() -> int:
        raise ValueError("no")

    store = MemoryStore()
    flow = Flow("f", broken >> (double & add_ten))
    result = flow.run(store=store, raise_on_failure=False)
    trace = store.trace(result.run_id)
    assert [span.name for span in trace.spans if span.type.value == "container"] == []
    assert {span.parent_id for span in trace.spans[3:]} == {trace.spans[0].span_id}


def test_a_group_is_a_container_around_its_members() -> None:
    store = MemoryStore()
    result = Flow("f", one >> (double & (add_ten >> double.named("again")))).run(store=store)
    spans = {span.name: span for span in store.trace(result.run_id).spans}
    group = spans["all all"]
    for name in ("node double", "node add_ten", "node again"):
        assert spans[name].parent_id == group.span_id
        assert group.start_ns <= spans[name].start_ns
        assert (group.end_ns or 0) >= (spans[name].end_ns or 0)


def test_what_a_task_fails_with_has_no_cause_of_ours() -> None:
    @task
    def broken() -> int:
        raise ValueError("no")

    result: Any = run(Flow("f", broken), raise_on_failure=False)
    assert result.report.cause_chain == []


def test_secrets_stay_out_of_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_REDACT", "kennung")

    @task
    def login(password: str, kennung: str, user: str) -> dict[str, str]:
        return {"api_key": "hunter2", "user": user}

    store = MemoryStore()
    flow = Flow("f", login)
    result = flow.run(store=store, password="hunter2", kennung="hunter2", user="ada")  # noqa: S106
    seen = str(store.trace(result.run_id))
    assert "hunter2" not in seen
    assert "ada" in seen


def test_a_parameter_named_after_a_branch_that_did_not_run_takes_its_default() -> None:
    @task
    def report(double: int | None = None, add_ten: int | None = None) -> list[int | None]:
        return [double, add_ten]

    flow = Flow("f", one >> switch("{{ params.m }}", {"d": double, "a": add_ten}) >> report)
    assert run(flow, m="d").output == [2, None]
    assert run(flow, m="a").output == [None, 11]
