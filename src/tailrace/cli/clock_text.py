"""Instants and durations as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime

_NS = 1_000_000_000
_LAST_SECOND = 253_402_200_000
"""Late in the year 9999: what is beyond the calendar is shown as its end."""


def local_time(at_ns: int) -> str:
    """Return an instant (ns since the epoch) in local time with its zone, to the second."""
    seconds = min(max(at_ns / _NS, 0), _LAST_SECOND)
    moment = datetime.fromtimestamp(seconds, tz=UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S %z")


def ago(at_ns: int, now_ns: int) -> str:
    """Return how long ago an instant was, such as ``40s ago``, ``5h ago``; 0 is ``-``."""
    if not at_ns:
        return "-"
    seconds = max(0, now_ns - at_ns) // _NS
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def utc_time(at_ns: int) -> str:
    """Return an instant (ns since the epoch) as ISO 8601 in UTC, to the nanosecond."""
    seconds, rest = divmod(min(max(at_ns, 0), _LAST_SECOND * _NS), _NS)
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def duration(ns: int | None) -> str:
    """Return nanoseconds such as ``0.41 ms``, ``412 ms``, ``6.52 s``, ``12 m 04 s``, ``2 h 05 m``.

    None, a span still open, is ``-``.
    """
    if ns is None:
        return "-"
    if ns < 995_000:  # each bound is where rounding would give one figure more
        return f"{ns / 1e6:.2f} ms"
    if ns < 9_950_000:
        return f"{ns / 1e6:.1f} ms"
    if ns < 999_500_000:
        return f"{ns / 1e6:.0f} ms"
    if ns < 59_995_000_000:
        return f"{ns / 1e9:.2f} s"
    seconds = round(ns / 1e9)
    if seconds < 3_600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} m"
