"""Policies as the user writes them, and as the engine obeys them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Duration = float | int | str
"""Seconds as a number, or text such as ``"250ms"``, ``"1.5m"``, ``"2h"``; 0 is off."""


class _Given:
    """Remembers which fields the user wrote, so that levels of precedence can be merged."""

    __slots__ = ()
    given: frozenset[str]

    def _fields(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in sorted(self.given))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._fields()})"

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, _Given)
            and self.given == other.given
            and all(getattr(self, name) == getattr(other, name) for name in self.given)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.given))


_UNSET: Any = object()


def _given(**values: Any) -> frozenset[str]:
    return frozenset(name for name, value in values.items() if value is not _UNSET)


class Retry(_Given):
    """How often and how patiently a task is tried again.

    ``max_attempts`` is the number of tries **after the first**: 0 is off, 2 means at most three
    calls. Values are kept as written; ``PolicyValidator`` reports every one out of bounds.
    """

    __slots__ = (
        "delay",
        "given",
        "jitter",
        "max_attempts",
        "max_delay",
        "max_elapsed",
        "mode",
        "on",
    )

    def __init__(  # noqa: PLR0917 - the contract's signature
        self,
        max_attempts: int = _UNSET,
        delay: Duration = _UNSET,
        mode: str = _UNSET,
        max_delay: Duration | None = _UNSET,
        jitter: str = _UNSET,
        on: Sequence[str] | None = _UNSET,
        max_elapsed: Duration | None = _UNSET,
    ) -> None:
        self.given = _given(
            max_attempts=max_attempts,
            delay=delay,
            mode=mode,
            max_delay=max_delay,
            jitter=jitter,
            on=on,
            max_elapsed=max_elapsed,
        )
        self.max_attempts = 0 if max_attempts is _UNSET else max_attempts
        self.delay = 0 if delay is _UNSET else delay
        self.mode = "fixed" if mode is _UNSET else mode
        self.max_delay = None if max_delay is _UNSET else max_delay
        self.jitter = "none" if jitter is _UNSET else jitter
        self.on = None if on is _UNSET else on
        self.max_elapsed = None if max_elapsed is _UNSET else max_elapsed


class OnError(_Given):
    """What happens when a node has failed for good.

    ``action``: ``stop`` (default), ``continue`` (dependents run on ``value``, or on the node's
    own input where none is given), ``isolate`` (dependents are SKIPPED, others go on), ``goto``
    (``target`` runs instead of the dependents; with ``rejoin`` the flow goes on at that node),
    ``fallback`` (``target`` is a task whose result replaces the node's).
    """

    __slots__ = ("action", "given", "rejoin", "target", "value")

    def __init__(
        self,
        action: str = _UNSET,
        target: str | None = _UNSET,
        value: Any = _UNSET,
        rejoin: str | None = _UNSET,
    ) -> None:
        self.given = _given(action=action, target=target, value=value, rejoin=rejoin)
        self.action = "stop" if action is _UNSET else action
        self.target = None if target is _UNSET else target
        self.value = None if value is _UNSET else value
        self.rejoin = None if rejoin is _UNSET else rejoin


class Policy(_Given):
    """How failure is met, as written at one level (flow, command line, node).

    ``timeout`` is per attempt, ``total_timeout`` for the node with all its retries.
    """

    __slots__ = ("fail_fast", "given", "on_error", "retry", "timeout", "total_timeout")

    def __init__(
        self,
        fail_fast: bool = _UNSET,  # noqa: FBT001 - the contract's signature
        timeout: Duration = _UNSET,
        retry: Retry = _UNSET,
        on_error: OnError = _UNSET,
        total_timeout: Duration = _UNSET,
    ) -> None:
        self.given = _given(
            fail_fast=fail_fast,
            timeout=timeout,
            retry=retry,
            on_error=on_error,
            total_timeout=total_timeout,
        )
        self.fail_fast = True if fail_fast is _UNSET else fail_fast
        self.timeout = 0 if timeout is _UNSET else timeout
        self.retry = Retry() if retry is _UNSET else retry
        self.on_error = OnError() if on_error is _UNSET else on_error
        self.total_timeout = 0 if total_timeout is _UNSET else total_timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRetry:
    """A validated ``Retry``; durations in seconds."""

    max_attempts: int = 0
    delay: float = 0.0
    mode: str = "fixed"
    max_delay: float | None = None
    jitter: str = "none"
    on: frozenset[str] | None = None
    """Categories that are retried; None: all but cancelled. ``transient`` admits timeouts too."""
    max_elapsed: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveOnError:
    """A validated ``OnError``. ``has_value`` tells ``value: null`` from no value."""

    action: str = "stop"
    target: str | None = None
    value: Any = None
    has_value: bool = False
    rejoin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePolicy:
    """What the engine obeys for one node after all levels were merged; durations in seconds."""

    fail_fast: bool = True
    timeout: float = 0.0
    total_timeout: float = 0.0
    retry: EffectiveRetry = field(default_factory=EffectiveRetry)
    on_error: EffectiveOnError = field(default_factory=EffectiveOnError)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Per dotted field (``retry.delay``) the level it came from: default, flow, --policy, node."""

    @property
    def attempts(self) -> int:
        """Calls at most, the first included."""
        return self.retry.max_attempts + 1
