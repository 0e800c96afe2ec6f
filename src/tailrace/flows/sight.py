"""What one step can see: params, loop variables, results of nodes upstream, the payload."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from msgspec import Struct

from tailrace.flows.findings import listed
from tailrace.flows.layout import Layout
from tailrace.flows.place import Place, Places, precedes, repeated_together, within
from tailrace.model import ForEach, Repeat, Until


class Known(Struct, frozen=True):
    """What is the same for all steps of a flow."""

    places: Places
    params: Collection[str]
    written_params: dict[str, list[Place]]
    """Params that tasks write (``outputs: [params.x]``), with the writers."""
    expose_env: Collection[str]
    handlers: Collection[str]
    """Names of the nodes outside the graph; whether one has run shows only at run time."""
    is_nested: bool = False
    """The flow runs inside another and gets its params from there."""

    def how_to_give(self, param: str) -> str:
        """Return how a run gets a param, as the start of a sentence."""
        if self.is_nested:
            return f"Give the sub-flow the input {param!r}, add it to its defaults"
        return f"Pass it with --param {param}=…, add it to the flow's defaults"


class Sight(Struct, frozen=True):
    """The view from a step.

    ``origins`` are the steps it is seen from: itself, or for a step outside the graph those whose
    failure starts it. ``inside`` is a loop whose body has run when this looks.
    """

    known: Known
    layout: Layout
    origins: tuple[int, ...]
    inside: Place | None = None

    @property
    def views(self) -> tuple[Place, ...]:
        """The places it is seen from."""
        if self.inside is not None:
            return (self.inside,)
        return tuple(self.layout.steps[index] for index in self.origins)

    @property
    def has_payload(self) -> bool:
        """True if a value comes along the edge."""
        if self.inside is not None:
            return self.layout.has_payload
        return all(self.layout.step_has_payload(index) for index in self.origins)

    def sees(self, name: str) -> bool:
        """True if a node of this name is upstream, or inside a container that is."""
        if name not in self.known.places.names:
            return False
        return any(
            precedes(place, view) or (self.inside is not None and within(place, self.inside))
            for place in self.known.places.names[name]
            for view in self.views
        )

    def saw(self, name: str) -> bool:
        """True if a node of this name can have run in an earlier iteration of a loop around."""
        return any(
            repeated_together(place, view)
            for place in self.known.places.names.get(name, ())
            for view in self.views
        )

    def has_param(self, name: str) -> bool:
        """True if the run has such a param when this step starts."""
        if name in self.known.params:
            return True
        writers = self.known.written_params.get(name, ())
        return any(precedes(place, view) for place in writers for view in self.views)

    def loops(self) -> Iterator[ForEach | Repeat | Until]:
        """Yield the loops around, innermost first."""
        layout: Layout | None = self.layout
        while layout is not None:
            if layout.holder is not None and isinstance(
                layout.holder.node, ForEach | Repeat | Until
            ):
                yield layout.holder.node
            layout = layout.parent

    def loop_variables(self) -> set[str]:
        """Return the names of the loop variables in sight."""
        return {
            name
            for loop in self.loops()
            if isinstance(loop, ForEach)
            for name in (loop.item, loop.index)
            if name is not None
        }

    def predecessor_names(self) -> list[str]:
        """Return the names under which the payload shows several predecessors."""
        layout = self.layout
        before = {index for origin in self.origins for index in layout.predecessors[origin]}
        return [layout.steps[index].name for index in sorted(before)]

    def available(self) -> str:
        """Return what could be bound by name, for a message."""
        return (
            f"params: {listed(sorted(self.known.params))}; "
            f"loop variables: {listed(sorted(self.loop_variables()))}; "
            f"results: {listed(self._upstream())}"
        )

    def _upstream(self) -> Iterator[str]:
        """Yield names of nodes upstream, nearest first."""
        layout: Layout | None = self.layout
        frontier = deque(self.origins)
        while layout is not None:
            seen = set(frontier)
            while frontier:
                index = frontier.popleft()
                for before in layout.predecessors[index]:
                    if before not in seen:
                        seen.add(before)
                        frontier.append(before)
                        yield layout.steps[before].name
            holder, layout = layout.holder, layout.parent
            if holder is not None and layout is not None:
                frontier = deque([layout.steps.index(holder)])
