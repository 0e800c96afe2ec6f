"""Where a run is written, and where what it left is read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from tailrace.model import Durability
from tailrace.runtime.options import RunOptions
from tailrace.settings import FailureSettings, Settings, database_for

if TYPE_CHECKING:
    from typing import Protocol

    from tailrace.ports import DeadLetters, FailureLog, Recall, RunStore, TraceReader
    from tailrace.runtime.resume import LineageReader
    from tailrace.store import SqliteStore, StoreLimits

    class Reader(TraceReader, LineageReader, Protocol):
        """The read side of a store as the runtime uses it."""

    class _Closing(Protocol):
        def close(self) -> None: ...

    class _Failures(FailureLog, _Closing, Protocol):
        """A failure log that is let go after use."""

    class _Letters(DeadLetters, _Closing, Protocol):
        """Dead letters that are let go after use."""


class ReadBack(Struct, frozen=True, kw_only=True):
    """What a store knows after a run; None where there is no store."""

    reader: Reader | None = None
    failures: FailureLog | None = None
    letters: DeadLetters | None = None


class Stores(Struct, frozen=True, kw_only=True):
    """One store as a run uses it. All is None for a run that is kept nowhere."""

    writer: RunStore | None = None
    reader: Callable[[], Reader] | None = None
    failures: Callable[[], _Failures] | None = None
    letters: Callable[[], _Letters] | None = None
    folder: Path = Path()
    """Folder beside which artifacts are kept."""

    @property
    def worker_id(self) -> str:
        """What the store calls this process; empty when it has no name for it."""
        return str(getattr(self.writer, "worker_id", ""))

    @property
    def recall(self) -> Recall | None:
        """Where outputs of cached tasks are looked up; None where the store has no such place."""
        return cast("Recall", self.writer) if hasattr(self.writer, "recall") else None

    @contextmanager
    def read_back(self) -> Iterator[ReadBack]:
        """Yield the read side."""
        with ExitStack() as stack:

            def opened(make: Callable[[], Any] | None) -> Any:
                return None if make is None else stack.enter_context(closing(make()))

            yield ReadBack(
                reader=opened(self.reader),
                failures=opened(self.failures),
                letters=opened(self.letters),
            )


def open_stores(options: RunOptions, settings: Settings) -> Stores:
    """Return the store of a run.

    Raises:
        StoreError: it cannot be opened.
    """
    store = options.store
    if store is False:
        return Stores()
    if store is not None and not isinstance(store, bool):
        reader = getattr(store, "reader", None)
        itself: Callable[[], Any] = lambda: store  # noqa: E731 - one of two kinds of sources
        failures = itself if hasattr(store, "failures") else None
        letters = itself if hasattr(store, "letters") else None
        return Stores(writer=store, reader=reader, failures=failures, letters=letters)
    path = options.db or database_for(Path.cwd(), settings)
    durability = options.durability or settings.durability
    writer = open_database(path, durability, settings.failures)
    return Stores(
        writer=writer,
        reader=lambda: _sqlite("SqliteTraceReader", path),
        failures=lambda: _sqlite("SqliteFailureLog", path),
        letters=lambda: _sqlite("SqliteDeadLetters", path),
        folder=path.resolve().parent,
    )


def _sqlite(adapter: str, path: Path) -> Any:
    from tailrace import store  # noqa: PLC0415 - only runs that fail are read back

    return getattr(store, adapter)(path)


def open_database(
    path: Path, durability: Durability, settings: FailureSettings | None = None
) -> SqliteStore:
    """Return this process's store for a file; it is opened once and closed at exit.

    Raises:
        StoreError: it cannot be opened.
    """
    from tailrace.store import shared_store  # noqa: PLC0415 - runs without a store need none

    store = shared_store(path, durability=durability)
    if settings is not None:
        store.limit(store_limits(settings))
    return store


def store_limits(settings: FailureSettings) -> StoreLimits:
    """Return the bounds that the settings give a store."""
    from tailrace.store import StoreLimits  # noqa: PLC0415 - runs without a store need none

    return StoreLimits(
        flood=settings.flood_limit,
        poison=settings.poison_limit,
        generations=settings.max_generations,
        letter_days=settings.letter_expiry_days,
    )
