"""Whether and how long results of a task are reused by later runs."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tailrace.errors import DefinitionError
from tailrace.flows.findings import meant

MODES = ("inputs", "none")


class Caching(Struct, frozen=True):
    """How a task is cached."""

    mode: str = "none"
    """One of ``MODES``."""
    expires: float = 0.0
    """Seconds; 0: never."""


def read_caching(mode: str, expires: Any, checkpoint: str) -> Caching:
    """Return what a task says of its caching.

    Args:
        mode: one of ``MODES``.
        expires: a duration, or None.
        checkpoint: how the task's results are stored.

    Raises:
        DefinitionError: one of them is wrong, or they do not go together (TR314).
    """
    if mode not in MODES:
        near = meant(str(mode), MODES)
        raise _wrong(f"cache is {mode!r}; allowed: {', '.join(MODES)}{near}")
    seconds = _seconds(expires)
    if mode == "none":
        if expires is not None:
            raise _wrong("expires is given for a task that is not cached", "Add cache: inputs.")
        return Caching()
    if checkpoint == "none":
        raise _wrong(
            "a task whose checkpoint is none cannot be cached: there is nothing to reuse",
            "Leave checkpoint out, or cache.",
        )
    return Caching(mode, seconds)


def _seconds(expires: Any) -> float:
    if expires is None:
        return 0.0
    from tailrace.policy import parse_duration  # noqa: PLC0415 - few tasks have durations

    try:
        return parse_duration(expires)
    except ValueError as error:
        raise _wrong(f"expires: {error}") from None


def _wrong(message: str, hint: str = "") -> DefinitionError:
    return DefinitionError(message, code="TR314", hint=hint)
