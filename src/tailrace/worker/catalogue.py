"""The flows that a worker serves, by name, and those that come with a run."""

from __future__ import annotations

import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from tailrace.errors import DefinitionError
from tailrace.model import Finding, Flow, Severity

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tailrace.flows.loaded import LoadedFlow

GROUP = "tailrace.flows"
"""Entry point group of flows that installed packages bring."""
_MOST_SENT = 256
"""Workflows that came with runs and are kept parsed."""


class FlowNotFound(DefinitionError):  # noqa: N818 - reads as the state it reports
    """This worker has no flow of that name."""

    default_code = "TR440"


@dataclass(frozen=True, slots=True)
class Served:
    """A flow and where it came from."""

    flow: Flow
    origin: str


class Catalogue:
    """Flows by name. Lookups are thread-safe.

    Args:
        served: what this worker serves.
        allow_modules: modules that workflows sent with a run may name, those inside included.

    Raises:
        DefinitionError: TR441, two flows have one name.
    """

    def __init__(self, served: Iterable[Served], *, allow_modules: Collection[str] = ()) -> None:
        self._flows: dict[str, Served] = {}
        self._allowed = tuple(allow_modules)
        self._sent: OrderedDict[str, Flow] = OrderedDict()
        self._lock = Lock()
        for one in served:
            known = self._flows.get(one.flow.name)
            if known is not None and known.flow is not one.flow:
                raise DefinitionError(
                    f"two flows are called {one.flow.name!r}: {known.origin} and {one.origin}",
                    code="TR441",
                    hint="rename one of them, or have another worker serve it",
                )
            self._flows.setdefault(one.flow.name, one)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the flows, sorted."""
        return tuple(sorted(self._flows))

    def find(self, name: str) -> Flow:
        """Return the flow of a name.

        Raises:
            FlowNotFound: there is none.
        """
        known = self._flows.get(name)
        if known is not None:
            return known.flow
        shown = ", ".join(self.names) or "none"
        raise FlowNotFound(
            f"flow_not_found: {name!r}",
            hint=f"this worker serves: {shown}; start one that has the flow, for the run's tag",
        )

    def sent(self, text: str, name: str) -> Flow:
        """Return the flow of a workflow that came with a run.

        Args:
            text: of the ``flow.yaml``.
            name: of the run's flow.

        Raises:
            DefinitionError: it cannot be used; ``findings`` says all that is wrong.
        """
        key = f"{name}\n{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"
        with self._lock:
            known = self._sent.get(key)
            if known is not None:
                self._sent.move_to_end(key)
                return known
        flow = self._parsed(text, name)
        with self._lock:
            self._sent[key] = flow
            while len(self._sent) > _MOST_SENT:
                self._sent.popitem(last=False)
        return flow

    def _parsed(self, text: str, name: str) -> Flow:
        from dataclasses import replace  # noqa: PLC0415 - few runs bring their workflow

        from tailrace.flows.yaml_file import parse_yaml  # noqa: PLC0415 - likewise

        loaded = parse_yaml(text, file=f"{name}.yaml", allow_import=self.allows)
        flow = _usable(loaded, f"the workflow of {name!r}")
        return flow if flow.name == name else replace(flow, name=name)

    def allows(self, module: str) -> bool:
        """Tell whether a workflow that came with a run may name a module."""
        return any(module == one or module.startswith(f"{one}.") for one in self._allowed)


def collect(flows: Iterable[str], folders: Iterable[str | Path]) -> list[Served]:
    """Return the flows of modules, of folders, and of installed packages.

    Args:
        flows: ``module:flow``, ``module`` (all its flows), or files as ``tailrace run`` takes them.
        folders: each ``flow.yaml`` in and one level below them, and every other ``*.yaml`` there
            that holds a flow.

    Raises:
        DefinitionError: one of them cannot be used.
    """
    found: list[Served] = []
    for target in flows:
        found += _of_target(target)
    for folder in folders:
        found += _of_folder(Path(folder))
    found += _of_packages()
    return found


def _of_target(target: str) -> Iterator[Served]:
    path = Path(target.rpartition(":")[0] if ".py:" in target else target)
    if ":" not in target and path.suffix not in {".yaml", ".yml"}:
        yield from _all_of(target)
        return
    from tailrace.flows import load_target  # noqa: PLC0415 - YAML, only when needed

    yield Served(_usable(load_target(target), target), target)


def _all_of(target: str) -> list[Served]:
    from tailrace.flows.discovery import import_module  # noqa: PLC0415 - as above

    path = Path(target)
    is_file = path.suffix == ".py"
    module = import_module(
        path.stem if is_file else target, folder=path.parent if is_file else Path.cwd()
    )
    flows = {
        id(value): Served(value, f"{target}:{name}")
        for name, value in inspect.getmembers(module, lambda one: isinstance(one, Flow))
        if not name.startswith("_")
    }
    if not flows:
        raise DefinitionError(
            f"{target} holds no flow",
            code="TR119",
            hint='write flow = Flow("name", first >> second) at the top level of the module',
        )
    return list(flows.values())


def _of_folder(folder: Path) -> list[Served]:
    if not folder.is_dir():
        raise DefinitionError(
            f"there is no folder {folder}", code="TR101", hint="name the folder of your flows"
        )
    files = sorted({*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("*/flow.yaml")})
    from tailrace.flows import load_target  # noqa: PLC0415 - YAML, only when needed

    served = [Served(_usable(load_target(str(file)), str(file)), str(file)) for file in files]
    if not served:
        raise DefinitionError(
            f"{folder} holds no flow.yaml", code="TR101", hint="`tailrace init` writes one"
        )
    return served


def _of_packages() -> list[Served]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    return [_of_entry(entry) for entry in entry_points(group=GROUP)]


def _of_entry(entry: EntryPoint) -> Served:
    try:
        flow = entry.load()
    except Exception as error:  # a package of the user's may raise anything
        raise DefinitionError(
            f"the entry point {entry.name!r} of {GROUP} ({entry.value}) cannot be loaded: {error}",
            code="TR162",
            hint="mend or uninstall the package that brings it",
        ) from error
    if not isinstance(flow, Flow):
        raise DefinitionError(
            f"the entry point {entry.name!r} of {GROUP} ({entry.value}) is no flow", code="TR119"
        )
    return Served(flow, f"entry point {entry.name}")


def _usable(loaded: LoadedFlow, target: str) -> Flow:
    from tailrace.flows.check import needs_param  # noqa: PLC0415 - beside its only use
    from tailrace.flows.load import definition_error  # noqa: PLC0415 - likewise

    errors: list[Finding] = [
        found
        for found in loaded.findings
        if found.severity is Severity.ERROR and not needs_param(found)
    ]
    if loaded.flow is None or errors:
        raise definition_error(target, errors)
    return loaded.flow
