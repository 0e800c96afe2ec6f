"""Cancellation as a tree: cancelling a scope cancels everything below it, never above."""

from __future__ import annotations

from collections.abc import Callable


class CancelScope:
    """A part of a run that can be asked to stop.

    ``requested`` and ``reason`` may be read from any thread. ``cancel`` belongs to the engine's
    thread, because it calls back into what is running.
    """

    __slots__ = ("_callbacks", "_children", "_parent", "reason", "requested")

    def __init__(self, parent: CancelScope | None = None) -> None:
        self._parent = parent
        self._children: dict[CancelScope, None] = {}
        self._callbacks: dict[Callable[[], None], None] = {}
        self.requested = False
        self.reason = ""
        if parent is not None:
            parent._children[self] = None  # noqa: SLF001 - the same class
            if parent.requested:
                self.requested, self.reason = True, parent.reason

    def cancel(self, reason: str) -> None:
        """Ask this scope and all below it to stop; the first reason stays."""
        if not self.requested:
            self.mark(reason)
            self.announce()

    def mark(self, reason: str) -> None:
        """Set the flags alone, from any thread or a signal handler; ``announce`` must follow."""
        if not self.requested:
            self.reason = reason
            self.requested = True
        for child in list(self._children):
            child.mark(reason)

    def announce(self) -> None:
        """Tell what runs about flags set by ``mark``."""
        for callback in tuple(self._callbacks):
            callback()
        for child in tuple(self._children):
            child.announce()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once when cancelled; at once when that happened already."""
        self._callbacks[callback] = None
        if self.requested:
            callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back."""
        self._callbacks.pop(callback, None)

    def end(self) -> None:
        """Let go of all below: everything is over."""
        self._children.clear()

    def close(self) -> None:
        """Leave the tree; the scope is over."""
        if self._parent is not None:
            self._parent._children.pop(self, None)  # noqa: SLF001 - the same class
