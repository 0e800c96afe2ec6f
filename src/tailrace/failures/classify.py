"""What an exception means for a retry. Rules are asked in order; the first verdict wins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from tailrace.failures.status import errno_category, http_category, retry_after
from tailrace.failures.types import TYPES, type_name
from tailrace.model import ErrorCategory

MAX_CAUSES = 8
"""Causes of a failure that are looked at and kept."""
MAX_LEAVES = 32
"""Members of an exception group that are looked at."""
_CLASSIFIED_CAUSES = 5
_WORST_FIRST = (
    ErrorCategory.PERMANENT,
    ErrorCategory.UNKNOWN,
    ErrorCategory.TIMEOUT,
    ErrorCategory.TRANSIENT,
    ErrorCategory.CANCELLED,
)
_BY_TYPE: WeakKeyDictionary[type, Verdict | None] = WeakKeyDictionary()


class Verdict(NamedTuple):
    """A category and the rule that gave it."""

    category: ErrorCategory
    rule: str
    """``explicit``, ``group``, ``http``, ``errno``, ``type:<name>``, ``cause:…`` or ``unknown``."""
    is_refused: bool = False
    """True when nothing may try again, whatever the policy says."""
    retry_after: float | None = None
    """Seconds to wait at least before another attempt."""


_UNKNOWN = Verdict(ErrorCategory.UNKNOWN, "unknown")


def classify(error: BaseException) -> Verdict:
    """Return what an exception means. Never raises, whatever its attributes do."""
    try:
        return _classify(error)
    except Exception:  # noqa: BLE001 - attributes of a foreign exception may raise anything
        return _by_type(type(error)) or _UNKNOWN


def _classify(error: BaseException) -> Verdict:
    if isinstance(error, BaseExceptionGroup):
        return _group(error)
    verdict = _own(error)
    if verdict is None:
        verdict = _by_cause(error)
    wait = retry_after(error)
    return verdict if wait is None else verdict._replace(retry_after=wait)


def _own(error: BaseException) -> Verdict | None:
    """Return what an exception says of itself, without looking at its causes."""
    verdict = _explicit(error)
    if verdict is not None:
        return verdict
    by_type = _by_type(type(error))
    if by_type is not None and by_type.category is ErrorCategory.CANCELLED:
        return by_type
    category = http_category(error)
    if category is not None:
        return Verdict(category, "http")
    if isinstance(error, OSError):
        category = errno_category(error)
        if category is not None:
            return Verdict(category, "errno")
    return by_type


def _explicit(error: BaseException) -> Verdict | None:
    retryable = getattr(error, "retryable", None)
    if retryable is True:
        return Verdict(ErrorCategory.TRANSIENT, "explicit")
    if retryable is False or getattr(error, "non_retryable", None) is True:
        return Verdict(ErrorCategory.PERMANENT, "explicit", is_refused=True)
    return None


def _by_type(kind: type) -> Verdict | None:
    try:
        return _BY_TYPE[kind]
    except KeyError:
        verdict = _BY_TYPE[kind] = _nearest_listed(kind)
        return verdict


def _nearest_listed(kind: type) -> Verdict | None:
    for ancestor in kind.__mro__:
        name = type_name(ancestor)
        category = TYPES.get(name)
        if category is not None:
            is_refused = category is ErrorCategory.CANCELLED
            return Verdict(category, f"type:{name}", is_refused=is_refused)
    return None


def _by_cause(error: BaseException) -> Verdict:
    for count, cause in enumerate(causes(error)):
        if count == _CLASSIFIED_CAUSES:
            break
        verdict = _group(cause) if isinstance(cause, BaseExceptionGroup) else _own(cause)
        if verdict is not None and verdict.category is not ErrorCategory.CANCELLED:
            return verdict._replace(rule=f"cause:{verdict.rule}", is_refused=False)
    return _UNKNOWN


def _group(group: BaseExceptionGroup[BaseException]) -> Verdict:
    explicit = _explicit(group)
    if explicit is not None:
        return explicit
    verdicts = [_classify(leaf) for leaf in leaves(group)]
    worst = min((verdict.category for verdict in verdicts), key=_WORST_FIRST.index)
    waits = [verdict.retry_after for verdict in verdicts if verdict.retry_after is not None]
    is_refused = any(verdict.is_refused and verdict.category is worst for verdict in verdicts)
    return Verdict(worst, "group", is_refused=is_refused, retry_after=max(waits, default=None))


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an exception, nearest first, each once, at most eight."""
    seen = {id(error)}
    for _ in range(MAX_CAUSES):
        cause = error.__cause__
        if cause is None and not error.__suppress_context__:
            cause = error.__context__
        if cause is None or id(cause) in seen:
            return
        seen.add(id(cause))
        yield cause
        error = cause


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the members of a group that are no groups, in order, at most ``MAX_LEAVES``."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting and len(found) < MAX_LEAVES:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(error.exceptions))
        else:
            found.append(error)
    return found
