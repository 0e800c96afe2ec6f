"""Messages of the streams as the index takes them in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from tailrace.jetstream.answers import Stored
from tailrace.jetstream.letter_text import letter_in
from tailrace.jetstream.names import Names
from tailrace.model.remote import decode_cancel, decode_job, decode_letter, decode_state
from tailrace.store.remote import Batch, Gone, LetterMessage, Message, Queued, Stands, Wish

_SECOND = len("2026-01-01T00:00:00")


class Clock:
    """Reads the server's times; those of one second share most of the work."""

    def __init__(self) -> None:
        self._text = ""
        self._micros = 0

    def micros(self, time: str) -> int:
        """Return a time (RFC 3339 in UTC) in microseconds since the epoch."""
        text = time[:_SECOND]
        if text != self._text:
            self._micros = int(datetime.fromisoformat(text + "+00:00").timestamp()) * 1_000_000
            self._text = text
        fraction = time[_SECOND + 1 : _SECOND + 7].rstrip("Z")
        return self._micros + (int(fraction.ljust(6, "0")) if fraction else 0)


_clock = Clock()


def micros_of(stored: Stored) -> int:
    """Return the server's time of a message, microseconds since the epoch."""
    return _clock.micros(stored.time)


def message_of(names: Names, stored: Stored, body: bytes) -> Message | None:
    """Return what a message of the stream of runs tells; None: nothing that is ours.

    Args:
        names: of the subjects.
        stored: the message.
        body: what it holds, which may be kept beside it.
    """
    kind, _, rest = stored.subject[len(names.prefix) + 1 :].partition(".")
    try:
        if kind == "j":
            run_id, _, number = rest.rpartition(".")
            return None if stored.is_marker else Batch(stored.sequence, run_id, int(number), body)
        run_id = rest.rpartition(".")[2]
        if stored.is_marker:
            return Gone(stored.sequence, run_id) if kind == "s" else None
        return _told(kind, run_id, stored)
    except (msgspec.DecodeError, ValueError):
        return None  # somebody does not keep to the format: workers put such jobs aside


def _told(kind: str, run_id: str, stored: Stored) -> Message | None:
    at = micros_of(stored)
    match kind:
        case "q" | "d":
            job = decode_job(stored.body)
            return Queued(stored.sequence, at, job) if job.run_id == run_id else None
        case "s":
            state = decode_state(stored.body)
            return Stands(stored.sequence, at, state) if state.job.run_id == run_id else None
        case "x":
            return Wish(stored.sequence, at, run_id, decode_cancel(stored.body))
        case _:
            return None


def letters_of(page: Iterable[Stored]) -> list[LetterMessage]:
    """Return the dead letters of a page of their stream."""
    found: list[LetterMessage] = []
    for stored in page:
        if stored.is_marker:
            continue
        try:
            letter = decode_letter(stored.body)
            message = LetterMessage(stored.sequence, letter_in(letter), letter.tenant_id or "")
        except (msgspec.DecodeError, ValueError):
            continue
        found.append(message)
    return found
