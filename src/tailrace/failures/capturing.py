"""An exception turned into data, at once and without formatting a traceback."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tailrace.failures.chain import causes, count_leaves, leaves
from tailrace.failures.classification import classify
from tailrace.failures.fingerprint import (
    custom_fingerprint,
    site_fingerprint,
    template_fingerprint,
)
from tailrace.failures.frames import Place, Site, place_of, shown_file, source_line
from tailrace.failures.naming import encodable
from tailrace.failures.tags import Tags, has_secret, tags_of
from tailrace.failures.thread import thread_name
from tailrace.failures.types import about_type, type_name
from tailrace.failures.verdict import Verdict
from tailrace.model import ErrorCategory, FailureClass, FailureRecord, Frame, new_sortable
from tailrace.model.secret import redact_text
from tailrace.policy import format_duration

if TYPE_CHECKING:
    from tailrace.model.rule import Rule

MAX_MESSAGE = 2048
"""Characters of a message that are kept."""
_MAX_CAUSE_MESSAGE = 512
_MAX_NOTES = 8
_MOST_TYPES = 64
"""Types from one place whose fingerprints are remembered before all are forgotten."""
_GIVEN = "given"
"""The rule where the caller said the category."""


def capture(
    error: BaseException,
    *,
    rules: Sequence[Rule] = (),
    category: str | None = None,
    class_: str | None = None,
    thread: str = "",
) -> FailureRecord:
    """Return the failure that an exception is.

    Never raises, whatever the exception's own code does, and keeps no reference to the exception,
    its frames or their variables.

    Args:
        error: the exception; its traceback says where it came from.
        rules: rules of the task or the flow, asked before those of the project.
        category: a value of ``ErrorCategory`` that the caller knows better than the rules.
        class_: a value of ``FailureClass`` that the caller knows better.
        thread: what ``thread_name`` gave where it was raised; empty: it was raised here.
    """
    try:
        return _capture(error, rules, category, class_, thread)
    except BaseException:  # noqa: BLE001 - the exception's own code may raise anything
        names = (type_name(type(error)),)
        return _made(
            names[0],
            "(the exception cannot be read: its own attributes raise)",
            Verdict(ErrorCategory(category or ErrorCategory.UNKNOWN), "unreadable"),
            site_fingerprint(names, (), ()),
        )


def timeout_failure(seconds: float) -> FailureRecord:
    """Return the failure of an attempt that was stopped at its deadline."""
    return _made(
        "TimeoutError",
        f"not finished within its timeout of {format_duration(seconds)}",
        Verdict(ErrorCategory.TIMEOUT, "deadline", class_=FailureClass.TIMEOUT),
        site_fingerprint(("TimeoutError",), ("deadline",), ()),
    )


def cancelled_failure(reason: str = "") -> FailureRecord:
    """Return the failure of an attempt that was cancelled, with the reason given."""
    return _made(
        "CancelledError",
        _bounded(reason, MAX_MESSAGE, "message", []),
        Verdict(ErrorCategory.CANCELLED, "cancel", is_refused=True, class_=FailureClass.CANCELLED),
        site_fingerprint(("CancelledError",), (), ()),
    )


def _made(kind: str, message: str, verdict: Verdict, fingerprint: str) -> FailureRecord:
    """Return the failure of what is no exception that can be read."""
    return FailureRecord(
        type=kind,
        message=message,
        category=verdict.category.value,
        retryable=not verdict.is_refused,
        fingerprint=fingerprint,
        failure_id=f"F-{new_sortable()}",
        captured_ns=time.time_ns(),
        class_=verdict.class_.value,
        rule=verdict.rule,
        fp_template=template_fingerprint(fingerprint, message),
        thread=thread_name(),
        pid=os.getpid(),
    )


def _capture(
    error: BaseException,
    rules: Sequence[Rule],
    category: str | None,
    class_: str | None,
    thread: str,
) -> FailureRecord:
    verdict = classify(error, rules)
    redacted: list[str] = []
    chain = causes(error)
    place = place_of(error.__traceback__)
    own = place.own
    known = about_type(type(error))
    name = known.name
    members: list[BaseException] = []
    count = 0
    if isinstance(error, BaseExceptionGroup):
        members, count = leaves(error), count_leaves(error)
        site, own = _site_of_group(place, members)
        default = _fingerprint(name, chain, members, site)
    elif chain:
        default = _fingerprint(name, chain, members, place.site)
    else:
        default = _usual_fingerprint(name, place)
    location, line, function = _shown(own, redacted) if own is not None else ("", "", "")
    message = _message(error, MAX_MESSAGE, "message", redacted)
    extra = _extra(error, redacted) if known.is_telling or error.__dict__ else _NOTHING
    wish = extra.fingerprint or verdict.fingerprint
    fingerprint = custom_fingerprint(wish, default) if wish else default
    return FailureRecord(  # in the order of its fields: by name it takes five times as long
        name,
        message,
        category or str(verdict.category),
        not verdict.is_refused,
        location,
        line,
        function,
        _pairs(chain, "cause_chain", redacted) if chain else (),
        (),
        fingerprint,
        verdict.retry_after,
        f"F-{new_sortable()}",
        time.time_ns(),
        class_ or str(verdict.class_),
        verdict.rule if category is None else _GIVEN,
        template_fingerprint(fingerprint, message),
        extra.notes,
        _pairs(members, "children", redacted) if members else (),
        count,
        place.frames,
        place.stack_id,
        thread or thread_name(),
        os.getpid(),
        tuple(redacted),
        extra.tags,
        extra.dropped_tags,
    )


class _Extra(NamedTuple):
    """What an exception carries in attributes."""

    notes: tuple[str, ...] = ()
    tags: Tags = ()
    dropped_tags: int = 0
    fingerprint: str = ""


_NOTHING = _Extra()


def _extra(error: BaseException, redacted: list[str]) -> _Extra:
    try:
        tags, dropped = tags_of(error)
    except Exception:  # noqa: BLE001 - mappings of a foreign exception may raise anything
        tags, dropped = (), 0
    if has_secret(tags):
        redacted.append("tags")
    wish = getattr(error, "fingerprint", None)
    return _Extra(_notes(error, redacted), tags, dropped, wish if isinstance(wish, str) else "")


def _notes(error: BaseException, redacted: list[str]) -> tuple[str, ...]:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return ()
    kept = [note for note in notes[:_MAX_NOTES] if isinstance(note, str)]
    return tuple([_bounded(note, _MAX_CAUSE_MESSAGE, "notes", redacted) for note in kept])


def _shown(own: Frame, redacted: list[str]) -> tuple[str, str, str]:
    """Return location, line of source and function of the user's own frame."""
    line, is_redacted = source_line(own.file, own.line)
    if is_redacted:
        redacted.append("source_line")
    return f"{shown_file(own.file)}:{own.line}", line, own.function


