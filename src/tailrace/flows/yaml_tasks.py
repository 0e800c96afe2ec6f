"""The ``tasks:`` of a YAML file: callables found, plug-in tasks looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tailrace.errors import DefinitionError, ExpressionError
from tailrace.flows.caching import MODES, Caching, read_caching
from tailrace.flows.discovery import resolve_callable, resolve_use
from tailrace.flows.expressions import compile_value
from tailrace.flows.findings import meant
from tailrace.flows.yaml_policy import read_policy
from tailrace.flows.yaml_shape import Section, data_of
from tailrace.flows.yaml_text import Scalar, Table, passage_of, scalars
from tailrace.model import Finding, Isolation, Severity, SourceSpan, TaskNode, TaskSpec
from tailrace.policy.durations import ALLOWED

KEYS = (
    "callable", "use", "inputs", "outputs", "policy", "isolation", "checkpoint", "cache",
    "expires", "route", "description",
)  # fmt: skip
CHECKPOINTS = ("auto", "pickle", "none")

AllowImport = Callable[[str], bool]
"""Tells whether a flow file may import a module of this name."""


class TaskTable:
    """The tasks a file defines, and behind them those of plug-ins.

    A task whose callable cannot be found is reported, and a stand-in takes its place, so that
    everything else can be checked.
    """

    def __init__(
        self, section: Section, *, folder: Path | None, allow_import: AllowImport | None
    ) -> None:
        self._section = section
        self._findings = section.findings
        self._folder = folder
        self._allow = allow_import
        self._sections = dict(_sections(section))
        self._nodes: dict[str, TaskNode | None] = {}
        self._used: set[str] = set()
        self._severity = Severity.ERROR
        self._following: list[str] = []
        """Names whose ``use:`` is being followed."""

    def read_rest(self, *, are_used: bool) -> None:
        """Read the tasks that nothing has asked for.

        What discovery finds wrong with a task that is not used stops no run: it is a warning.
        """
        self._severity = Severity.ERROR if are_used else Severity.WARNING
        for name in self._sections:
            self._read(name)

    def find(self, name: str) -> TaskNode | None:
        """Return a node of the task, to be given its name and its place; None: unknown."""
        self._used.add(name)
        return self._read(name)

    def names(self) -> list[str]:
        """Return the names of the tasks of the file."""
        return list(self._sections)

    def warn_unused(self) -> None:
        """Report the tasks of the file that nothing has asked for."""
        for name in [name for name in self._sections if name not in self._used][:50]:
            self._findings.warn(
                "TR116",
                f"the task {name!r} is never used",
                where=self._section.key_at(name),
                hint="Name it in the graph, or remove it.",
                subject=f"tasks.{name}",
            )

    def _read(self, name: str) -> TaskNode | None:
        if name not in self._nodes:
            section = self._sections.get(name)
            self._nodes[name] = (
                _discovered(name) if section is None else self._defined(name, section)
            )
        return self._nodes[name]

    def _defined(self, name: str, section: Section) -> TaskNode:
        base = self._base(name, section)
        isolation = section.choice("isolation", [member.value for member in Isolation])
        checkpoint = section.choice("checkpoint", CHECKPOINTS)
        routes = section.flag("route")
        caching = self._caching(section, base.task, checkpoint or base.task.checkpoint)
        spec = replace(
            base.task,
            name=name,
            isolation=base.task.isolation if isolation is None else Isolation(isolation),
            checkpoint=checkpoint or base.task.checkpoint,
            cache=caching.mode,
            expires=caching.expires,
            routes=base.task.routes if routes is None else routes,
            doc=section.text("description") or base.task.doc,
        )
        outputs = tuple(str(output.value) for output in section.texts("outputs"))
        if section.get("callable") is None:  # another task's outputs are added to
            outputs = (*(base.outputs or base.task.outputs), *outputs)
        return TaskNode(
            name=name,
            task=spec,
            inputs={**base.inputs, **_inputs(section)},
            outputs=outputs,
            policy=read_policy(section) or base.policy,
        )

    def _caching(self, section: Section, base: TaskSpec, checkpoint: str) -> Caching:
        """Return how the task is cached; what is wrong with it is reported."""
        mode = section.choice("cache", MODES) or base.cache
        given = section.get("expires")
        written = given.value if isinstance(given, Scalar) else None
        if given is not None and written is None:
            section.refuse(given, section.subject("expires"), ALLOWED, "Write expires: 24h.")
        if written is None and mode != "none":
            written = base.expires
        try:
            return read_caching(mode, written, checkpoint)
        except DefinitionError as error:
            key = "cache" if given is None else "expires"
            self._take(error, section.key_at(key), section.subject(key))
            return Caching()

    def _base(self, name: str, section: Section) -> TaskNode:
        """Return the node of what the task is made from."""
        reference, use = section.scalar("callable"), section.scalar("use")
        if reference is not None and use is not None:
            self._findings.add(
                "TR114",
                f"tasks.{name} has both 'callable' and 'use'",
                where=section.key_at("use"),
                hint="Keep 'callable' for a function of your own, 'use' for a plug-in task.",
                subject=section.path,
            )
        if reference is not None:
            return self._from_callable(str(reference.value), section, section.at(reference))
        if use is not None:
            return self._from_use(name, str(use.value), section, section.at(use))
        if section.get("callable") is None and section.get("use") is None:
            found = _discovered(name)
            if found is not None:
                return found
            self._findings.add(
                "TR108",
                f"tasks.{name} has neither 'callable' nor 'use', and no plug-in task has its name",
                where=self._section.key_at(name),
                hint="Add callable: module:function.",
                subject=section.path,
            )
        return _stand_in(name)

    def _from_callable(self, reference: str, section: Section, where: SourceSpan) -> TaskNode:
        try:
            spec = resolve_callable(reference, folder=self._folder, allow=self._allow)
        except DefinitionError as error:
            self._take(error, where, section.subject("callable"))
            return _stand_in(reference)
        return TaskNode(name=spec.name, task=spec)

    def _from_use(self, name: str, use: str, section: Section, where: SourceSpan) -> TaskNode:
        if use in self._sections and use != name:
            if use in self._following:
                circle = " >> ".join([*self._following, use])
                self._findings.add(
                    "TR114",
                    f"tasks use one another in a circle: {circle}",
                    where=where,
                    hint="Give one of them a callable.",
                    subject=section.subject("use"),
                )
                return _stand_in(name)
            self._used.add(use)
            self._following.append(name)
            found = self._read(use)
            self._following.pop()
            return found or _stand_in(use)
        try:
            spec = resolve_use(use)
        except DefinitionError as error:
            self._take(error, where, section.subject("use"), near=meant(use, self._sections))
            return _stand_in(use)
        return TaskNode(name=spec.name, task=spec)

    def _take(
        self, error: DefinitionError, where: SourceSpan, subject: str, *, near: str = ""
    ) -> None:
        """Report what discovery found wrong, at the place in the file."""
        found = error.findings or (error,)
        for problem in found:
            is_finding = isinstance(problem, Finding)
            self._findings.add(
                problem.code,
                problem.message + near,
                where=(problem.where or where) if is_finding else where,
                hint=problem.hint,
                subject=subject,
                severity=self._severity,
            )


def _sections(section: Section) -> Iterator[tuple[str, Section]]:
    for entry in section.table.entries:
        name = str(entry.key.value)
        path = f"tasks.{name}"
        table = None if section.get(name) is None else section.as_table(entry.value, path)
        empty = Table((), entry.key.start, entry.key.end)
        yield name, Section(table or empty, path, section.source, section.findings, known=KEYS)


def _discovered(name: str) -> TaskNode | None:
    try:
        spec = resolve_use(name)
    except DefinitionError:
        return None
    return TaskNode(name=name, task=spec)


def _stand_in(name: str) -> TaskNode:
    return TaskNode(
        name=name,
        task=TaskSpec(name=name, function=_missing, reference=f"<missing {name}>"),
    )


def _missing(**_: Any) -> None:
    raise AssertionError("a flow with errors was run")


def _inputs(section: Section) -> dict[str, Any]:
    table = section.table_of("inputs")
    if table is None:
        return {}
    inputs = data_of(table)
    for entry in table.entries:
        name = str(entry.key.value)
        texts = [scalar for scalar in scalars(entry.value) if isinstance(scalar.value, str)]
        subject = section.subject(f"inputs.{name}")
        if not all([_is_expression(text, section, subject) for text in texts]):  # noqa: C419 - report all
            inputs[name] = None  # the parameter still counts as given
    return inputs


def _is_expression(scalar: Scalar, section: Section, subject: str) -> bool:
    """False if a text holds an expression that cannot be parsed, which is reported."""
    try:
        compile_value(scalar.value)
    except ExpressionError as error:
        passage = passage_of(scalar, section.source)
        at = error.column
        is_inside = 0 <= at < len(passage.text)
        section.findings.add(
            error.code,
            error.message,
            where=passage.span(at, at + 1) if is_inside else section.at(scalar),
            hint=error.hint,
            subject=subject,
        )
        return False
    return True
