"""Where each parameter of a task gets its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tailrace.errors import DefinitionError
from tailrace.flows.build import build_flow
from tailrace.flows.compile import compile_flow
from tailrace.flows.python import as_node, foreach, repeat, route, subflow, switch, task, until
from tailrace.flows.signature import read_signature
from tailrace.model import (
    Constant,
    Context,
    Evaluated,
    FromContext,
    FromLoop,
    FromParam,
    FromPayload,
    FromResult,
    ScopePlan,
    Source,
    SubFlowStep,
    TaskStep,
)

if TYPE_CHECKING:
    from elsewhere import Context as Later  # type: ignore[import-not-found]  # never imported


@task
def start() -> int:
    return 1


@task
def other() -> int:
    return 2


def tasks_of(scope: ScopePlan) -> dict[str, TaskStep]:
    """Return all task steps, inner scopes included, by name."""
    found: dict[str, TaskStep] = {}
    for step in scope.steps:
        if isinstance(step, TaskStep):
            found[step.name] = step
            continue
        inner = [getattr(step, "body", None), getattr(step, "default", None)]
        inner += [case.body for case in getattr(step, "cases", ())]
        inner += getattr(step, "branches", ())
        for body in inner:
            if body is not None:
                found |= tasks_of(body)
    return found


def sources(
    root: Any,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    given: tuple[str, ...] = (),
) -> dict[str, Source]:
    """Compile a flow and return what the parameters of one node are bound to."""
    flow = build_flow(name="f", root=as_node(root), defaults=params or {})
    plan = compile_flow(flow, params=given)
    return {b.parameter: b.source for b in tasks_of(plan.scope)[name].bindings}


def refusal(root: Any, *, params: Mapping[str, Any] | None = None) -> str:
    """Compile a flow that does not bind and return all its messages."""
    flow = build_flow(name="f", root=as_node(root), defaults=params or {})
    with pytest.raises(DefinitionError) as raised:
        compile_flow(flow)
    return "\n".join(found.message for found in raised.value.findings)


def takes(**defaults: Any) -> Callable[..., Any]:
    return partial(_anything, **defaults)


def _anything(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def one(value: Any) -> Any:
    return value


def test_declared_inputs_come_first() -> None:
    def use(ctx: Any, start: int, n: int) -> Any:
        return ctx, start, n

    node = task(use).with_inputs(ctx=1, start="text", n="{{ params.n }}")
    found = sources(start >> node, "use", params={"n": 0})
    assert found["ctx"] == Constant(1)
    assert found["start"] == Constant("text")
    assert isinstance(found["n"], Evaluated)


def test_the_context_is_found_by_name_and_by_annotation() -> None:
    def by_name(ctx: Any) -> Any:
        return ctx

    def by_type(context: Context) -> Any:
        return context

    def by_postponed_type(context: Later) -> Any:
        return context

    def by_module(where: tailrace.Context | None) -> Any:  # type: ignore[name-defined]  # noqa: F821 - names nothing at run time
        return where

    for function in (by_name, by_type):
        (found,) = sources(task(function), function.__name__).values()
        assert found == FromContext()
    signature = read_signature(by_module)
    assert signature is not None
    assert signature.parameters[0].is_context
    signature = read_signature(by_postponed_type)
    assert signature is not None
    assert not signature.parameters[0].is_context


def test_a_users_own_context_class_is_no_context() -> None:
    namespace: dict[str, Any] = {}
    exec(  # noqa: S102 - a module of its own for postponed annotations
        "class Context: ...\ndef use(value: 'Context'): return value\n", namespace
    )
    signature = read_signature(namespace["use"])
    assert signature is not None
    assert not signature.parameters[0].is_context


def test_loop_variables_come_before_params_and_params_before_results() -> None:
    def use(start: Any, n: Any, it: Any) -> Any:
        return start, n, it

    loop = foreach("{{ params.items }}", item="it", index="n")(task(use))
    found = sources(start >> loop, "use", params={"items": [], "it": 0, "n": 0, "start": 9})
    assert found == {"start": FromParam("start"), "n": FromLoop("n"), "it": FromLoop("it")}


def test_outer_loop_variables_are_seen_inside() -> None:
    def use(year: int, month: int) -> Any:
        return year, month

    inner = foreach([1, 2], item="month")(task(use))
    found = sources(foreach([2020], item="year")(inner), "use")
    assert found == {"year": FromLoop("year"), "month": FromLoop("month")}


def test_results_of_nodes_upstream_are_found_by_name() -> None:
    def use(start: int, other: int) -> int:
        return start + other

    found = sources(start >> other >> task(use), "use")
    assert found == {"start": FromResult("start"), "other": FromResult("other")}


def test_a_node_beside_is_not_upstream() -> None:
    def use(other: int) -> int:
        return other

    found = sources(start >> (other & task(use)), "use")
    assert found == {"other": FromPayload()}  # the one parameter left over


def test_nodes_inside_earlier_containers_and_around_are_upstream() -> None:
    def use(start: int, inside: int, loop: list[int]) -> Any:
        return start, inside, loop

    loop = foreach([1], name="loop")(task(one).named("inside"))
    found = sources(start >> loop >> repeat(2)(task(use)), "use")
    assert found == {
        "start": FromResult("start"),
        "inside": FromResult("inside"),
        "loop": FromResult("loop"),
    }


def test_a_node_that_may_not_run_leaves_the_default() -> None:
    def report(fast: int = -1, full: int | None = None) -> Any:
        return fast, full

    branch = switch("mode", {"fast": task(one).named("fast")}, default=task(one).named("full"))
    found = sources(start >> branch >> task(report), "report", params={"mode": "fast"})
    assert found == {
        "fast": FromResult("fast", Constant(-1)),
        "full": FromResult("full", Constant(None)),
    }


def test_results_written_elsewhere_are_found_under_that_name() -> None:
    def use(raw: int, n: int) -> Any:
        return raw, n

    writer = start.with_outputs("results.raw", "params.n")
    assert sources(writer >> task(use), "use") == {
        "raw": FromResult("raw"),
        "n": FromParam("n"),
    }


def test_the_payload_goes_to_the_one_parameter_left_over() -> None:
    def use(rows: Any, n: int, limit: int = 3) -> Any:
        return rows, n, limit

    found = sources(start >> task(use), "use", params={"n": 1})
    assert found == {"rows": FromPayload(), "n": FromParam("n")}


def test_params_given_to_the_run_count_like_defaults() -> None:
    def use(n: int, m: int) -> int:
        return n + m

    found = sources(task(use), "use", params={"n": 1}, given=("m",))
    assert found == {"n": FromParam("n"), "m": FromParam("m")}


def test_a_parameter_with_a_default_keeps_it() -> None:
    def use(rows: Any = None) -> Any:
        return rows

    assert sources(start >> task(use), "use") == {}


def test_star_parameters_get_nothing_of_themselves() -> None:
    def use(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert sources(start >> task(use), "use", params={"args": 1, "kwargs": 2}) == {}
    found = sources(start >> task(use).with_inputs(x=1, y=2), "use")
    assert found == {"x": Constant(1), "y": Constant(2)}


def test_positional_only_parameters_come_in_order_with_their_defaults() -> None:
    def use(first: Any, second: int = 7, third: int = 8, /, *, last: int = 9) -> Any:
        return first, second, third, last

    flow = build_flow(name="f", root=as_node(start >> task(use)), defaults={"third": 1, "last": 2})
    bindings = tasks_of(compile_flow(flow).scope)["use"].bindings
    assert [(b.parameter, b.source, b.positional) for b in bindings] == [
        ("first", FromPayload(), True),
        ("second", Constant(7), True),
        ("third", FromParam("third"), True),
        ("last", FromParam("last"), False),
    ]


def test_a_callable_that_hides_its_parameters_gets_the_payload() -> None:
    assert read_signature(dict) is None
    flow = build_flow(name="f", root=as_node(start >> dict))
    (binding,) = tasks_of(compile_flow(flow).scope)["dict"].bindings
    assert (binding.source, binding.positional) == (FromPayload(), True)
    assert (
        tasks_of(compile_flow(build_flow(name="f", root=as_node(dict))).scope)["dict"].bindings
        == ()
    )


def test_what_a_partial_has_fixed_stays_fixed() -> None:
    def scale(x: int, factor: int) -> int:
        return x * factor

    node = task(partial(scale, factor=3), name="scale")
    assert sources(start >> node, "scale", params={"factor": 9}) == {"x": FromPayload()}
    found = sources(start >> node.with_inputs(factor=4), "scale")
    assert found == {"x": FromPayload(), "factor": Constant(4)}


def test_bound_methods_and_callable_objects_hide_self() -> None:
    class Scale:
        def __call__(self, x: int) -> int:
            return x

        def apply(self, x: int) -> int:
            return x

    scale = Scale()
    assert sources(start >> task(scale.apply), "apply") == {"x": FromPayload()}
    assert sources(start >> task(scale, name="call"), "call") == {"x": FromPayload()}


def test_bodies_get_a_payload_where_their_container_has_one() -> None:
    assert sources(foreach([1])(task(one)), "one") == {"value": FromPayload()}
    assert sources(start >> repeat(2)(task(one)), "one") == {"value": FromPayload()}
    assert sources(start >> until("{{ results.one }}")(task(one)), "one") == {
        "value": FromPayload()
    }
    assert sources(start >> switch("m", {"x": task(one)}), "one", params={"m": 1}) == {
        "value": FromPayload()
    }
    assert "nothing provides it" in refusal(repeat(2)(task(one)))
    assert "nothing provides it" in refusal(switch("m", {"x": task(one)}), params={"m": 1})
    assert "nothing provides it" in refusal(task(one) | start)


def test_a_route_passes_on_what_it_got() -> None:
    def pick(start: int = 0) -> str:
        return "one"

    assert sources(start >> route(pick) >> task(one), "one") == {"value": FromPayload()}
    assert "nothing provides it" in refusal(route(pick) >> task(one))


def test_a_flow_inside_sees_its_own_params_only() -> None:
    def use(n: int, value: int) -> Any:
        return n, value

    inner = build_flow(name="inner", root=task(use).node)
    flow = build_flow(
        name="f",
        root=as_node(start >> subflow(inner, inputs={"n": "{{ params.size }}"}, name="sub")),
        defaults={"size": 1, "value": 2},
    )
    step = compile_flow(flow).scope.steps[1]
    assert isinstance(step, SubFlowStep)
    assert isinstance(step.inputs["n"], Evaluated)
    assert {b.parameter: b.source for b in tasks_of(step.flow.scope)["use"].bindings} == {
        "n": FromParam("n"),
        "value": FromPayload(),
    }
    lonely = build_flow(name="f", root=as_node(subflow(inner, inputs={"n": 1}, name="sub")))
    with pytest.raises(DefinitionError) as raised:
        compile_flow(lonely)
    (found,) = raised.value.findings
    assert "Give the sub-flow the input 'value'" in found.hint


def test_a_parameter_without_a_source_is_explained() -> None:
    def load(tabel: str) -> str:
        return tabel

    flow = build_flow(name="f", root=task(load).node, defaults={"table": "x", "n": 1})
    with pytest.raises(DefinitionError) as raised:
        compile_flow(flow)
    (found,) = raised.value.findings
    assert found.code == "TR150"
    assert "task 'load' needs 'tabel', and nothing provides it" in found.message
    assert "params: n, table" in found.message
    assert "did you mean 'table'?" in found.message
    assert "--param tabel=…" in found.hint
    assert found.where is not None
    assert found.where.file == __file__
    assert "def load(tabel" in found.where.text


def test_every_parameter_without_a_source_is_named() -> None:
    def load(first: int, second: int) -> Any:
        return first, second

    message = refusal(task(load) >> task(load).named("again"))
    assert message.count("needs 'first'") == 1
    assert message.count("needs 'second'") == 1
    assert "'again': the parameters 'first', 'second' are all left over" in message
    assert "results: load" in message


def test_an_input_for_an_unknown_parameter_is_refused_with_the_nearest() -> None:
    def load(table: str) -> str:
        return table

    message = refusal(task(load).with_inputs(tabel="x", table="y"))
    assert "task 'load' has no parameter 'tabel'" in message
    assert "did you mean 'table'?" in message
