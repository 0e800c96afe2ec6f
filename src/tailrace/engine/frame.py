"""What a step can see by name: params, results, loop variables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tailrace.model import LoopFrame

_MISSING = object()
_ROOTS = ("params", "results", "node", "payload", "joins", "scratch", "artifacts", "env")


class FlowFrame:
    """What all scopes of one flow share: its params, allowed environment, and artifacts."""

    __slots__ = ("artifacts", "env", "params", "plain_params")

    def __init__(
        self, params: Mapping[str, Any], expose_env: Iterable[str], artifacts: dict[str, Any]
    ) -> None:
        self.plain_params = dict(params)
        self.params: Mapping[str, Any] = MappingProxyType(self.plain_params)
        self.env: Mapping[str, str] = MappingProxyType(
            {name: os.environ[name] for name in expose_env if name in os.environ}
        )
        self.artifacts = artifacts


class Frame:
    """The names of one scope: its own results, and those of the scopes around it."""

    __slots__ = (
        "flow", "loop", "order", "parent", "prefix", "results", "segments", "sequence",
        "variables",
    )  # fmt: skip

    def __init__(
        self,
        flow: FlowFrame,
        *,
        parent: Frame | None = None,
        prefix: str = "",
        loop: LoopFrame | None = None,
        variables: Mapping[str, Any] | None = None,
        segments: tuple[str, ...] | None = None,
    ) -> None:
        """``segments`` are the scopes around, such as ``("flow:etl", "node:each")``."""
        if segments is None and parent is not None:
            segments = parent.segments
        self.segments: tuple[str, ...] = segments or ()
        self.flow = flow
        self.parent = parent
        self.prefix = prefix
        self.loop = loop
        self.variables = variables
        self.results: dict[str, Any] = {}
        self.order: dict[str, int] = {}
        self.sequence = 0

    def result(self, name: str) -> Any:
        """Return the output of a node of this scope or one around it; KeyError when none."""
        frame: Frame | None = self
        while frame is not None:
            value = frame.results.get(name, _MISSING)
            if value is not _MISSING:
                return value
            frame = frame.parent
        raise KeyError(name)

    def put(self, name: str, value: Any) -> None:
        """Keep the output of a node."""
        self.order[name] = self.sequence
        self.sequence += 1
        self.results[name] = value

    def adopt(self, child: Frame) -> None:
        """Keep what the nodes of a finished inner scope gave, so that later steps can name it."""
        for name, value in child.results.items():
            self.put(name, value)

    def variable(self, name: str) -> Any:
        """Return a loop variable; KeyError when there is none of that name."""
        frame: Frame | None = self
        while frame is not None:
            if frame.variables is not None and name in frame.variables:
                return frame.variables[name]
            frame = frame.parent
        raise KeyError(name)

    def loops(self) -> tuple[LoopFrame, ...]:
        """Return the loops around, outermost first."""
        found: list[LoopFrame] = []
        frame: Frame | None = self
        while frame is not None:
            if frame.loop is not None:
                found.append(frame.loop)
            frame = frame.parent
        return tuple(reversed(found))

    def variable_names(self) -> list[str]:
        """Return the names of all loop variables in sight."""
        found: list[str] = []
        frame: Frame | None = self
        while frame is not None:
            found.extend(frame.variables or ())
            frame = frame.parent
        return found


class ResultsView(Mapping[str, Any]):
    """Results as a step saw them when it started; what finishes later stays out of sight."""

    __slots__ = ("_frame", "_upto")

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._upto = frame.sequence

    def __getitem__(self, name: str) -> Any:
        frame = self._frame
        if name in frame.results and frame.order[name] < self._upto:
            return frame.results[name]
        if frame.parent is not None:
            return frame.parent.result(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for name in tuple(self._frame.results):
            if self._frame.order[name] < self._upto:
                seen.add(name)
                yield name
        frame = self._frame.parent
        while frame is not None:
            for name in tuple(frame.results):
                if name not in seen:
                    seen.add(name)
                    yield name
            frame = frame.parent

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _NodeOutputs(Mapping[str, Any]):
    """``$node.NAME.output``."""

    __slots__ = ("_results",)

    def __init__(self, results: Mapping[str, Any]) -> None:
        self._results = results

    def __getitem__(self, name: str) -> Any:
        return {"output": self._results[name]}

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)


class StepScope:
    """The expression scope of one step (``model.Scope``)."""

    __slots__ = ("_frame", "_joins", "_payload", "_scratch")

    def __init__(
        self,
        frame: Frame,
        payload: Any,
        scratch: Mapping[str, Any],
        joins: Mapping[str, Any] | None = None,
    ) -> None:
        self._frame = frame
        self._payload = payload
        self._scratch = scratch
        self._joins = joins

    @property
    def frame(self) -> Frame:
        """The names of the scope that the step stands in."""
        return self._frame

    def lookup(self, name: str) -> Any:
        """Return the value of a root name; KeyError when there is none."""
        frame = self._frame
        if name == "params":
            return frame.flow.plain_params
        if name in {"results", "node"}:
            results = ResultsView(frame)
            return results if name == "results" else _NodeOutputs(results)
        if name == "loop":
            return _loop_mapping(loops[-1]) if (loops := frame.loops()) else None
        if name == "loops":
            return [_loop_mapping(loop) for loop in frame.loops()]
        return self._lookup_rare(name)

    def _lookup_rare(self, name: str) -> Any:
        match name:
            case "payload":
                return self._payload
            case "joins":
                return self._joins or {}
            case "scratch":
                return self._scratch
            case "artifacts":
                return self._frame.flow.artifacts
            case "env":
                return self._frame.flow.env
            case _:
                return self._frame.variable(name)

    def names(self) -> Iterable[str]:
        """Return every root name in sight."""
        return (*_ROOTS, "loop", "loops", *self._frame.variable_names())


def _loop_mapping(loop: LoopFrame) -> dict[str, Any]:
    return {
        "name": loop.name,
        "type": loop.kind,
        "index": loop.index,
        "iteration": loop.iteration,
        "count": loop.count,
        "item": loop.item,
        "path": loop.path,
    }
