"""Failures as events of Sentry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tailrace.failures.telemetry.extra import load_extra
from tailrace.model.failure import Cause, FailureSnapshot

Capture = Callable[[dict[str, Any]], object]


class SentryFailureTelemetry:
    """Sends each failure as one event that is grouped by its own fingerprint.

    The event is made of the snapshot, in which secrets are replaced: local variables never leave.
    ``sentry_sdk.init`` stays the program's business.

    Args:
        capture: takes the event; None: ``sentry_sdk.capture_event``.

    Raises:
        SettingsError: ``sentry-sdk`` is not installed (TR331).
    """

    def __init__(self, capture: Capture | None = None) -> None:
        self._capture = capture
        self._flush: Callable[..., object] | None = None
        if capture is None:
            sentry = load_extra("sentry_sdk", "sentry-sdk", type(self).__name__)
            self._capture, self._flush = sentry.capture_event, sentry.flush

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Send the event."""
        if self._capture is not None:
            self._capture(_event(snapshot))

    def flush(self, timeout: float, /) -> bool:
        """Wait until what was sent has left, ``timeout`` seconds at most."""
        if self._flush is not None:
            self._flush(timeout=timeout)
        return True


def _event(snapshot: FailureSnapshot) -> dict[str, Any]:
    event: dict[str, Any] = {
        "level": "error",
        "platform": "python",
        "logger": "tailrace.failures",
        "timestamp": snapshot.captured_ns / 1e9,
        "transaction": "/".join(part for part in (snapshot.flow, snapshot.node_id) if part),
        "exception": {"values": _exceptions(snapshot)},
        "tags": _tags(snapshot),
        "extra": {
            "failure_id": snapshot.failure_id,
            "run_id": snapshot.run_id,
            "rule": snapshot.rule,
            "attempt": snapshot.attempt,
            "path": "/".join(snapshot.path),
        },
    }
    if snapshot.fp_site:
        event["fingerprint"] = [snapshot.fp_site]
    if snapshot.code_version:
        event["release"] = snapshot.code_version
    if snapshot.trace_id and snapshot.span_id:
        event["contexts"] = {"trace": {"trace_id": snapshot.trace_id, "span_id": snapshot.span_id}}
    return event


def _tags(snapshot: FailureSnapshot) -> dict[str, str]:
    tags = {
        "category": snapshot.category,
        "class": snapshot.class_,
        "flow": snapshot.flow,
        "node": snapshot.node_id,
    }
    tags |= {f"tag.{key}": value for key, value in snapshot.tags}
    return {key: value for key, value in tags.items() if value}


def _exceptions(snapshot: FailureSnapshot) -> list[dict[str, Any]]:
    """Return the chain, the cause that came first at the beginning."""
    failure = _exception(Cause(snapshot.type, snapshot.message))
    failure["stacktrace"] = {
        "frames": [
            {
                "module": frame.module,
                "function": frame.function,
                "filename": frame.file,
                "lineno": frame.line,
                "in_app": frame.in_app,
            }
            for frame in snapshot.frames
        ]
    }
    return [*(_exception(cause) for cause in reversed(snapshot.cause_chain)), failure]


def _exception(cause: Cause) -> dict[str, Any]:
    module, _, name = cause.type.rpartition(".")
    return {"type": name, "module": module or None, "value": cause.message}
