"""What must hold for the structure of a flow, whatever its tasks are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

from tailrace.flows.expressions import ROOTS
from tailrace.flows.findings import Findings, listed, meant, place_of
from tailrace.flows.place import Place, Places, exclude, ordered
from tailrace.model import (
    All,
    AnyOf,
    Flow,
    ForEach,
    Graph,
    Node,
    Policy,
    Repeat,
    Seq,
    SourceSpan,
    SubFlow,
    Switch,
    TaskNode,
    Until,
)


def check_rules(flow: Flow, places: Places, override: Policy | None, findings: Findings) -> bool:
    """Report everything about names, groups, loops, cases and policies that does not hold.

    Returns False when a graph runs in a circle, so that nothing more can be said about it.
    """
    if places.root is None:
        findings.warn(
            "TR137",
            f"flow {flow.name!r} has no nodes",
            hint="Give it a graph with at least one task.",
        )
    _check_minimum(flow.max_parallel, 1, "max_parallel", None, findings)
    _check_policy(flow.policy, "flow.policy", None, findings)
    _check_policy(override, "--policy", None, findings)
    _check_uniqueness(places, flow.handlers, findings)
    seen_tasks: set[int] = set()
    is_acyclic = True
    for place in places:
        _check_node(place.node, findings, seen_tasks)
        if isinstance(place.node, Graph):
            is_acyclic &= _check_acyclic(place.node, findings)
    for node in flow.handlers.values():
        _check_task(node, findings, seen_tasks)
    _check_handlers_used(flow, places, findings)
    return is_acyclic


def _check_node(node: Node, findings: Findings, seen_tasks: set[int]) -> None:
    match node:
        case TaskNode():
            _check_task(node, findings, seen_tasks)
        case Switch():
            _check_switch(node, findings)
        case ForEach():
            _check_foreach(node, findings)
        case Repeat():
            _check_name(node.name, node.where, findings)
            _check_minimum(node.count, 0, f"{node.name}.count", node.where, findings)
        case Until():
            _check_name(node.name, node.where, findings)
            _check_minimum(node.max_iterations, 1, f"{node.name}.max_iter", node.where, findings)
        case All() | AnyOf():
            _check_name(node.name, None, findings)
        case SubFlow():
            _check_name(node.name, node.where, findings)
        case Seq() | Graph():
            pass
        case _:
            assert_never(node)


def _is_name(name: str) -> bool:
    return name.replace("-", "_").isidentifier() and name[0] != "-" and name[-1] != "-"


def _check_name(name: str, where: SourceSpan | None, findings: Findings) -> None:
    if _is_name(name):
        return
    findings.add(
        "TR131",
        f"{name!r} is no name for a node",
        where=where,
        hint="Start with a letter or _, and go on with letters, digits, _ or -: "
        f'task.named("{_mended(name)}").',
        subject=name,
    )


def _mended(name: str) -> str:
    text = "".join(sign if sign.isalnum() or sign in "_-" else "_" for sign in name)
    return text if text[:1].isalpha() else f"step_{text.lstrip('-_')}".rstrip("_")


def _check_uniqueness(places: Places, handlers: Mapping[str, TaskNode], findings: Findings) -> None:
    for name, found in places.names.items():
        own = [place for place in found if place.name == name]
        clash = next(_clashes(own), None) if len(own) > 1 else None
        if clash is not None:
            findings.add(
                "TR130",
                f"the name {name!r} is given to {len(own)} nodes",
                where=_where(clash),
                hint=f'Give the second its own name: {name}.named("{name}_2"), '
                f"or {name}_2:{name} in graph text.",
                subject=name,
            )
        elif own and name in handlers:
            findings.add(
                "TR130",
                f"the name {name!r} is given to a node of the graph and to an on_error target",
                where=_where(own[0]),
                hint="Name one of them otherwise.",
                subject=name,
            )


def _clashes(places: list[Place]) -> Iterator[Place]:
    """Yield places that can run together with an earlier one of the same name."""
    for count, place in enumerate(places):
        if any(not exclude(earlier, place) for earlier in places[:count]):
            yield place


def _where(place: Place) -> SourceSpan | None:
    if isinstance(place.node, TaskNode):
        return place_of(place.node)
    return getattr(place.node, "where", None)


def _check_task(node: TaskNode, findings: Findings, seen_tasks: set[int]) -> None:
    if not _is_name(node.name):
        _check_name(node.name, place_of(node), findings)
    _check_policy(node.policy, f"tasks.{node.name}.policy", node, findings)
    for output in node.outputs:
        root, _, rest = output.partition(".")
        if root not in {"scratch", "params", "results"} or not all(rest.split(".")):
            findings.add(
                "TR138",
                f"{output!r} is no place for the result of {node.name!r}{meant(root, ['scratch'])}",
                where=node.where,
                hint=f"Write scratch.{output.rpartition('.')[2] or 'name'}.",
                subject=f"tasks.{node.name}.outputs",
            )
    if id(node.task) not in seen_tasks:
        seen_tasks.add(id(node.task))
        _check_policy(node.task.policy, f"tasks.{node.task.name}.policy", node, findings)


def _check_policy(
    policy: Policy | None, path: str, node: TaskNode | None, findings: Findings
) -> None:
    if policy is None:
        return
    from tailrace.policy import cautions, problems  # noqa: PLC0415 - only where one is given

    where = None if node is None else place_of(node)
    for problem in problems(policy, path):
        findings.add(
            problem.code, problem.message, where=where, hint=problem.hint, subject=problem.path
        )
    for caution in cautions(policy, path):
        findings.warn(
            caution.code, caution.message, where=where, hint=caution.hint, subject=caution.path
        )


def _check_acyclic(node: Graph, findings: Findings) -> bool:
    if ordered(len(node.nodes), node.edges) is not None:
        return True
    names = listed(getattr(inner, "name", "") or "…" for inner in node.nodes)
    findings.add(
        "TR132",
        f"the graph runs in a circle (nodes: {names})",
        hint="Take out an edge that leads back, or write a loop with until or repeat.",
    )
    return False


def _check_switch(node: Switch, findings: Findings) -> None:
    _check_name(node.name, node.where, findings)
    if not node.cases:
        findings.add(
            "TR137",
            f"switch {node.name!r} has no cases",
            where=node.where,
            hint="Add a case, such as fast: task.",
            subject=node.name,
        )
    if node.default is None:
        findings.warn(
            "TR135",
            f"switch {node.name!r} has no default; a value without a case fails the run",
            where=node.where,
            hint="Add a default branch.",
            subject=node.name,
        )
    _check_cases(node, findings)


def _check_cases(node: Switch, findings: Findings) -> None:
    seen: set[tuple[type, object]] = set()
    for case in node.cases:
        key = (type(case.key), case.key)
        if key in seen:
            findings.warn(
                "TR139",
                f"switch {node.name!r} has the case {case.key!r} twice; one is never reached",
                where=node.where,
                hint="Take one of them out.",
                subject=node.name,
            )
        seen.add(key)
        if case.key == "default" and node.default is None:
            findings.warn(
                "TR135",
                f"the case 'default' of switch {node.name!r} is the text 'default'",
                where=node.where,
                hint="Write default=… for the branch of all other values.",
                subject=node.name,
            )


_HIDDEN_BY_ROOT = frozenset({"node", "payload", "joins"})
"""Roots the older system did not have: its flows may use these names for loop variables."""


def _check_foreach(node: ForEach, findings: Findings) -> None:
    _check_name(node.name, node.where, findings)
    _check_minimum(node.concurrency, 1, f"{node.name}.concurrency", node.where, findings)
    for role, name in (("item", node.item), ("index", node.index)):
        if name is not None:
            _check_loop_variable(node, role, name, findings)
    if node.item is not None and node.item == node.index:
        findings.add(
            "TR158",
            f"item and index of foreach {node.name!r} are both named {node.item!r}",
            where=node.where,
            hint="Give the index a name of its own.",
            subject=f"{node.name}.index",
        )


def _check_loop_variable(node: ForEach, role: str, name: str, findings: Findings) -> None:
    subject = f"the {role} of foreach {node.name!r} is named {name!r}"
    hint = f"Name it otherwise, such as one_{name}."
    if not name.isidentifier():
        message = f"{subject}, which is no name"
        hint = "Use letters, digits and _."
    elif name in _HIDDEN_BY_ROOT:
        findings.warn(
            "TR158",
            f"{subject}; in expressions {name!r} means something else",
            where=node.where,
            hint=hint,
            subject=f"{node.name}.{role}",
        )
        return
    elif name in ROOTS:
        message = f"{subject}, which is reserved"
    else:
        return
    findings.add("TR158", message, where=node.where, hint=hint, subject=f"{node.name}.{role}")


def _check_minimum(
    value: int | str, minimum: int, subject: str, where: SourceSpan | None, findings: Findings
) -> None:
    if isinstance(value, int) and value < minimum:
        findings.add(
            "TR136",
            f"{subject} is {value}; it must be {minimum} or more",
            where=where,
            hint=f"Write {minimum} or more.",
            subject=subject,
        )


def _check_handlers_used(flow: Flow, places: Places, findings: Findings) -> None:
    """Warn about nodes outside the graph that nothing sends to."""
    if not flow.handlers:
        return
    levels = [flow.policy]
    tasks = [place.node for place in places if isinstance(place.node, TaskNode)]
    for node in (*tasks, *flow.handlers.values()):
        levels += [node.policy, node.task.policy]
    targets = {level.on_error.target for level in levels if level is not None}
    for name, node in flow.handlers.items():
        if name not in targets:
            findings.warn(
                "TR139",
                f"{name!r} stands outside the graph and no on_error sends to it",
                where=node.where,
                hint=f"Remove it, or write on_error: {{action: goto, target: {name}}}.",
                subject=name,
            )
