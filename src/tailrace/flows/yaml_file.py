"""Reading ``flow.yaml``: from text to a flow, with everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tailrace.errors import DefinitionError
from tailrace.flows.build import build_flow
from tailrace.flows.check import check_flow
from tailrace.flows.edge_list import read_edges
from tailrace.flows.findings import Findings
from tailrace.flows.graph_nodes import GraphBuilder
from tailrace.flows.graph_text import parse_graph
from tailrace.flows.graph_tokens import names_in
from tailrace.flows.graph_tree import Pipeline
from tailrace.flows.loaded import LoadedFlow
from tailrace.flows.passage import Passage, SourceFile
from tailrace.flows.tree import walk
from tailrace.flows.yaml_policy import read_policy
from tailrace.flows.yaml_shape import Section, data_of, shown
from tailrace.flows.yaml_tasks import AllowImport, TaskTable
from tailrace.flows.yaml_text import Items, Scalar, Table, Tree, passage_of, read_yaml, scalars
from tailrace.model import Flow, Node, Policy, ScratchMerge, TaskNode

MAX_BYTES = 262_144
"""Size of a flow file, at most."""

TOP_KEYS = ("version", "name", "pipes", "tasks", "flow", "runtime")
FLOW_KEYS = ("graph", "entry", "edges", "defaults", "policy", "max_parallel", "scratch_merge")
RUNTIME_KEYS = ("expose_env",)


def load_yaml(path: Path, *, allow_import: AllowImport | None = None) -> LoadedFlow:
    """Return the flow of a file. What is wrong, an unreadable file included, is in the findings.

    Args:
        path: the file; modules beside it can be imported.
        allow_import: tells whether ``callable:`` may import a module; None allows all.
    """
    findings = Findings()
    try:
        body = path.read_bytes()
    except OSError as error:
        findings.add(
            "TR101",
            f"{path} cannot be read: {error.strerror or error}",
            hint="Check the name of the file and its permissions.",
        )
        return LoadedFlow(None, findings.sorted())
    text = _decoded(body, str(path), findings)
    if text is None:
        return LoadedFlow(None, findings.sorted())
    folder = path.resolve().parent
    return parse_yaml(text, file=str(path), folder=folder, allow_import=allow_import)


def parse_yaml(
    text: str,
    *,
    file: str,
    folder: Path | None = None,
    allow_import: AllowImport | None = None,
) -> LoadedFlow:
    """Return the flow of a text, as ``load_yaml`` does.

    Args:
        text: the whole file.
        file: its name, for places and as the name of a flow that has none.
        folder: where modules of the flow's own are found; None: nowhere.
        allow_import: tells whether ``callable:`` may import a module; None allows all.
    """
    findings = Findings()
    source = SourceFile(file, text)
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        _refuse_size(file, len(text), findings)
        return LoadedFlow(None, findings.sorted())
    tree = read_yaml(source, findings)
    flow = None
    if isinstance(tree, Table):
        flow = _Reader(source, findings, folder, allow_import).flow(tree)
    elif not findings.has_errors:
        what = "empty" if tree is None else f"{shown(tree)} and no mapping"
        findings.add(
            "TR108",
            f"the file is {what}",
            where=source.span(0, 0),
            hint="Start with version: 1, tasks: and flow:; see tailrace init.",
        )
    if flow is not None:
        findings.extend(check_flow(flow))
    return LoadedFlow(flow, findings.sorted())


def _decoded(body: bytes, file: str, findings: Findings) -> str | None:
    if len(body) > MAX_BYTES:
        _refuse_size(file, len(body), findings)
        return None
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8", "replace")
        source = SourceFile(file, before)
        findings.add(
            "TR103",
            f"the byte 0x{body[error.start]:02x} is no UTF-8",
            where=source.span(len(before), len(before)),
            hint="Save the file as UTF-8.",
        )
        return None


def _refuse_size(file: str, size: int, findings: Findings) -> None:
    findings.add(
        "TR102",
        f"{file} has {size:,} bytes; at most {MAX_BYTES:,} are allowed",
        hint="Pass large data as a file that a task reads.",
    )


class _Reader:
    def __init__(
        self,
        source: SourceFile,
        findings: Findings,
        folder: Path | None,
        allow_import: AllowImport | None,
    ) -> None:
        self._source = source
        self._findings = findings
        self._folder = folder
        self._allow = allow_import
        self._is_whole = True

    def flow(self, table: Table) -> Flow | None:
        """Return the flow, unless parts of its graph are missing."""
        self._warn_words(table)
        self._refuse_older(table)
        table = Table(
            tuple(entry for entry in table.entries if entry.key.value not in _OLDER),
            table.start,
            table.end,
        )
        top = Section(table, "", self._source, self._findings, known=TOP_KEYS)
        self._check_version(top)
        tasks = self._tasks(top)
        flow = top.section("flow", FLOW_KEYS)
        if flow is None:
            tasks.read_rest(are_used=True)
            self._refuse_missing(top, "flow", "Add flow: {graph: …}.")
            return None
        builder = self._builder(top, tasks, flow)
        root = self._root(flow, builder)
        built = self._built(top, flow, root, tasks)
        is_whole = self._is_whole and builder.is_whole and root is not None
        tasks.read_rest(are_used=not is_whole)
        if not is_whole:
            return None
        tasks.warn_unused()
        return built

    def _built(
        self, top: Section, flow: Section, root: Node | None, tasks: TaskTable
    ) -> Flow | None:
        defaults = flow.table_of("defaults")
        policy = read_policy(flow)
        merge = flow.choice("scratch_merge", [member.value for member in ScratchMerge])
        runtime = top.section("runtime", RUNTIME_KEYS)
        exposed = [] if runtime is None else runtime.texts("expose_env")
        try:
            return build_flow(
                name=top.text("name") or Path(self._source.name).stem,
                root=root,
                defaults={} if defaults is None else data_of(defaults),
                policy=policy,
                max_parallel=flow.whole("max_parallel", minimum=1) or 8,
                expose_env=tuple(str(name.value) for name in exposed),
                scratch_merge=ScratchMerge(merge or ScratchMerge.ERROR_ON_CONFLICT),
                handlers=_handlers(root, policy, tasks),
                source=self._source.name,
            )
        except DefinitionError as error:
            self._findings.add(error.code, error.message, where=flow.where, hint=error.hint)
            return None

    def _tasks(self, top: Section) -> TaskTable:
        section = top.section("tasks")
        if section is None:
            section = Section(Table((), 0, 0), "tasks", self._source, self._findings)
        return TaskTable(section, folder=self._folder, allow_import=self._allow)

    def _builder(self, top: Section, tasks: TaskTable, flow: Section) -> GraphBuilder:
        section = top.section("pipes")
        pipes: dict[str, Pipeline | None] = {}
        mentioned = _names_in(flow)
        for entry in () if section is None else section.table.entries:
            name = str(entry.key.value)
            passage = None if section is None else section.passage(name)
            pipes[name] = None if passage is None else self._parsed(passage)
            mentioned |= set() if passage is None else names_in(passage.text)
        return GraphBuilder(tasks, pipes, mentioned, self._findings)

    def _parsed(self, passage: Passage) -> Pipeline | None:
        own = Findings()
        pipeline = parse_graph(passage, own)
        self._is_whole &= not own.has_errors
        self._findings.extend(own.sorted())
        return pipeline

    def _root(self, flow: Section, builder: GraphBuilder) -> Node | None:
        has_edges = flow.get("edges") is not None or flow.get("entry") is not None
        if flow.get("graph") is not None:
            if has_edges:
                other = "edges" if flow.get("edges") is not None else "entry"
                self._findings.add(
                    "TR114",
                    f"flow has both 'graph' and {other!r}",
                    where=flow.key_at(other),
                    hint="Keep one of the two spellings.",
                    subject=f"flow.{other}",
                )
            passage = flow.passage("graph")
            pipeline = None if passage is None else self._parsed(passage)
            return None if pipeline is None else builder.pipeline(pipeline)
        if not has_edges:
            self._refuse_missing(flow, "graph", "Add graph: first >> second.")
            return None
        return self._edges(flow, builder)

    def _edges(self, flow: Section, builder: GraphBuilder) -> Node | None:
        entries = [self._parsed(passage) for passage in self._entries(flow)]
        chains = [self._parsed(passage_of(chain, self._source)) for chain in flow.texts("edges")]
        return read_edges(
            [entry for entry in entries if entry is not None],
            [chain for chain in chains if chain is not None],
            builder,
        )

    def _entries(self, flow: Section) -> Iterator[Passage]:
        if isinstance(flow.get("entry"), Items):
            yield from (passage_of(entry, self._source) for entry in flow.texts("entry"))
        else:
            passage = flow.passage("entry")
            if passage is not None:
                yield passage

    def _check_version(self, top: Section) -> None:
        found = top.get("version")
        if found is None or (isinstance(found, Scalar) and str(found.value) in {"1", "1.0"}):
            return
        self._findings.add(
            "TR115",
            f"version is {shown(found)}; this program reads version 1",
            where=top.at(found),
            hint="Write version: 1.",
            subject="version",
        )

    def _refuse_older(self, table: Table) -> None:
        for entry in table.entries:
            mend = _OLDER.get(entry.key.value) if isinstance(entry.key.value, str) else None
            if mend is not None:
                self._findings.add(
                    "TR113",
                    f"the key {entry.key.value!r} is not supported: {mend[0]}",
                    where=self._source.span(entry.key.start, entry.key.end),
                    hint=mend[1],
                    subject=str(entry.key.value),
                )

    def _refuse_missing(self, section: Section, key: str, hint: str) -> None:
        if section.get(key) is None:
            self._findings.add(
                "TR108",
                f"{section.path or 'the file'} has no {key!r}",
                where=section.where,
                hint=hint,
                subject=section.subject(key),
            )

    def _warn_words(self, tree: Tree) -> None:
        """Warn about plain words that other versions of YAML read as booleans."""
        found = (
            scalar
            for scalar in scalars(tree)
            if scalar.is_plain and str(scalar.value).lower() in _WORDS
        )
        for scalar in islice(found, _MAX_WARNINGS):
            word = str(scalar.value)
            meant = str(_WORDS[word.lower()]).lower()
            self._findings.warn(
                "TR112",
                f"{word} is the text '{word}', not a boolean",
                where=self._source.span(scalar.start, scalar.end),
                hint=f'Write {meant} for the boolean, or "{word}" for the text.',
            )


_MAX_WARNINGS = 50
"""Warnings of one kind; more of them have one common cause."""
_WORDS = {"yes": True, "no": False, "on": True, "off": False}
_OLDER = {
    "flows": (
        "a file holds one flow",
        "Write flow: instead, and one file per flow.",
    ),
    "discovery": (
        "a flow file cannot choose what is imported",
        "Remove it; set TAILRACE_DISCOVERY_MODULES, or write tasks.<name>.use or .callable.",
    ),
}


def _names_in(flow: Section) -> set[str]:
    """Return the names in the texts of a graph, as far as they are texts; reports nothing."""
    found = [flow.get(key) for key in ("graph", "entry", "edges")]
    texts = [str(scalar.value) for tree in found if tree for scalar in scalars(tree)]
    return {name for text in texts for name in names_in(text)}


def _handlers(root: Node | None, policy: Policy | None, tasks: TaskTable) -> dict[str, TaskNode]:
    """Return the tasks outside the graph that an ``on_error`` sends to, with theirs in turn."""
    nodes = [] if root is None else list(walk(root))
    inside = {getattr(node, "name", "") for node in nodes}
    policies = [policy]
    for node in nodes:
        if isinstance(node, TaskNode):
            policies += [node.policy, node.task.policy]
    handlers: dict[str, TaskNode] = {}
    for level in policies:  # grows while it is walked
        target = None if level is None else level.on_error.target
        if target is None or target in inside or target in handlers:
            continue
        found = tasks.find(target)
        if found is not None:
            handlers[target] = found
            policies += [found.policy, found.task.policy]
    return handlers
