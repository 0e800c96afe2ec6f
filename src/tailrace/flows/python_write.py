"""Writing a flow as Python source."""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from msgspec import Struct, field

from tailrace.errors import DefinitionError
from tailrace.flows.build import named
from tailrace.flows.graph_write import template
from tailrace.flows.hash import overlaid
from tailrace.flows.literal import literal
from tailrace.flows.task_entries import TaskEntries, TaskEntry, without_given_names
from tailrace.flows.tree import fold
from tailrace.flows.yaml_write import nested
from tailrace.model import (
    All,
    AnyOf,
    Case,
    Collect,
    Flow,
    ForEach,
    Graph,
    Isolation,
    Node,
    Repeat,
    ScratchMerge,
    Seq,
    SubFlow,
    Switch,
    TaskNode,
    Until,
)
from tailrace.policy.durations import format_duration

_IN_A_ROW = 40
"""Operands of one expression; Python does not compile very long ones."""
_WIDTH = 88
_BREAK = "\n    "
_OFFERED = (
    "Flow", "OnError", "Policy", "Retry", "foreach", "repeat", "route", "subflow", "switch", "task",
    "until",
)  # fmt: skip


def to_python(flow: Flow) -> str:
    """Return a flow as a Python module; its variable ``flow`` has the same definition hash.

    Raises:
        DefinitionError: tasks cannot be imported, or values have no source (TR004).
    """
    module = _Module()
    module.write(flow, "flow")
    body = "\n".join(module.lines)
    used = [name for name in _OFFERED if f"{name}(" in body]
    imports = [f"import {name}" for name in sorted(module.imports)]
    imports.append(f"from tailrace import {', '.join(used)}")
    if "Graph(" in body:
        imports.append("from tailrace.model import Graph")
    title = "".join(sign for sign in flow.name if sign.isprintable() and sign not in '"\\')
    return "\n".join([f'"""Flow {title}."""', "", *imports, "", *module.lines, ""])


class _Module(Struct):
    lines: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=lambda: {*_OFFERED, "flow", "float", "Graph"})
    variables: dict[str, str] = field(default_factory=dict)
    """Variable by name of task, for the flow that is being written."""

    def write(self, flow: Flow, variable: str) -> None:
        """Append the statements of a flow; those inside it come before."""
        if flow.root is None:
            raise DefinitionError(f"flow {flow.name!r} has no nodes", code="TR004")
        entries = TaskEntries.of(flow)
        self._import(entries)
        outer, self.variables = self.variables, {}
        for entry in entries.entries.values():
            self.variables[entry.name] = self.new_name(entry.name)
            self.lines.append(f"{self.variables[entry.name]} = {_task(entry)}")
        writer = _Writer(self, entries)
        body = fold(without_given_names(named(flow.root)), writer.written)
        handlers = [self.variables[name] for name in flow.handlers]
        arguments = [python_text(flow.name), _bare(body), *_settings(flow)]
        if handlers:
            arguments.append(f"handlers=[{', '.join(handlers)}]")
        self.lines.append(_call(f"{variable} = Flow", arguments))
        self.variables = outer

    def _import(self, entries: TaskEntries) -> None:
        modules = {
            entry.node.task.reference.partition(":")[0] for entry in entries.entries.values()
        }
        self.imports |= modules
        self.taken |= {module.partition(".")[0] for module in modules}

    def new_name(self, wish: str) -> str:
        """Return a variable that is not taken."""
        name = "".join(sign if sign.isalnum() or sign == "_" else "_" for sign in wish)
        if not name.isidentifier() or keyword.iskeyword(name):
            name = f"{name}_" if keyword.iskeyword(name) else f"step_{name}"
        base, count = name, 2
        while name in self.taken:
            name, count = f"{base}_{count}", count + 1
        self.taken.add(name)
        return name


class _Writer(Struct, frozen=True):
    module: _Module
    entries: TaskEntries

    def written(self, node: Node, parts: list[str], _number: int) -> str:
        """Return the source of a node; what is made of operators stands in parentheses."""
        match node:
            case TaskNode():
                task = self.entries.name_of(node)
                variable = self.module.variables[task]
                return (
                    variable if task == node.name else f"{variable}.named({python_text(node.name)})"
                )
            case Seq() | All() | AnyOf():
                sign = {Seq: " >> ", All: " & ", AnyOf: " | "}[type(node)]
                text = self._joined(sign, parts)
                name = "" if isinstance(node, Seq) else node.name
                return f"{text}.named({python_text(name)})" if name else text
            case Graph():
                edges = "".join(f"{edge!r}, " for edge in sorted(set(node.edges)))
                nodes = "".join(f"({_bare(part)}).node, " for part in parts)
                return f"Graph(nodes=({nodes}), edges=({edges}))"
            case Switch():
                return _switch(node, parts)
            case ForEach() | Repeat() | Until():
                return f"{_loop(node)}({_bare(parts[0])})"
            case SubFlow():
                return self._subflow(node)
            case _:
                assert_never(node)

    def _joined(self, sign: str, parts: Sequence[str]) -> str:
        """Return operands in a row; long rows are written as several statements."""
        while len(parts) > _IN_A_ROW:
            rows = [parts[at : at + _IN_A_ROW] for at in range(0, len(parts), _IN_A_ROW)]
            parts = [self._statement(sign.join(row)) for row in rows]
        row = sign.join(parts)
        if len(row) > _WIDTH:
            row = f"{_BREAK}{f'{_BREAK}{sign.strip()} '.join(parts)}\n"
        return f"({row})"

    def _statement(self, source: str) -> str:
        name = self.module.new_name("part")
        self.module.lines.append(f"{name} = {source}")
        return name

    def _subflow(self, node: SubFlow) -> str:
        variable = self.module.new_name(f"{node.flow.name}_flow")
        self.module.write(node.flow, variable)
        inputs = f", inputs={python_text(node.inputs)}" if node.inputs else ""
        return f"subflow({variable}{inputs}{_named(node.name)})"


