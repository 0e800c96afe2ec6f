"""Instants of events: nanoseconds inside, ISO 8601 text outside."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_text(ns: int) -> str:
    """Return an instant as ``2026-11-21T06:55:23.281787Z``."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)[0]}.{rest // 1000:06d}Z"


def id_stamp(ns: int) -> str:
    """Return an instant as ``20261121-065523``, in UTC."""
    return _second(ns // 1_000_000_000)[1]


@lru_cache(maxsize=16)
def _second(seconds: int) -> tuple[str, str]:
    moment = time.gmtime(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", moment), time.strftime("%Y%m%d-%H%M%S", moment)


def local_text(ns: int, zone: tzinfo | None) -> str:
    """Return an instant as the older program wrote it: local time that does not say its zone.

    Args:
        ns: nanoseconds since the epoch; what is finer than a microsecond is cut.
        zone: whose local time; None: this machine's.
    """
    moment = _EPOCH + ns // 1000 * _MICROSECOND
    return moment.astimezone(zone).replace(tzinfo=None).isoformat()


def parse_instant(text: str, zone: tzinfo | None) -> tuple[int, bool]:
    """Return the nanoseconds since the epoch, and whether the text did not say its zone.

    Args:
        text: ISO 8601, with ``Z``, an offset, or neither.
        zone: what a time without zone is local to; None: this machine.

    Raises:
        ValueError: the text is no instant, or lies outside of what a calendar has.
    """
    moment = datetime.fromisoformat(text)
    is_naive = moment.tzinfo is None
    try:
        aware = moment.astimezone() if is_naive and zone is None else moment
        if aware.tzinfo is None:
            aware = moment.replace(tzinfo=zone)
        return (aware - _EPOCH) // _MICROSECOND * 1000, is_naive
    except OverflowError as error:
        raise ValueError(f"{text} lies outside of the calendar") from error
