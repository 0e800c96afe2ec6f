"""Policies as the user writes them, and as the engine obeys them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any

from msgspec import Struct

Duration = float | int | str
"""Seconds as a number, or text such as ``"250ms"``, ``"1.5m"``, ``"2h"``; 0 is off."""
FailureKind = str | type[BaseException]
"""A category, a class of failure, or an exception type; the type itself or its name."""


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


SYNONYMS: Mapping[str, str] = {
    "max_retries": "max_attempts",
    "schedule": "mode",
    "base": "delay",
    "retry_on": "on",
}
"""Other words for fields of a retry, to the field they stand for."""


@dataclass(slots=True, eq=False, repr=False)
class Retry(_Given):
    """How often and how patiently a task is tried again.

    ``max_attempts`` is the number of tries **after the first**: 0 is off, 2 means at most three
    calls. Values are kept as written, but exception types become their names; ``PolicyValidator``
    reports every one out of bounds. ``max_retries``, ``schedule``, ``base`` and ``retry_on`` are
    other words for ``max_attempts``, ``mode``, ``delay`` and ``on``.
    """

    max_attempts: int = _UNSET
    delay: Duration = _UNSET
    mode: str = _UNSET
    """``fixed``, ``exponential``, ``linear`` or ``fibonacci``."""
    max_delay: Duration | None = _UNSET
    jitter: str | float = _UNSET
    """``none``, ``full``, ``equal``, ``decorrelated``, or a share from 0 to 1 up and down."""
    on: Sequence[FailureKind] | None = _UNSET
    """What is retried: categories, classes, exception types by name; None: all."""
    max_elapsed: Duration | None = _UNSET
    _: KW_ONLY
    factor: float = _UNSET
    """Growth of ``exponential`` from one delay to the next, 1 or more."""
    give_up_on: Sequence[FailureKind] | None = _UNSET
    """What is final at once, in the words of ``on``; stronger than ``on``."""
    respect_retry_after: bool = _UNSET
    retry_after_cap: Duration | None = _UNSET
    """The longest wait that another side may ask for; a longer wish is given up. 0: no cap."""
    unknown_retries: int | None = _UNSET
    """Tries after the first of failures of which nothing is known; None: ``max_attempts``."""
    budget: str | None = _UNSET
    """Name of what is called; all that name it share one budget of retries."""
    on_budget: str = _UNSET
    """What happens without budget: ``dead_letter`` (give up) or ``delay`` (wait for some)."""
    breaker: str | None = _UNSET
    """Name of what is called; while it is down, attempts of all that name it wait."""
    nested: bool = _UNSET
    """True: try again, too, what has been retried inside until nothing was left."""
    max_retries: InitVar[int] = _UNSET
    schedule: InitVar[str] = _UNSET
    base: InitVar[Duration] = _UNSET
    retry_on: InitVar[Sequence[FailureKind] | None] = _UNSET
    given: frozenset[str] = field(init=False)
    words: Mapping[str, tuple[str, ...]] = field(init=False)
    """For each field given by another word: all words it was given by."""

    def __post_init__(self, *synonyms: Any) -> None:
        """Put values given by other words, and defaults, in their places."""
        others = {
            word: value
            for word, value in zip(SYNONYMS, synonyms, strict=True)
            if value is not _UNSET
        }
        words: dict[str, tuple[str, ...]] = {}
        for word, value in others.items():
            name = SYNONYMS[word]
            is_twice = getattr(self, name) is not _UNSET
            words[name] = (name, word) if is_twice else (word,)
            if not is_twice:
                setattr(self, name, value)
        self.words = words
        self.given = _given(**{name: getattr(self, name) for name in _RETRY_DEFAULTS})
        for name in _RETRY_DEFAULTS.keys() - self.given:
            setattr(self, name, _RETRY_DEFAULTS[name])
        self.on, self.give_up_on = _by_name(self.on), _by_name(self.give_up_on)


for _word in SYNONYMS:
    delattr(Retry, _word)  # words to give a field by, not to read it by


def name_of_type(kind: type[BaseException]) -> str:
    """Return the qualified name of an exception type; builtins without ``builtins.``."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _by_name(kinds: Any) -> Any:
    if not isinstance(kinds, list | tuple | set | frozenset):
        return kinds
    if not any(isinstance(kind, type) for kind in kinds):
        return kinds
    return [
        name_of_type(kind) if isinstance(kind, type) and issubclass(kind, BaseException) else kind
        for kind in kinds
    ]


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


class EffectiveRetry(Struct, frozen=True, kw_only=True):
    """A validated ``Retry``; durations in seconds."""

    max_attempts: int = 0
    delay: float = 0.0
    mode: str = "fixed"
    max_delay: float | None = None
    jitter: str | float = "none"
    on: frozenset[str] | None = None
    """What is retried; None: all but cancelled. ``transient`` admits timeouts too."""
    max_elapsed: float | None = None
    factor: float = 2.0
    give_up_on: frozenset[str] = frozenset()
    respect_retry_after: bool = True
    retry_after_cap: float | None = 3600.0
    """A longer wish of the other side is given up; None or 0: no cap."""
    unknown_retries: int | None = None
    budget: str | None = None
    on_budget: str = "dead_letter"
    breaker: str | None = None
    nested: bool = False


_RETRY_DEFAULTS: Mapping[str, Any] = {
    name: getattr(EffectiveRetry(), name) for name in EffectiveRetry.__struct_fields__
} | {"give_up_on": None}


class EffectiveOnError(Struct, frozen=True, kw_only=True):
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
