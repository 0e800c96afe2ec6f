"""Records of failures, letters and redrives for programs: whole ids, times as ISO in UTC."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.cli.clock_text import utc_time
from tailrace.model.failure import FailureSnapshot

_NS = "_ns"


def struct_to_dict(value: msgspec.Struct) -> dict[str, Any]:
    """Return the record's fields by name; ``first_ns`` becomes ``first``, an ISO instant.

    An instant of 0 is None: it is not known, or never.
    """
    raw: dict[str, Any] = msgspec.to_builtins(value)
    return _timed(raw)


def _timed(raw: dict[str, Any]) -> dict[str, Any]:
    return {
        key.removesuffix(_NS): (utc_time(value) if value else None) if key.endswith(_NS) else value
        for key, value in raw.items()
    }


def failure_to_dict(failure: FailureSnapshot) -> dict[str, Any]:
    """Return a failure; frames, tags and hops by name."""
    body = struct_to_dict(failure)
    body["trail"] = [_timed(hop) for hop in body["trail"]]
    body["frames"] = [
        {
            "module": frame.module,
            "function": frame.function,
            "file": frame.file,
            "line": frame.line,
            "in_app": frame.in_app,
        }
        for frame in failure.frames
    ]
    body["tags"] = dict(failure.tags)
    return body
