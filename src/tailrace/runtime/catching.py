"""What nobody catches while flows run from the command line: recorded, not only printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tailrace.runtime.stores import Stores
from tailrace.runtime.watch import hub_of
from tailrace.settings import Settings

if TYPE_CHECKING:
    from tailrace.failures.hooks import CatchAlls
    from tailrace.model.failure import FailureSnapshot
    from tailrace.runtime.config import RuntimeConfig


@contextmanager
def catching(
    config: RuntimeConfig | None, settings: Settings, stores: Stores
) -> Iterator[CatchAlls]:
    """Have failures of threads, callbacks and finalizers kept in the store and told to the hub.

    Python's own hooks are called all the same.
    """
    from tailrace.failures.hooks import install_catch_alls  # noqa: PLC0415 - not for all

    def report(snapshot: FailureSnapshot, error: BaseException | None) -> None:
        log = None if stores.failures is None else stores.failures()
        try:
            hub_of(config, settings, store=log).escalated(snapshot, error)
        finally:
            if log is not None:
                log.close()

    catch_alls = install_catch_alls(report, worker_id=stores.worker_id)
    try:
        yield catch_alls
    finally:
        catch_alls.uninstall()