def _bare(text: str) -> str:
    """Return a source without the parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")) or "\n" in text:
        return text
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return text[1:-1] if at == len(text) - 1 else text
    return text


def _named(name: str) -> str:
    return f", name={python_text(name)}" if name else ""


def _switch(node: Switch, parts: Sequence[str]) -> str:
    seen: set[Any] = set()
    cases = []
    for case, part in zip(node.cases, parts, strict=False):
        cases.append(f"{_key(case, is_double=case.key in seen)}: {_bare(part)}")
        seen.add(case.key)
    default = "" if node.default is None else f", default={_bare(parts[-1])}"
    on = python_text(template(node.on))
    return f"switch({on}, {{{', '.join(cases)}}}{default}{_named(node.name)})"


def _key(case: Case, *, is_double: bool) -> str:
    """Return a key of a dict; one that Python takes for another key becomes a template."""
    if case.template:
        return python_text(template(str(case.key)))
    if is_double or (isinstance(case.key, str) and "{{" in case.key):
        return python_text(template(literal(case.key)))
    return python_text(case.key)


def _loop(node: ForEach | Repeat | Until) -> str:
    default = Collect.LIST
    arguments: list[str] = []
    match node:
        case ForEach():
            kind, first = "foreach", python_text(template(node.over))
            arguments += [
                f"{key}={python_text(name)}"
                for key, name in (("item", node.item), ("index", node.index))
                if name is not None
            ]
            if node.concurrency != 1:
                arguments.append(f"concurrency={_number(node.concurrency)}")
        case Repeat():
            kind, first = "repeat", _number(node.count)
        case Until():
            kind, first, default = "until", python_text(template(node.condition)), Collect.LAST
            if node.max_iterations != 1000:
                arguments.append(f"max_iter={node.max_iterations}")
        case _:
            assert_never(node)
    if node.collect is not default:
        arguments.append(f"collect={python_text(node.collect.value)}")
    return f"{kind}({', '.join([first, *arguments])}{_named(node.name)})"


def _number(value: int | str) -> str:
    return str(value) if isinstance(value, int) else python_text(template(value))


def _task(entry: TaskEntry) -> str:
    task = entry.node.task
    arguments = [task.reference.replace(":", "."), f"name={python_text(entry.name)}"]
    if entry.inputs:
        arguments.append(f"inputs={python_text(entry.inputs)}")
    if entry.outputs:
        arguments.append(f"outputs={python_text(list(entry.outputs))}")
    if entry.policy:
        arguments.append(f"policy={_policy(entry.policy)}")
    if task.isolation is not Isolation.AUTO:
        arguments.append(f"isolation={python_text(task.isolation.value)}")
    if task.checkpoint != "auto":
        arguments.append(f"checkpoint={python_text(task.checkpoint)}")
    if task.cache != "none":
        arguments.append(f"cache={python_text(task.cache)}")
    if task.expires:
        arguments.append(f"expires={python_text(format_duration(task.expires))}")
    made = _call("task", arguments)
    return f"route({made})" if task.routes else made


def _policy(fields: Mapping[str, Any]) -> str:
    kinds = {"retry": "Retry", "on_error": "OnError"}
    arguments = [
        f"{name}={_call(kinds[name], _keywords(value))}"
        if name in kinds
        else f"{name}={python_text(value)}"
        for name, value in nested(fields).items()
    ]
    return _call("Policy", arguments)


def _keywords(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={python_text(value)}" for name, value in values.items()]


def _settings(flow: Flow) -> Iterator[str]:
    if flow.defaults:
        yield f"defaults={python_text(flow.defaults)}"
    if flow.policy is not None and flow.policy.given:
        yield f"policy={_policy(overlaid(flow.policy))}"
    if flow.max_parallel != 8:
        yield f"max_parallel={flow.max_parallel}"
    if flow.expose_env:
        yield f"expose_env={python_text(list(flow.expose_env))}"
    if flow.scratch_merge is not ScratchMerge.ERROR_ON_CONFLICT:
        yield f"scratch_merge={python_text(flow.scratch_merge.value)}"


def _call(name: str, arguments: Sequence[str]) -> str:
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    inner = "".join(f"\n{argument}," for argument in arguments).replace("\n", "\n    ")
    return f"{name}({inner}\n)"


def python_text(value: Any) -> str:
    """Return the source of plain data.

    Raises:
        DefinitionError: it is something else.
    """
    match value:
        case str():
            written = repr(value)
            is_plain = written.startswith("'") and '"' not in value and "\\" not in written
            return f'"{value}"' if is_plain else written
        case None | bool() | int():
            return repr(value)
        case float():
            return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
        case list():
            return f"[{', '.join(map(python_text, value))}]"
        case tuple():
            return f"({''.join(f'{python_text(member)}, ' for member in value)})"
        case Mapping():
            pairs = (f"{python_text(key)}: {python_text(member)}" for key, member in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            raise DefinitionError(
                f"{value!r} cannot be written as source; allowed: text, numbers, booleans, None, "
                "and lists, tuples and mappings of these",
                code="TR004",
                hint="Let a task make it.",
            )
