"""Catch-alls: what nobody caught in this process becomes a failure at the root."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from tailrace import failures
from tailrace.model.failure import Disposition, FailureSnapshot
from tailrace.model.states import ErrorCategory

if TYPE_CHECKING:
    import asyncio

Report = Callable[[FailureSnapshot, BaseException | None], None]
"""Takes a failure that has reached the root, and the exception that it is."""


class CatchAlls:
    """The hooks of this process while they are installed; a context manager.

    They call the hooks that stood before them, raise nothing of their own, and pass over
    ``KeyboardInterrupt``, ``SystemExit`` and cancels, which are no failures.
    """

    def __init__(self, report: Report, *, worker_id: str = "") -> None:
        self._report = report
        self._worker_id = worker_id
        self._busy = threading.local()
        self._is_on = True
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
        self._hooks = (self._on_uncaught, self._on_thread, self._on_unraisable)
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._hooks
        self._loops: list[tuple[asyncio.AbstractEventLoop, Any, Any]] = []
        self.suppressed = 0
        """Failures that came up while another was being reported in the same thread, and those
        whose report raised."""

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a loop too: callbacks that raise, and tasks whose error nobody awaited."""
        before = loop.get_exception_handler()

        def on_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if error is None:
                error = RuntimeError(str(context.get("message", "unknown fault of the loop")))
            self._tell(error, "loop")
            if before is None:
                loop.default_exception_handler(context)
            else:
                before(loop, context)

        loop.set_exception_handler(on_loop)
        self._loops.append((loop, on_loop, before))

    def uninstall(self) -> None:
        """Put back what stood before; a hook that somebody has wrapped only passes on from now."""
        self._is_on = False
        ours, before = self._hooks, self._before
        if sys.excepthook == ours[0]:
            sys.excepthook = before[0]
        if threading.excepthook == ours[1]:
            threading.excepthook = before[1]
        if sys.unraisablehook == ours[2]:
            sys.unraisablehook = before[2]
        for loop, handler, earlier in self._loops:
            if loop.get_exception_handler() is handler:
                loop.set_exception_handler(earlier)
        self._loops.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def _on_uncaught(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        self._tell(error, "excepthook")
        self._before[0](kind, error, traceback)

    def _on_thread(self, args: threading.ExceptHookArgs) -> None:
        self._tell(args.exc_value or args.exc_type(), "thread")
        self._before[1](args)

    def _on_unraisable(self, args: sys.UnraisableHookArgs) -> None:
        self._tell(args.exc_value or args.exc_type(), "unraisable")
        self._before[2](args)

    def _tell(self, error: BaseException, source: str) -> None:
        """Report a failure; a failure of that itself is counted and goes no further."""
        if not self._is_on:
            return
        if getattr(self._busy, "is_busy", False):
            self.suppressed += 1
            return
        self._busy.is_busy = True
        try:
            snapshot = failures.capture_snapshot(error, source=source, worker_id=self._worker_id)
            if snapshot.category != ErrorCategory.CANCELLED:
                self._report(replace(snapshot, disposition=Disposition.TERMINAL.value), error)
        except Exception:  # noqa: BLE001 - a hook that raises would hide the failure itself
            self.suppressed += 1
        finally:
            self._busy.is_busy = False


def install_catch_alls(
    report: Report, *, loop: asyncio.AbstractEventLoop | None = None, worker_id: str = ""
) -> CatchAlls:
    """Have every failure that nobody catches in this process reported, until ``uninstall``.

    ``Origin.source`` says where it came up: ``excepthook`` (the main thread), ``thread``,
    ``unraisable`` (``__del__`` and the like), ``loop`` (callbacks and un-awaited tasks).

    Args:
        report: called in the thread of the failure; what it raises is counted and passed over.
        loop: an event loop to watch too; ``CatchAlls.watch`` takes more of them.
        worker_id: of this process.
    """
    catch_alls = CatchAlls(report, worker_id=worker_id)
    if loop is not None:
        catch_alls.watch(loop)
    return catch_alls
