"""Writing a flow as ``flow.yaml``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tailrace.errors import DefinitionError
from tailrace.flows.build import named
from tailrace.flows.graph_write import check_depth, edge_texts, graph_text
from tailrace.flows.hash import overlaid
from tailrace.flows.task_entries import TaskEntries, TaskEntry, without_given_names
from tailrace.flows.yaml_text import core_value
from tailrace.model import All, Flow, Isolation, ScratchMerge
from tailrace.policy.durations import format_duration

_DEPTH = 48
"""Lists and mappings inside one another that are written, at most."""


def to_yaml(flow: Flow, *, form: str = "graph") -> str:
    """Return a flow as the text of a ``flow.yaml`` with the same definition hash.

    Args:
        flow: the definition. Comments of the file it came from are not kept.
        form: ``graph`` for graph text, ``edges`` for an edge list.

    Raises:
        DefinitionError: a flow file cannot say it (TR004): tasks that cannot be imported,
            sub-flows, values that are no plain data, and as graph text general graphs.
    """
    if form not in {"graph", "edges"}:
        raise DefinitionError(
            f"form is {form!r}; allowed: graph, edges", code="TR004", hint="Write form='graph'."
        )
    lines = ["version: 1", f"name: {scalar_text(flow.name)}"]
    entries = TaskEntries.of(flow)
    if entries.entries:
        lines.append("tasks:")
        for entry in entries.entries.values():
            lines += [f"  {entry.name}:", *_entry(entry)]
    lines += ["flow:", *_settings(flow), *_structure(flow, form, entries)]
    if flow.expose_env:
        lines += ["runtime:", f"  expose_env: {flow_text(flow.expose_env)}"]
    return "\n".join([*lines, ""])


def _entry(entry: TaskEntry) -> Iterator[str]:
    task = entry.node.task
    yield f"    callable: {scalar_text(task.reference)}"
    if entry.inputs:
        yield "    inputs:"
        for name, value in entry.inputs.items():
            yield f"      {scalar_text(name)}: {flow_text(value)}"
    if entry.outputs:
        yield f"    outputs: {flow_text(entry.outputs)}"
    if entry.policy:
        yield f"    policy: {flow_text(nested(entry.policy))}"
    if task.isolation is not Isolation.AUTO:
        yield f"    isolation: {task.isolation.value}"
    if task.checkpoint != "auto":
        yield f"    checkpoint: {task.checkpoint}"
    if task.cache != "none":
        yield f"    cache: {task.cache}"
    if task.expires:
        yield f"    expires: {format_duration(task.expires)}"
    if task.routes:
        yield "    route: true"


def _settings(flow: Flow) -> Iterator[str]:
    if flow.defaults:
        yield "  defaults:"
        for name, value in flow.defaults.items():
            yield f"    {scalar_text(name)}: {flow_text(value)}"
    if flow.policy is not None and flow.policy.given:
        yield f"  policy: {flow_text(nested(overlaid(flow.policy)))}"
    if flow.max_parallel != 8:
        yield f"  max_parallel: {flow.max_parallel}"
    if flow.scratch_merge is not ScratchMerge.ERROR_ON_CONFLICT:
        yield f"  scratch_merge: {flow.scratch_merge.value}"


def _structure(flow: Flow, form: str, entries: TaskEntries) -> Iterator[str]:
    if flow.root is None:
        raise DefinitionError(
            f"flow {flow.name!r} has no nodes, and a flow file needs one", code="TR004"
        )
    root = named(flow.root)
    check_depth(root)
    if form == "graph":
        yield "  graph: |"
        text = graph_text(without_given_names(root), entries)
        yield from (f"    {line}" for line in text.split("\n"))
        return
    starts, chains = edge_texts(without_given_names(root, All), entries)
    yield f"  entry: {flow_text(starts)}"
    yield "  edges:"
    yield from (f"    - {quoted(chain)}" for chain in chains)


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted name as mappings inside a mapping."""
    tree: dict[str, Any] = {}
    for path, given in sorted(fields.items()):
        head, _, rest = path.partition(".")
        value = sorted(given) if isinstance(given, set | frozenset) else given
        if rest:
            tree.setdefault(head, {})[rest] = value
        else:
            tree[head] = value
    return tree


def flow_text(value: Any, depth: int = 0) -> str:
    """Return plain data in the flow style of YAML, on one line.

    Raises:
        DefinitionError: it is no plain data, or nested too deep.
    """
    if depth > _DEPTH:
        raise DefinitionError(f"a value is nested more than {_DEPTH} deep", code="TR004")
    match value:
        case Mapping():
            pairs = (
                f"{scalar_text(key)}: {flow_text(member, depth + 1)}"
                for key, member in value.items()
            )
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(flow_text(member, depth + 1) for member in value)}]"
        case _:
            return scalar_text(value)


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?::[A-Za-z_][A-Za-z0-9_.]*)?")
_OLD_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n"})


def scalar_text(value: Any) -> str:
    """Return a single value so that it is read as the same value.

    Raises:
        DefinitionError: it is no text, number, boolean or None.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            is_plain = _PLAIN.fullmatch(value) and core_value(value) == value
            return value if is_plain and value.lower() not in _OLD_BOOLEANS else quoted(value)
        case int():
            return str(int(value))
        case float():
            if math.isnan(value):
                return ".nan"
            return ("-.inf" if value < 0 else ".inf") if math.isinf(value) else repr(float(value))
        case _:
            raise DefinitionError(
                f"{value!r} cannot be written into a flow file; allowed: text, numbers, booleans, "
                "null, and lists and mappings of these",
                code="TR004",
                hint="Let a task make it, or write the flow in Python.",
            )


_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    """Return a text in double quotes; what is not printable is escaped."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(sign: str) -> str:
    if sign in _ESCAPED:
        return _ESCAPED[sign]
    code = ord(sign)
    if 0xD800 <= code < 0xE000:
        raise DefinitionError(
            f"the text holds half a character (U+{code:04X}), which no file can hold", code="TR004"
        )
    if sign.isprintable():
        return sign
    return f"\\x{code:02x}" if code < 0x100 else f"\\U{code:08x}"
