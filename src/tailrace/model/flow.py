"""The definition of a flow: a structured tree of nodes. Nothing here runs anything.

Three spellings compile to this form (Python operators, ``graph:`` text, edge list) and two of them
that mean the same flow give equal trees, so their definition hashes are equal.

Canonical rules, kept by every builder: ``Seq`` and ``All`` are never nested directly in themselves
and never have fewer than two children; expressions are stored as canonical source without braces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from tailrace.model.finding import SourceSpan
from tailrace.model.policy import Policy
from tailrace.model.rule import Rule


class CallKind(StrEnum):
    """How a callable is run. GENERATOR kinds stream their values into ``foreach``."""

    SYNC = "sync"
    ASYNC = "async"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async_generator"


class Isolation(StrEnum):
    """Where an attempt runs.

    AUTO: inline when it is alone ready, else in a thread. THREAD and PROCESS always there;
    a process can be killed. INLINE: always on the engine's own thread.
    """

    AUTO = "auto"
    INLINE = "inline"
    THREAD = "thread"
    PROCESS = "process"


class Collect(StrEnum):
    """What a loop's own output is made of."""

    LIST = "list"
    LAST = "last"
    FIRST = "first"
    FLATTEN = "flatten"


class ScratchMerge(StrEnum):
    """What a join does when two branches wrote different values to one scratch key."""

    ERROR_ON_CONFLICT = "error_on_conflict"
    OVERWRITE = "overwrite"
    KEEP_FIRST = "keep_first"


class TaskSpec(Struct, frozen=True, kw_only=True, eq=False):
    """A Python callable under a public name."""

    name: str
    function: Callable[..., Any]
    reference: str
    """``module:qualname`` for what can be imported, else a readable description in ``<>``."""
    kind: CallKind = CallKind.SYNC
    isolation: Isolation = Isolation.AUTO
    policy: Policy | None = None
    checkpoint: str = "auto"
    """``auto`` (JSON codec), ``pickle`` (local stores only) or ``none``."""
    cache: str = "none"
    """``inputs``: an output recorded for the same code and inputs is reused; or ``none``."""
    expires: float = 0.0
    """Seconds for which such an output is reused; 0: for as long as its run is kept."""
    rules: tuple[Rule, ...] = ()
    """What its failures mean, asked before the project's rules."""
    routes: bool = False
    """True for ``route(fn)``: the result names the successors to activate."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    doc: str = ""
    origin: str = ""
    """``python``, ``yaml``, or ``plugin:<distribution>``."""


class TaskNode(Struct, frozen=True, kw_only=True, eq=False):
    """A task under a node name, with its inputs and its policy."""

    name: str
    task: TaskSpec
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Parameter name to literal or template, as written."""
    outputs: tuple[str, ...] = ()
    """Context paths that also receive the result, such as ``scratch.raw``."""
    policy: Policy | None = None
    where: SourceSpan | None = None


class Seq(Struct, frozen=True, kw_only=True, eq=False):
    """Children one after the other."""

    children: tuple[Node, ...]


class All(Struct, frozen=True, kw_only=True, eq=False):
    """Children side by side; the join waits for every activated one."""

    children: tuple[Node, ...]
    name: str = ""
    """Unique container name, given when the flow is built (``all``, ``all_2``, …)."""


class AnyOf(Struct, frozen=True, kw_only=True, eq=False):
    """Children side by side; the first success wins and the others are cancelled."""

    children: tuple[Node, ...]
    name: str = ""


class Graph(Struct, frozen=True, kw_only=True, eq=False):
    """A general graph that is no nesting of sequences and groups.

    ``edges`` are pairs of positions in ``nodes``; the order of ``nodes`` is definition order.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]


class Case(Struct, frozen=True, kw_only=True, eq=False):
    """One branch of a switch. ``template`` marks a key that is itself an expression."""

    key: str | int | float | bool | None
    body: Node
    template: bool = False


class Switch(Struct, frozen=True, kw_only=True, eq=False):
    """Runs the branch whose key equals the value of ``on``."""

    name: str
    on: str
    cases: tuple[Case, ...]
    default: Node | None = None
    where: SourceSpan | None = None


class ForEach(Struct, frozen=True, kw_only=True, eq=False):
    """Runs the body once per item; at most ``concurrency`` at a time, results in item order."""

    name: str
    over: str
    body: Node
    item: str | None = None
    index: str | None = None
    collect: Collect = Collect.LIST
    concurrency: int | str = 1
    """A number, or an expression's source."""
    where: SourceSpan | None = None


class Repeat(Struct, frozen=True, kw_only=True, eq=False):
    """Runs the body ``count`` times (a number, or an expression's source)."""

    name: str
    count: int | str
    body: Node
    collect: Collect = Collect.LIST
    where: SourceSpan | None = None


class Until(Struct, frozen=True, kw_only=True, eq=False):
    """Runs the body, then again until ``condition`` holds; fails after ``max_iterations``."""

    name: str
    condition: str
    body: Node
    max_iterations: int = 1000
    collect: Collect = Collect.LAST
    where: SourceSpan | None = None


class SubFlow(Struct, frozen=True, kw_only=True, eq=False):
    """Runs another flow as one node; ``inputs`` become its params, its output the node's."""

    name: str
    flow: Flow
    inputs: Mapping[str, Any] = field(default_factory=dict)
    where: SourceSpan | None = None


Node = TaskNode | Seq | All | AnyOf | Graph | Switch | ForEach | Repeat | Until | SubFlow


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Flow:
    """A definition: a tree of nodes with defaults and a policy."""

    name: str
    root: Node | None
    """None only for a flow without nodes."""
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    policy: Policy | None = None
    max_parallel: int = 8
    """Attempts that run at the same time, at most."""
    expose_env: tuple[str, ...] = ()
    scratch_merge: ScratchMerge = ScratchMerge.ERROR_ON_CONFLICT
    handlers: Mapping[str, TaskNode] = dataclasses.field(default_factory=dict)
    """Nodes outside the graph that ``on_error`` sends to, by name."""
    source: str = ""
    """The file or ``module:name`` the flow came from; empty when built in a session."""
    rules: tuple[Rule, ...] = ()
    """What failures of its tasks mean, asked after a task's own rules and before the project's."""
