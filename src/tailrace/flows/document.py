"""A flow as plain data, for programs."""

from __future__ import annotations

from typing import Any, assert_never

from tailrace.flows.hash import definition_hash
from tailrace.flows.tree import fold
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
    SubFlow,
    Switch,
    TaskNode,
    Until,
)
from tailrace.policy import to_dict


def document(flow: Flow) -> dict[str, Any]:
    """Return a flow as mappings and lists; values of inputs and defaults are as written."""
    return {
        "name": flow.name,
        "source": flow.source,
        "definition_hash": definition_hash(flow),
        "defaults": dict(flow.defaults),
        "policy": _policy(flow.policy),
        "max_parallel": flow.max_parallel,
        "expose_env": list(flow.expose_env),
        "scratch_merge": flow.scratch_merge.value,
        "root": None if flow.root is None else fold(flow.root, _node),
        "handlers": [_node(node, [], 0) for node in flow.handlers.values()],
    }


def _policy(policy: Policy | None) -> dict[str, Any] | None:
    return None if policy is None else to_dict(policy)


def _node(node: Node, parts: list[dict[str, Any]], _number: int) -> dict[str, Any]:
    kind = type(node).__name__.lower().removesuffix("node")
    known: dict[str, Any] = {"type": kind}
    if not isinstance(node, Seq | Graph):
        known["name"] = node.name
    return known | _own(node, parts)


def _own(node: Node, parts: list[dict[str, Any]]) -> dict[str, Any]:
    match node:
        case TaskNode():
            return _task(node)
        case Seq() | All() | AnyOf():
            return {"children": parts}
        case Graph():
            return {"nodes": parts, "edges": [list(edge) for edge in node.edges]}
        case Switch():
            return _switch(node, parts)
        case ForEach():
            return {
                "over": node.over,
                "item": node.item,
                "index": node.index,
                "collect": node.collect.value,
                "concurrency": node.concurrency,
                "body": parts[0],
            }
        case Repeat():
            return {"count": node.count, "collect": node.collect.value, "body": parts[0]}
        case Until():
            return {
                "condition": node.condition,
                "max_iterations": node.max_iterations,
                "collect": node.collect.value,
                "body": parts[0],
            }
        case SubFlow():
            return {"inputs": dict(node.inputs), "flow": document(node.flow)}
        case _:
            assert_never(node)


def _switch(node: Switch, parts: list[dict[str, Any]]) -> dict[str, Any]:
    cases = [
        {"key": case.key, "template": case.template, "body": part}
        for case, part in zip(node.cases, parts, strict=False)
    ]
    default = None if node.default is None else parts[-1]
    return {"on": node.on, "cases": cases, "default": default}


def _task(node: TaskNode) -> dict[str, Any]:
    task = node.task
    return {
        "task": task.name,
        "reference": task.reference,
        "inputs": dict(node.inputs),
        "outputs": list(node.outputs),
        "policy": _policy(node.policy),
        "task_policy": _policy(task.policy),
        "isolation": task.isolation.value,
        "checkpoint": task.checkpoint,
        "cache": task.cache,
        "expires": task.expires,
        "routes": task.routes,
    }