def _site_of_group(
    place: Place, members: list[BaseException]
) -> tuple[tuple[Site, ...], Frame | None]:
    """Return the functions through which a group and its members came, and the first own place.

    The order in which members failed does not count for the functions.
    """
    inner = [place_of(member.__traceback__) for member in members]
    own = next((found.own for found in inner if found.own is not None), place.own)
    sites = sorted({found.site for found in inner})
    return (*place.site, *[entry for site in sites for entry in site]), own


def _fingerprint(
    name: str,
    chain: Sequence[BaseException],
    members: Sequence[BaseException],
    site: tuple[Site, ...],
) -> str:
    names = (name, *[type_name(type(cause)) for cause in chain])
    kinds = tuple(sorted({type_name(type(member)) for member in members})) if members else ()
    return site_fingerprint(names, kinds, site)


def _usual_fingerprint(name: str, place: Place) -> str:
    """Return the fingerprint of an exception without causes or members, the usual kind."""
    known = place.fingerprints
    found = known.get(name)
    if found is None:
        if len(known) >= _MOST_TYPES:
            known.clear()
        found = known[name] = site_fingerprint((name,), (), place.site)
    return found


def _pairs(
    errors: Sequence[BaseException], field: str, redacted: list[str]
) -> tuple[tuple[str, str], ...]:
    return tuple(
        [
            (type_name(type(one)), _message(one, _MAX_CAUSE_MESSAGE, field, redacted))
            for one in errors
        ]
    )


def _message(error: BaseException, limit: int, field: str, redacted: list[str]) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - __str__ of a foreign exception
        return f"(no message: its __str__ raised {type_name(type(broken))})"
    return _bounded(text, limit, field, redacted)


def _bounded(text: str, limit: int, field: str, redacted: list[str]) -> str:
    """Return a text without secrets and cut; note the field where there was one."""
    length = len(text)
    if type(text) is not str or not text.isascii():
        text = encodable(text)
    clean = redact_text(text)
    if clean is text and length <= limit:
        return text
    if clean != text and not text.startswith(clean) and field not in redacted:
        redacted.append(field)
    if max(length, len(clean)) > limit:
        end = f"… ({length} characters)"
        clean = clean[: limit - len(end)] + end
    return clean
