"""Instants as users write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

Instant = str | int | datetime | timedelta
"""``"2h"`` (ago), an ISO date or time, ns since the epoch, a datetime, or how long ago."""
_NS = 1_000_000_000
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def instant_ns(value: Instant) -> int:
    """Return ns since the epoch for whatever says an instant.

    A number counts as it is; a time without a zone is local.

    Raises:
        ValueError: it says none.
        TypeError: nor is it of a type that could.
    """
    match value:
        case bool():
            raise TypeError(f"{value!r} is no time")
        case int():
            return value
        case datetime():
            return _epoch_ns(value)
        case timedelta():
            return _epoch_ns(_before(datetime.now().astimezone(), value))
        case str():
            return parse_instant(value, now=datetime.now().astimezone())
        case _:
            raise TypeError(f"{value!r} is no time")


def parse_instant(text: str, *, now: datetime, end_of_day: bool = False) -> int:
    """Return ns since the epoch for ``2h`` (ago), an ISO date or an ISO date and time.

    A time without a zone is local. A date is its first moment, or with ``end_of_day`` the first of
    the day after.

    Raises:
        ValueError: the text is none of these.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return _epoch_ns(now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]]))
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return _epoch_ns(datetime.fromisoformat(text.strip()))
    moment = datetime.combine(day + timedelta(days=end_of_day), time.min)
    return _epoch_ns(moment)


def _before(now: datetime, ago: timedelta) -> datetime:
    try:
        return now - ago
    except OverflowError as error:
        raise ValueError(str(error)) from error


def _epoch_ns(moment: datetime) -> int:
    try:
        aware = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * _NS + delta.microseconds * 1_000
