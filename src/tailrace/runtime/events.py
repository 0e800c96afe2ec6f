"""The process's event streams: one for each file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tailrace import failures
from tailrace.events.emitted import Emitted
from tailrace.events.stream import ResilientEventStream
from tailrace.model.failure import FailureSnapshot
from tailrace.runtime.stores import store_limits
from tailrace.runtime.watch import current_config, hub_of
from tailrace.settings import Settings, database_for, load_settings
from tailrace.tracing.redact import use_rules

_STREAMS: dict[Path, ResilientEventStream] = {}
_RECOVERED: set[Path] = set()
_LOCK = threading.Lock()


def get_resilient_stream(
    path: Path | str | None = None, *, recover: bool = True
) -> ResilientEventStream:
    """Return this process's event stream of a file, opened at its first use.

    Args:
        path: the database; None: the project's, as for runs.
        recover: go on with the work of processes that died, once in this process. What it cannot
            import becomes dead letters, so a program that only emits passes False.

    Raises:
        SettingsError: the settings are wrong.
        StoreError: the file cannot be opened.
    """
    settings = load_settings()
    database = _database(path, settings)
    with _LOCK:
        stream = _STREAMS.get(database)
        if stream is None:
            stream = ResilientEventStream(**_arguments(database, settings))
            _STREAMS[database] = stream
        if recover and database not in _RECOVERED:
            _RECOVERED.add(database)
            stream.recover()
        return stream


def stream_arguments(path: Path | str | None = None) -> dict[str, Any]:
    """Return the arguments with which the stream of a file is made, for a class of one's own.

    ``log``, ``letters``, ``worker_id``, ``code_version`` and ``on_failure``, as the project's
    settings say.

    Raises:
        SettingsError: the settings are wrong.
    """
    settings = load_settings()
    return _arguments(_database(path, settings), settings)


def emit(
    event_type: str, source: str = "", data: Mapping[str, Any] | None = None, **keys: Any
) -> str:
    """Record an event in the project's stream; see ``ResilientEventStream.emit``."""
    return get_resilient_stream().emit(event_type, source, data, **keys)


def emit_with_retry(
    event_type: str,
    source: str,
    action: Callable[[], Any],
    *,
    max_retries: int | None = None,
    tags: Sequence[str] | None = None,
    timeout_seconds: float | None = None,
    **options: Any,
) -> Emitted:
    """Run an action through the project's stream; see ``ResilientEventStream.emit_with_retry``."""
    return get_resilient_stream().emit_with_retry(
        event_type,
        source,
        action,
        max_retries=max_retries,
        tags=tags,
        timeout_seconds=timeout_seconds,
        **options,
    )


def _database(path: Path | str | None, settings: Settings) -> Path:
    return (database_for(Path.cwd(), settings) if path is None else Path(path)).resolve()


def _arguments(database: Path, settings: Settings) -> dict[str, Any]:
    from tailrace.store.dead_letters import SqliteDeadLetters  # noqa: PLC0415 - loaded when used
    from tailrace.store.event_log import SqliteEventLog  # noqa: PLC0415 - likewise

    use_rules(settings.redact)
    failures.use_rules(settings.failures.rules)
    limits = store_limits(settings.failures)
    return {
        "log": SqliteEventLog(database, durability=settings.durability, limits=limits),
        "letters": SqliteDeadLetters(database, durability=settings.durability, limits=limits),
        "worker_id": settings.failures.worker_id or f"{os.uname().nodename}-{os.getpid()}",
        "code_version": settings.failures.code_version,
        "on_failure": _tell(settings),
    }


def _tell(settings: Settings) -> Callable[[FailureSnapshot, BaseException | None], None]:
    """Return what tells the process's telemetry of a failure, which is durable by then."""

    def tell(snapshot: FailureSnapshot, error: BaseException | None) -> None:
        hub_of(current_config(), settings).escalated(snapshot, error, stored=True)

    return tell
