"""``@last``: the newest failure, letter or event, without its id."""

from __future__ import annotations

from tailrace.cli.stores import Failures, Letters
from tailrace.errors import NotFound
from tailrace.model.event import Event, EventFilter
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.letter import DeadLetter
from tailrace.ports import EventLog

LAST = "@last"


def find_failure(log: Failures, subject: str) -> FailureSnapshot:
    """Return the failure with that id or beginning, or the newest one.

    Raises:
        NotFound: there is none, or more than one begins so.
    """
    if subject != LAST:
        return log.failure(subject)
    newest = log.failures(FailureFilter(), limit=1)
    if not newest:
        raise NotFound("there is no failure in this store yet")
    return newest[0]


def newest_letter(letters: Letters) -> DeadLetter:
    """Return the newest letter that waits.

    Raises:
        NotFound: none does.
    """
    newest = letters.letters(FailureFilter(), limit=1)
    if not newest:
        raise NotFound("no dead letter is open or parked")
    return newest[0]


def find_event(log: EventLog, subject: str) -> Event:
    """Return the event with that id or beginning, or the newest one.

    Raises:
        NotFound: there is none, or more than one begins so.
    """
    if subject != LAST:
        return log.event(subject)
    newest = log.events(EventFilter(), limit=1)
    if not newest:
        raise NotFound("there is no event in this store yet")
    return newest[0]
