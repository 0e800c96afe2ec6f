"""Which event led to which."""

from __future__ import annotations

from tailrace.errors import NotFound
from tailrace.model.event import Event, EventFilter
from tailrace.ports import EventLog


def causes_of(log: EventLog, event_id: str) -> list[Event]:
    """Return an event and all that led to it, the first cause first.

    A parent that is not there ends the chain, and so does one that is in it already.

    Raises:
        NotFound: there is no such event.
    """
    event = log.event(event_id)
    chain, seen = [event], {event.event_id}
    while event.parent_id:
        try:
            event = log.event(event.parent_id)
        except NotFound:
            break
        if event.event_id in seen:
            break
        seen.add(event.event_id)
        chain.append(event)
    return chain[::-1]


def effects_of(log: EventLog, event_id: str, *, limit: int = 1000) -> list[Event]:
    """Return the events to which one led directly, oldest first, at most ``limit``."""
    return log.events(EventFilter(parent=event_id), limit=limit, oldest_first=True)
