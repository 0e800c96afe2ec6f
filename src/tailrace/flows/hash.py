"""The hash of a definition: equal for equal flows, however and wherever they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, assert_never

from tailrace.flows.case_key import constant_case
from tailrace.flows.tree import fold
from tailrace.model import (
    All,
    AnyOf,
    Case,
    Flow,
    ForEach,
    Graph,
    Node,
    OnError,
    Policy,
    Repeat,
    Retry,
    Seq,
    SubFlow,
    Switch,
    TaskNode,
    Until,
)

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def definition_hash(flow: Flow) -> str:
    """Return the SHA-256 (hex) of what a flow does.

    Names of nodes, references of tasks, inputs, outputs, policies, structure and defaults count;
    the flow's own name, files, places in them and descriptions do not.
    """
    return sha256(_flow(flow).encode(errors="surrogatepass")).hexdigest()


def _flow(flow: Flow) -> str:
    combine = _Texts()
    root = "null" if flow.root is None else fold(flow.root, combine)
    handlers = [combine(node, [], 0) for _, node in sorted(flow.handlers.items())]
    rest = _json(
        [
            canonical_value(flow.defaults),
            canonical_policy(flow.policy),
            flow.max_parallel,
            sorted(set(flow.expose_env)),
            flow.scratch_merge.value,
        ]
    )
    return f"[1,{root},[{','.join(handlers)}],{rest}]"


class _Texts:
    """Canonical texts of nodes; what many nodes of one task have in common is written once."""

    def __init__(self) -> None:
        self._plain: dict[int, str] = {}
        """By identity of the task: what follows the name in a node that adds nothing to it."""

    def __call__(self, node: Node, parts: list[str], _number: int) -> str:
        if not isinstance(node, TaskNode) or node.inputs or node.outputs or node.policy is not None:
            return _node(node, parts)
        known = self._plain.get(id(node.task))
        if known is None:
            known = self._plain[id(node.task)] = _json(_task(node)[1:])[1:]
        return f'["TaskNode",[{_json(node.name)},{known},[]]'


def _node(node: Node, parts: list[str]) -> str:
    """Return the canonical text of a node from those of its children."""
    own: list[Any]
    match node:
        case TaskNode():
            own = _task(node)
        case Seq() | All() | AnyOf():
            own = [] if isinstance(node, Seq) else [node.name]
        case Graph():
            own = sorted(set(node.edges))
        case Switch():
            own = [node.name, node.on, [_case(case) for case in node.cases]]
        case ForEach():
            own = [node.name, node.over, node.item, node.index, node.collect, node.concurrency]
        case Repeat():
            own = [node.name, node.count, node.collect]
        case Until():
            own = [node.name, node.condition, node.max_iterations, node.collect]
        case SubFlow():
            own = [node.name, canonical_value(node.inputs)]
            parts = [_flow(node.flow)]
        case _:
            assert_never(node)
    return f'["{type(node).__name__}",{_json(own)},[{",".join(parts)}]]'


def _case(case: Case) -> list[Any]:
    case = constant_case(case)
    return [case.template, type(case.key).__name__, case.key]


def _task(node: TaskNode) -> list[Any]:
    task = node.task
    outputs = node.outputs or task.outputs
    return [
        node.name,
        task.reference,
        canonical_value({**task.inputs, **node.inputs}),
        [output.removeprefix("ctx.") for output in outputs],
        canonical_policy(task.policy, node.policy),
        task.isolation,
        task.checkpoint,
        task.routes,
        *([] if task.cache == "none" else [task.cache, task.expires]),
    ]


def _json(value: Any) -> str:
    return _encode(value)


def canonical_value(value: Any) -> Any:
    """Return a value as JSON can hold it, equal for values that a flow file writes equally.

    Order of keys does not count, and a tuple is a list. What JSON cannot hold is shown by its type
    and, unless that tells an address, its ``repr``.
    """
    match value:
        case None | bool() | str() | int() | float():
            return value
        case list() | tuple():
            return [canonical_value(member) for member in value]
        case Mapping():
            pairs = [
                (_json([type(key).__name__, canonical_value(key)]), canonical_value(member))
                for key, member in value.items()
            ]
            return {"{}": sorted(pairs, key=lambda pair: pair[0])}
        case _:
            shown = repr(value)
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            return {"<>": [kind, "" if " at 0x" in shown else shown]}


def canonical_policy(*levels: Policy | None) -> dict[str, Any]:
    """Return what some levels give together, in one spelling: values by dotted name."""
    return {name: _field(name, value) for name, value in sorted(overlaid(*levels).items())}


def overlaid(*levels: Policy | None) -> dict[str, Any]:
    """Return what some levels give together, the later ones stronger: values by dotted name."""
    fields: dict[str, Any] = {}
    for level in levels:
        if level is not None:
            fields |= _fields(level, "")
    return fields


def _fields(part: Policy | Retry | OnError, prefix: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in part.given:
        value = getattr(part, name)
        if isinstance(value, Retry | OnError):
            fields |= _fields(value, f"{name}.")
        else:
            fields[prefix + name] = value
    return fields


_DURATIONS = frozenset(
    {
        "timeout",
        "total_timeout",
        "retry.delay",
        "retry.max_delay",
        "retry.max_elapsed",
        "retry.retry_after_cap",
    }
)
_SETS = frozenset({"retry.on", "retry.give_up_on"})
_NUMBERS = frozenset({"retry.factor", "retry.jitter"})


def _field(name: str, value: Any) -> Any:
    if name in _SETS and isinstance(value, list | tuple | set | frozenset):
        return sorted(map(str, value))
    if name in _NUMBERS and isinstance(value, int):
        return float(value)
    if name in _DURATIONS and value is not None:
        from tailrace.policy import parse_duration  # noqa: PLC0415 - few flows have durations

        try:
            return parse_duration(value)
        except ValueError:
            return canonical_value(value)
    return canonical_value(value)
