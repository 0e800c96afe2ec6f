"""Numbers and durations, read and written."""

from __future__ import annotations

import re

from tailrace.traceql.limits import MAX_INT, MIN_INT
from tailrace.traceql.tree import Literal, Type

NUMERAL = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[0-9]+")
# Compiled when a duration is read: most queries have none, and it takes a while.
_DURATION_TAIL = r"[nsuµμmhdwy0-9.]+"
_CALENDAR = (
    r"(?:(?P<y>[0-9]+)y)?(?:(?P<w>[0-9]+)w)?(?:(?P<d>[0-9]+)d)?(?:(?P<h>[0-9]+)h)?"
    r"(?:(?P<m>[0-9]+)m)?(?:(?P<s>[0-9]+)s)?(?:(?P<ms>[0-9]+)ms)?"
)
_CLOCK = r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)"
_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9,
    "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9, "w": 7 * 86_400 * 10**9,
    "y": 365 * 86_400 * 10**9,
}  # fmt: skip
_MAX_DIGITS = 400
_UNIT_NAMES = "ns us ms s m h, and whole d w y"


class NotANumber(Exception):  # noqa: N818 - says what the text is
    """The text is no number or duration; the message says why, ``end`` where the text ends."""

    def __init__(self, message: str, end: int) -> None:
        super().__init__(message)
        self.end = end


def read_numeral(text: str, start: int) -> tuple[Literal, int]:
    """Return the number or duration at ``start`` and where it ends; a digit or ``.5`` stands there.

    Raises:
        NotANumber: it is out of bounds, or letters follow that are no unit.
    """
    found = NUMERAL.match(text, start)
    assert found is not None  # noqa: S101 - the caller saw a digit
    end = found.end()
    tail = re.compile(_DURATION_TAIL).match(text, end)
    if tail is not None and not tail.group()[0].isdigit():
        end = tail.end()
        if not _continues(text, end) and (duration := read_duration(text[start:end])) is not None:
            return Literal(Type.DURATION, duration), end
    while _continues(text, end):
        end += 1
    if end != found.end():
        raise NotANumber(f"is no number or duration (units: {_UNIT_NAMES})", end)
    return _number(found.group(), end), end


def _continues(text: str, at: int) -> bool:
    return at < len(text) and (text[at].isalnum() or text[at] == "_")


def _number(text: str, end: int) -> Literal:
    if len(text) > _MAX_DIGITS:
        raise NotANumber(f"has more than {_MAX_DIGITS} digits", end)
    if _WHOLE.fullmatch(text):
        value = int(text)
        if value > MAX_INT:
            raise NotANumber(f"is too large; the largest integer is {MAX_INT}", end)
        return Literal(Type.INT, value)
    number = float(text)
    if number == float("inf"):
        raise NotANumber("is too large for a float", end)
    return Literal(Type.FLOAT, number)


def read_duration(text: str) -> int | None:
    """Return the nanoseconds of ``1d2h`` (whole numbers, long to short) or ``1h1.5s``, or None."""
    if len(text) > _MAX_DIGITS:
        return None
    calendar = re.fullmatch(_CALENDAR, text)
    if calendar is not None:
        parts = calendar.groupdict(default="0")
        total = sum(int(amount) * _UNITS[unit] for unit, amount in parts.items())
    else:
        clock = re.compile(_CLOCK)
        position = total = 0
        while position < len(text):
            part = clock.match(text, position)
            if part is None or not (part[1] or part[2]):
                return None
            position, unit, fraction = part.end(), _UNITS[part[3]], part[2] or ""
            total += int(part[1] or "0") * unit
            total += int(fraction or "0") * unit // 10 ** len(fraction)
    return total if total <= MAX_INT else None


def write_number(literal: Literal) -> str:
    """Return an integer, float or duration as the language writes it; negative ones with ``-``."""
    value = literal.value
    assert isinstance(value, int | float)  # noqa: S101 - the caller matched the type
    if value == MIN_INT and literal.type is Type.INT:
        return "minInt"
    if value < 0:
        return f"-{write_number(Literal(literal.type, -value))}"
    if literal.type is Type.DURATION:
        return write_duration(int(value))
    return repr(value)


def write_duration(nanoseconds: int) -> str:
    """Return ``1h30m``, ``1.5s``, ``250us`` of a duration that is not negative."""
    text = ""
    for name in ("h", "m"):
        amount, nanoseconds = divmod(nanoseconds, _UNITS[name])
        text += f"{amount}{name}" if amount else ""
    for name in ("s", "ms", "us"):
        if nanoseconds >= _UNITS[name]:
            amount, rest = divmod(nanoseconds, _UNITS[name])
            digits = len(str(_UNITS[name])) - 1
            fraction = f".{rest:0{digits}d}".rstrip("0") if rest else ""
            return f"{text}{amount}{fraction}{name}"
    return f"{text}{nanoseconds}ns" if nanoseconds or not text else text
