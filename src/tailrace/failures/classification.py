"""What an exception means for a retry. Rules are asked in order; the first verdict wins.

1. What the exception says of itself: ``retryable``, ``non_retryable``.
2. Rules of the call, of the project, and of plug-ins.
3. Retries that were made already, further inside.
4. The worst member of an exception group.
5. An HTTP status or a gRPC code, with ``Retry-After``.
6. The errno of an operating system error.
7. The nearest listed type in its ancestry.
8. Its causes.

Where a step says what category a failure has but not of which class it is, the class is that which
the steps below it would give. Stops that were asked for (Ctrl-C, cancelled tasks) come before
step 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tailrace.failures.chain import causes, leaves
from tailrace.failures.rules import judge
from tailrace.failures.status import by_errno, by_status
from tailrace.failures.types import about, about_type
from tailrace.failures.verdict import EXHAUSTED, UNKNOWN, Verdict
from tailrace.failures.waiting import retry_after
from tailrace.model import ErrorCategory, FailureClass

if TYPE_CHECKING:
    from tailrace.model.rule import Rule

__all__ = ["Verdict", "classify", "explain_verdict"]

_CLASSIFIED_CAUSES = 5
_WORST_FIRST = (
    ErrorCategory.PERMANENT,
    ErrorCategory.UNKNOWN,
    ErrorCategory.TIMEOUT,
    ErrorCategory.TRANSIENT,
    ErrorCategory.CANCELLED,
)
_SAID_TRANSIENT = Verdict(ErrorCategory.TRANSIENT, "explicit")
_SAID_PERMANENT = Verdict(ErrorCategory.PERMANENT, "explicit", is_refused=True)


def classify(error: BaseException, rules: Sequence[Rule] = ()) -> Verdict:
    """Return what an exception means. Never raises, whatever its attributes do.

    Args:
        error: the exception.
        rules: asked before those of the project; of a task or a flow.
    """
    try:
        return _classify(error, rules)
    except Exception:  # noqa: BLE001 - attributes of a foreign exception may raise anything
        return about_type(type(error)).verdict or UNKNOWN


def explain_verdict(
    *,
    type_name: str | None = None,
    status: int | None = None,
    errno: int | None = None,
    message: str = "",
    retry_after: float | str | None = None,
    rules: Sequence[Rule] = (),
) -> Verdict:
    """Return the verdict over an exception with these properties, none of which need exist.

    It is classified by the same rules as a live one. Nothing is imported but modules of Python's
    own; of types of other libraries, those are known that are listed or loaded.

    Args:
        type_name: qualified name, or the plain one of a builtin or listed type.
        status: HTTP status of its response.
        errno: error number of the operating system.
        message: its text.
        retry_after: a value of the header ``Retry-After``: seconds, or a date.
        rules: as for ``classify``.

    Raises:
        DefinitionError: the type's name is no name, the status no HTTP status, or the wish
            neither seconds nor a date (TR321).
    """
    from tailrace.failures.stand_in import stand_in  # noqa: PLC0415 - only for dry runs

    error = stand_in(type_name, status=status, errno=errno, message=message, wish=retry_after)
    return classify(error, rules)


def _classify(error: BaseException, rules: Sequence[Rule]) -> Verdict:
    verdict = _explicit(error)
    listed, is_telling = about(error)
    if verdict is None:
        if listed is not None and listed.category is ErrorCategory.CANCELLED:
            return listed
        verdict = judge(error, rules)
    if verdict is None:
        verdict = _found(error, listed, rules, is_telling=is_telling)
    elif verdict.class_ is FailureClass.UNKNOWN:
        class_ = _class_of(error, rules)
        if class_ is not FailureClass.UNKNOWN:
            verdict = verdict._replace(class_=class_)
    wait = retry_after(error) if is_telling else None
    return verdict if wait is None else verdict._replace(retry_after=wait)


def _explicit(error: BaseException) -> Verdict | None:
    retryable = getattr(error, "retryable", None)
    if retryable is True:
        return _SAID_TRANSIENT
    if retryable is False or getattr(error, "non_retryable", None) is True:
        return _SAID_PERMANENT
    return None


def _class_of(error: BaseException, rules: Sequence[Rule]) -> FailureClass:
    listed, is_telling = about(error)
    return _found(error, listed, rules, is_telling=is_telling).class_


def _found(
    error: BaseException, listed: Verdict | None, rules: Sequence[Rule], *, is_telling: bool
) -> Verdict:
    """Return what the rules of our own say."""
    mark = getattr(error, "retries_exhausted", None)
    if mark is True or _ends_retries(listed):
        return _marked(_reported(error) or _by_cause(error, rules), mark)
    if isinstance(error, BaseExceptionGroup):
        return _group(error, rules)
    return _own(error, listed, is_telling=is_telling) or _by_cause(error, rules)


def _own(error: BaseException, listed: Verdict | None, *, is_telling: bool) -> Verdict | None:
    """Return what an exception is by its status, errno or type, whatever its causes are."""
    verdict = by_status(error) if is_telling else None
    if verdict is None and isinstance(error, OSError):
        verdict = by_errno(error)
    return verdict or listed


def _ends_retries(listed: Verdict | None) -> bool:
    return listed is not None and listed.rule == EXHAUSTED


def _marked(verdict: Verdict, mark: object) -> Verdict:
    return verdict if mark is False else verdict._replace(rule=EXHAUSTED)


def _reported(error: BaseException) -> Verdict | None:
    """Return what the failure was that ended the run inside a task."""
    report = getattr(error, "report", None)
    category = getattr(report, "category", None)
    if not category:
        return None
    class_ = getattr(report, "error_class", None) or FailureClass.UNKNOWN
    return Verdict(ErrorCategory(category), "report", class_=FailureClass(class_))


def _by_cause(error: BaseException, rules: Sequence[Rule]) -> Verdict:
    for count, cause in enumerate(causes(error)):
        if count == _CLASSIFIED_CAUSES:
            break
        verdict = _of_cause(cause, rules)
        if verdict is not None and verdict.category is not ErrorCategory.CANCELLED:
            wait = retry_after(cause) if verdict.retry_after is None else verdict.retry_after
            rule = f"cause:{verdict.rule}"
            return verdict._replace(rule=rule, is_refused=False, retry_after=wait)
    return UNKNOWN


def _of_cause(cause: BaseException, rules: Sequence[Rule]) -> Verdict | None:
    verdict = _explicit(cause) or judge(cause, rules)
    if verdict is not None:
        return verdict
    listed, is_telling = about(cause)
    mark = getattr(cause, "retries_exhausted", None)
    if mark is True or _ends_retries(listed):
        return _marked(_reported(cause) or UNKNOWN, mark)
    if isinstance(cause, BaseExceptionGroup):
        return _group(cause, rules)
    return _own(cause, listed, is_telling=is_telling)


def _group(group: BaseExceptionGroup[BaseException], rules: Sequence[Rule]) -> Verdict:
    verdicts = [_classify(leaf, rules) for leaf in leaves(group)]
    worst = min(verdicts, key=lambda verdict: _WORST_FIRST.index(verdict.category))
    waits = [verdict.retry_after for verdict in verdicts if verdict.retry_after is not None]
    return Verdict(
        worst.category,
        f"group:{worst.rule}",
        any(verdict.is_refused and verdict.category is worst.category for verdict in verdicts),
        max(waits, default=None),
        worst.class_,
    )
