"""Where a failed node sends the flow: ``on_error`` targets, and where they rejoin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from tailrace.flows.findings import Findings, listed, meant, place_of
from tailrace.flows.layout import Layout
from tailrace.flows.place import Place, ordered, precedes
from tailrace.model import EffectiveOnError, TaskNode


class Targets(Struct, eq=False):
    """The ``on_error`` targets of one scope, as indices of steps.

    ``origins`` gives for each step outside the graph the steps of the graph it is started for.
    """

    handlers: dict[int, int] = field(default_factory=dict)
    rejoins: dict[int, int] = field(default_factory=dict)
    origins: dict[int, tuple[int, ...]] = field(default_factory=dict)


def find_targets(
    layout: Layout,
    handlers: Mapping[str, TaskNode],
    on_error_of: Callable[[TaskNode], EffectiveOnError],
    findings: Findings,
) -> Targets:
    """Resolve all targets of a scope; targets outside the graph are appended to the layout."""
    finder = _Finder(layout, handlers, findings)
    index = 0
    while index < len(layout.steps):  # grows while it is walked
        node = layout.steps[index].node
        if isinstance(node, TaskNode):
            finder.take(index, node, on_error_of(node))
        index += 1
    finder.refuse_circles()
    return finder.targets


class _Finder:
    def __init__(
        self, layout: Layout, handlers: Mapping[str, TaskNode], findings: Findings
    ) -> None:
        self.targets = Targets()
        self._layout = layout
        self._handlers = handlers
        self._findings = findings
        self._inside = {place.name: index for index, place in enumerate(layout.steps)}

    def take(self, index: int, node: TaskNode, on_error: EffectiveOnError) -> None:
        """Resolve what one task node does on error."""
        if on_error.action not in {"goto", "fallback"} or on_error.target is None:
            return
        target = self._target(index, node, on_error.action, on_error.target)
        if target is None:
            return
        self.targets.handlers[index] = target
        if target in self._layout.dormant.values():
            known = self.targets.origins.get(target, ())
            self.targets.origins[target] = tuple(dict.fromkeys((*known, *self._origins(index))))
        if on_error.rejoin is not None:
            rejoin = self._forward(index, node, "rejoin", on_error.rejoin)
            if rejoin is not None:
                self.targets.rejoins[index] = rejoin

    def refuse_circles(self) -> None:
        """Report targets outside the graph that send to one another in a circle."""
        edges = [pair for pair in self.targets.handlers.items() if pair[0] in self.targets.origins]
        if ordered(len(self._layout.steps), edges) is None:
            names = listed(self._layout.steps[source].name for source, _ in edges)
            self._findings.add(
                "TR134",
                f"on_error targets send to one another in a circle ({names})",
                hint="Let the last one stop or continue.",
            )

    def _origins(self, index: int) -> tuple[int, ...]:
        return self.targets.origins.get(index, (index,))

    def _target(self, index: int, node: TaskNode, action: str, name: str) -> int | None:
        if name in self._handlers and name not in self._inside:
            dormant = self._layout.dormant
            if name not in dormant:
                dormant[name] = self._layout.add(Place(self._handlers[name], None, 0))
            return dormant[name]
        if action == "fallback" and name in self._inside:
            self._refuse(
                "TR134",
                node,
                f"the fallback {name!r} of {node.name!r} is itself a node of the graph",
                "Use a task that stands outside the graph, or action goto.",
            )
            return None
        return self._forward(index, node, "target", name)

    def _forward(self, index: int, node: TaskNode, role: str, name: str) -> int | None:
        """Return the step of that name downstream of ``index``; else report why there is none."""
        found = self._inside.get(name)
        if found is None:
            known = [*self._inside, *self._handlers]
            self._refuse(
                "TR133",
                node,
                f"the on_error {role} {name!r} of {node.name!r} is no node beside it "
                f"(known: {listed(known)}){meant(name, known)}",
                "Name a node of the same scope, or a task that stands outside the graph.",
            )
            return None
        steps = self._layout.steps
        if not all(precedes(steps[origin], steps[found]) for origin in self._origins(index)):
            self._refuse(
                "TR134",
                node,
                f"the on_error {role} {name!r} of {node.name!r} does not come after it",
                "Go forward: name a node downstream, or a task that stands outside the graph.",
            )
            return None
        return found

    def _refuse(self, code: str, node: TaskNode, message: str, hint: str) -> None:
        self._findings.add(
            code,
            message,
            where=place_of(node),
            hint=hint,
            subject=f"{node.name}.policy.on_error",
        )
