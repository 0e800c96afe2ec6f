"""From a definition to the plan the engine runs: every decision that needs no data is taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, assert_never
from weakref import WeakKeyDictionary

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import DefinitionError, ExpressionError
from tailrace.flows.bind import bind, declared_inputs
from tailrace.flows.findings import Findings, place_of
from tailrace.flows.hash import definition_hash
from tailrace.flows.importable import importable
from tailrace.flows.layout import Layout, lay_out
from tailrace.flows.levels import Policies
from tailrace.flows.place import Place, Places
from tailrace.flows.references import check_references
from tailrace.flows.rules import check_rules
from tailrace.flows.sight import Known, Sight
from tailrace.flows.signature import Signature, read_signature
from tailrace.flows.targets import Targets, find_targets
from tailrace.model import (
    All,
    AnyKindOfStep,
    AnyOf,
    AnyStep,
    Case,
    CasePlan,
    EffectivePolicy,
    Expression,
    Flow,
    FlowPlan,
    ForEach,
    ForEachStep,
    Graph,
    Isolation,
    Node,
    Policy,
    Repeat,
    RepeatStep,
    Scope,
    ScopePlan,
    Seq,
    SourceSpan,
    SubFlow,
    SubFlowStep,
    Switch,
    SwitchStep,
    TaskNode,
    TaskSpec,
    TaskStep,
    Until,
    UntilStep,
)


class Analysis(NamedTuple):
    """What a flow becomes, and what was found on the way."""

    plan: FlowPlan | None
    """Good to run when no finding is an error; None when the structure does not hold."""
    findings: Findings


_Wanted = tuple[frozenset[str], Policy | None, Policy | None]
_last: WeakKeyDictionary[Flow, tuple[_Wanted, Analysis]] = WeakKeyDictionary()
"""The newest analysis of each flow: what has been checked is compiled next."""


def compile_flow(
    flow: Flow,
    *,
    params: Collection[str] = (),
    override: Policy | None = None,
    base: Policy | None = None,
) -> FlowPlan:
    """Return the plan of a flow.

    Args:
        flow: the definition.
        params: names of the params the run is given beside the flow's defaults.
        override: the policy of the command line; stronger than the flow's, weaker than a node's.
        base: the policy of the project's settings; weaker than all others.

    Raises:
        DefinitionError: something is wrong; ``findings`` holds every error.
    """
    plan, findings = analysis(flow, params=params, override=override, base=base)
    errors = findings.errors()
    if plan is None or errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise DefinitionError(
            f"flow {flow.name!r}: {errors[0].message}{more}",
            code=errors[0].code,
            hint=errors[0].hint,
            findings=errors,
        )
    return plan


def analysis(
    flow: Flow,
    *,
    params: Collection[str] = (),
    override: Policy | None = None,
    base: Policy | None = None,
) -> Analysis:
    """Return the plan of a flow with all findings, worked out once for equal arguments in a row.

    The arguments are those of ``compile_flow``.
    """
    wanted = (frozenset(params), override, base)
    known = _last.get(flow)
    if known is not None and known[0] == wanted:
        return known[1]
    findings = Findings()
    plan = analyse(flow, params=params, override=override, base=base, findings=findings)
    found = Analysis(plan, findings)
    _last[flow] = (wanted, found)
    return found


def analyse(
    flow: Flow,
    *,
    params: Collection[str],
    findings: Findings,
    override: Policy | None = None,
    base: Policy | None = None,
    is_nested: bool = False,
    has_payload: bool = False,
) -> FlowPlan | None:
    """Check a flow and plan it as far as it can be; None when its structure does not hold.

    A plan is only good to run when ``findings`` has no error after this.
    """
    places = Places(flow.root)
    policies = Policies(flow, override, base)
    if not check_rules(flow, places, override, findings):
        return None
    known = Known(
        places=places,
        params={*flow.defaults, *params},
        written_params=_written_params(places),
        expose_env=flow.expose_env,
        handlers=flow.handlers,
        is_nested=is_nested,
    )
    return _Planner(flow, known, policies, findings).plan(has_payload=has_payload)


def _written_params(places: Places) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        if isinstance(place.node, TaskNode):
            for output in place.node.outputs:
                root, _, rest = output.partition(".")
                if root == "params":
                    found.setdefault(rest.partition(".")[0], []).append(place)
    return found


class _Planner(Struct):
    """Plans one flow: scopes are laid out from the outside in, and planned from the inside out."""

    flow: Flow
    known: Known
    policies: Policies
    findings: Findings
    layouts: dict[Place | None, Layout] = field(default_factory=dict)
    """By the place a scope starts at."""
    scopes: dict[Place | None, ScopePlan] = field(default_factory=dict)
    signatures: dict[int, Signature | None] = field(default_factory=dict)

    def plan(self, *, has_payload: bool) -> FlowPlan:
        flow = self.flow
        root = self.known.places.root
        self._lay_out_all(root, has_payload=has_payload)
        for place, layout in reversed(self.layouts.items()):
            self.scopes[place] = self._scope(layout)
        return FlowPlan(
            name=flow.name,
            definition_hash=definition_hash(flow),
            scope=self.scopes[root],
            defaults=flow.defaults,
            policy=self.policies.flow,
            max_parallel=flow.max_parallel,
            expose_env=flow.expose_env,
            scratch_merge=flow.scratch_merge,
            rules=flow.rules,
            source=flow.source,
        )

    def _lay_out_all(self, root: Place | None, *, has_payload: bool) -> None:
        waiting = [lay_out(root, has_payload=has_payload)]
        while waiting:
            layout = waiting.pop()
            self.layouts[layout.root] = layout
            for index, place in enumerate(layout.steps):
                has_payload = isinstance(place.node, ForEach) or layout.step_has_payload(index)
                waiting.extend(
                    lay_out(inside, has_payload=has_payload, parent=layout, holder=place)
                    for inside in place.children
                )

    def _scope(self, layout: Layout) -> ScopePlan:
        graph_size = len(layout.steps)
        targets = find_targets(layout, self.flow.handlers, self.policies.on_error_of, self.findings)
        steps = tuple(
            self._step(layout, index, place.node, targets)
            for index, place in enumerate(layout.steps)
        )
        return ScopePlan(
            steps=steps,
            entries=tuple(step.index for step in steps[:graph_size] if not step.predecessors),
            exits=tuple(step.index for step in steps[:graph_size] if not step.successors),
            groups=tuple(layout.groups),
        )

    def _step(self, layout: Layout, index: int, node: Node, targets: Targets) -> AnyKindOfStep:
        place = layout.steps[index]
        sight = Sight(self.known, layout, targets.origins.get(index, (index,)))
        shared: dict[str, Any] = {
            "index": index,
            "name": place.name,
            "predecessors": layout.predecessors[index],
            "successors": layout.successors[index],
            "group": layout.group_of[index],
        }
        match node:
            case TaskNode():
                return self._task(node, index, shared, sight, targets)
            case AnyOf():
                branches = tuple(self.scopes[inside] for inside in place.children)
                return AnyStep(
                    **shared, branches=branches, labels=tuple(map(_label, place.children))
                )
            case Switch():
                return self._switch(node, place, shared, sight)
            case ForEach():
                return self._foreach(node, place, shared, sight)
            case Repeat():
                return self._repeat(node, place, shared, sight)
            case Until():
                return self._until(node, place, shared)
            case SubFlow():
                return self._subflow(node, shared, sight)
            case Seq() | All() | Graph():
                raise AssertionError(node)  # a layout holds none of these
            case _:
                assert_never(node)

    def _task(
        self,
        node: TaskNode,
        index: int,
        shared: Mapping[str, Any],
        sight: Sight,
        targets: Targets,
    ) -> TaskStep:
        function = node.task.function
        if id(function) not in self.signatures:
            self.signatures[id(function)] = read_signature(function)
        return TaskStep(
            **shared,
            dormant=index in targets.origins,
            task=self._placed(node),
            bindings=bind(node, self.signatures[id(function)], sight, self.findings),
            policy=self.policies.of(node),
            outputs=node.outputs,
            handler=targets.handlers.get(index),
            rejoin=targets.rejoins.get(index),
        )

    def _placed(self, node: TaskNode) -> TaskSpec:
        """Return the task so that it can run where it is meant to."""
        spec = node.task
        if spec.isolation is not Isolation.PROCESS:
            return spec
        found = importable(spec)
        if found is None:
            self.findings.add(
                "TR159",
                f"task {node.name!r} cannot run in a process of its own: {spec.reference} "
                "cannot be imported there",
                where=place_of(node),
                hint="Define the function at the top level of a module.",
                subject=f"{node.name}.isolation",
            )
            return spec
        return spec if found is spec.function else replace(spec, function=found)

    def _switch(
        self, node: Switch, place: Place, shared: Mapping[str, Any], sight: Sight
    ) -> SwitchStep:
        cases = []
        for case, inside in zip(node.cases, place.children, strict=False):
            key: Any = case.key
            if case.template:
                key = self._expression(str(case.key), sight, node.where, f"{node.name}.cases")
            cases.append(CasePlan(key=key, label=_case_label(case), body=self.scopes[inside]))
        return SwitchStep(
            **shared,
            on=self._expression(_of_loop(node.on, sight), sight, node.where, f"{node.name}.on"),
            cases=tuple(cases),
            default=None if node.default is None else self.scopes[place.children[-1]],
        )

    def _foreach(
        self, node: ForEach, place: Place, shared: Mapping[str, Any], sight: Sight
    ) -> ForEachStep:
        return ForEachStep(
            **shared,
            over=self._expression(
                _of_loop(node.over, sight), sight, node.where, f"{node.name}.over"
            ),
            body=self.scopes[place.children[0]],
            item=node.item,
            index_name=node.index,
            collect=node.collect,
            concurrency=self._number(
                node.concurrency, sight, node.where, f"{node.name}.concurrency"
            ),
        )

    def _repeat(
        self, node: Repeat, place: Place, shared: Mapping[str, Any], sight: Sight
    ) -> RepeatStep:
        return RepeatStep(
            **shared,
            count=self._number(node.count, sight, node.where, f"{node.name}.count"),
            body=self.scopes[place.children[0]],
            collect=node.collect,
        )

    def _until(self, node: Until, place: Place, shared: Mapping[str, Any]) -> UntilStep:
        body = self.layouts[place.children[0]]
        after_body = Sight(self.known, body, (), inside=place)
        condition = self._expression(node.condition, after_body, node.where, f"{node.name}.cond")
        return UntilStep(
            **shared,
            condition=condition,
            body=self.scopes[place.children[0]],
            max_iterations=node.max_iterations,
            collect=node.collect,
        )

    def _subflow(self, node: SubFlow, shared: Mapping[str, Any], sight: Sight) -> SubFlowStep:
        inputs = declared_inputs(
            node.inputs, sight, self.findings, where=node.where, subject=f"{node.name}.inputs"
        )
        plan = analyse(
            node.flow,
            params=inputs,
            findings=self.findings,
            override=self.policies.override,
            base=self.policies.base,
            is_nested=True,
            has_payload=sight.has_payload,
        )
        return SubFlowStep(**shared, flow=plan or _NO_PLAN, inputs=inputs)

    def _number(
        self, value: int | str, sight: Sight, where: SourceSpan | None, subject: str
    ) -> int | Expression:
        if isinstance(value, int):
            return value
        return self._expression(_of_loop(value, sight), sight, where, subject)

    def _expression(
        self, source: str, sight: Sight, where: SourceSpan | None, subject: str
    ) -> Expression:
        from tailrace.flows.expressions import compile_expression  # noqa: PLC0415 - as in ``bind``

        try:
            expression = compile_expression(source)
        except ExpressionError as error:
            self.findings.take(error, where=where, subject=subject, source=source)
            return _Unusable(source)
        check_references(expression, sight, self.findings, where=where, subject=subject)
        return expression


class _Unusable(Struct, frozen=True):
    """Stands for an expression that was reported; a plan that holds one is never handed out."""

    source: str
    references: tuple[tuple[str, ...], ...] = ()

    def evaluate(self, scope: Scope) -> Any:
        raise AssertionError(self.source, scope)


_NO_PLAN = FlowPlan(
    name="",
    definition_hash="",
    scope=ScopePlan(steps=(), entries=(), exits=()),
    policy=EffectivePolicy(),
)
"""Stands for a nested flow whose problems were reported."""


def _of_loop(source: str, sight: Sight) -> str:
    """Return the name of a loop variable where a name standing alone was taken for a param's."""
    root, _, name = source.partition(".")
    is_variable = root == "params" and name in sight.loop_variables() and not sight.has_param(name)
    return name if is_variable else source


def _label(place: Place) -> str:
    """Return the name a branch goes by: its own, or that of the first node in it."""
    while not place.name:
        place = place.children[0]
    return place.name


def _case_label(case: Case) -> str:
    """Return the key as it is written in a flow file."""
    match case.key:
        case None:
            return "null"
        case bool():
            return str(case.key).lower()
        case _:
            return str(case.key)
