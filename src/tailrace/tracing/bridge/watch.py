"""Bridging as soon as the program has OpenTelemetry's API, and not before."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tailrace.tracing.bridge.recorder import ATTEMPT, Recorder

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from tailrace.tracing.bridge.install import AttemptContext

_log = logging.getLogger(__name__)
_API = "opentelemetry.trace"
Current = Callable[[], Recorder | None]
"""Returns the attempt whose code is running here."""


class BRIDGE:
    """The bridge of this process."""

    currents: tuple[Current, ...] = ()
    """Who may know the attempt, the innermost engine first."""
    context: AttemptContext | None = None
    """Once the bridge stands: the program uses OpenTelemetry's API."""
    attached: Callable[[], Any] | None = None
    """Gives the context that the program has attached; empty: none, so no span of its own."""


def bridge_to(current: Current) -> None:
    """Make the current attempt the current span of OpenTelemetry, now or when that is imported.

    Of several who may know the attempt, the one that came last is asked first: a task in a child
    process may run a flow of its own.
    """
    if current in BRIDGE.currents:
        return
    is_first = not BRIDGE.currents
    BRIDGE.currents = (current, *BRIDGE.currents)
    if not is_first:
        return
    if _API in sys.modules:
        _install(_current)
    else:
        sys.meta_path.insert(0, _Finder(_current))


def _current() -> Recorder | None:
    for current in BRIDGE.currents:
        found = current()
        if found is not None:
            return found
    return None


def innermost(recorder: Recorder) -> int:
    """Return the number of the attempt's span that is current here."""
    if BRIDGE.context is not None:
        return BRIDGE.context.innermost(recorder)
    inner = recorder.inner()
    return ATTEMPT if inner is None else inner.number


def _install(current: Current) -> None:
    try:
        from tailrace.tracing.bridge import install  # noqa: PLC0415 - imports OpenTelemetry

        context = install.install(current)
        BRIDGE.context, BRIDGE.attached = context, context.attached
    except Exception as error:  # noqa: BLE001 - an API that is not as we know it costs no run
        _log.warning("spans of OpenTelemetry are not recorded: %r", error)


class _Finder:
    """Waits in ``sys.meta_path`` for one import, and leaves before that happens."""

    def __init__(self, current: Current) -> None:
        self._current = current

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002 - the importer's signature
        """Return the module's spec with a loader that bridges afterwards."""
        if name != _API or self not in sys.meta_path:
            return None
        from importlib.util import find_spec  # noqa: PLC0415 - not before it is needed

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._current)  # type: ignore[assignment]  # likewise
        return spec


class _Loader:
    """The module's own loader, and the bridge behind it."""

    def __init__(self, loader: Any, current: Current) -> None:
        self._loader = loader
        self._current = current

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then bridge."""
        self._loader.exec_module(module)
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        _install(self._current)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
