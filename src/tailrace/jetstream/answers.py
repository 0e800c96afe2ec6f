"""What JetStream answers, and the errors that mean something to us."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from tailrace.errors import Conflict, TransportError


class Unreachable(TransportError):  # noqa: N818 - reads as the state it reports
    """NATS did not answer: whether what was asked for has been done is not known."""

    default_code = "TR400"


class NotReady(Unreachable):
    """NATS is there, JetStream is not (yet): nothing was done."""


class Rejected(Unreachable):
    """NATS is there, and there is no connection: it does not know us, or we do not trust it."""

    default_code = "TR411"


class Denied(TransportError):  # noqa: N818 - reads as the state it reports
    """NATS knows us and does not allow a subject: nothing was done."""

    default_code = "TR413"


class Refused(TransportError):  # noqa: N818 - reads as the state it reports
    """JetStream refused a request. ``number`` is its error code (``err_code``)."""

    default_code = "TR401"

    def __init__(self, number: int, message: str, *, status: int = 0) -> None:
        text = f"JetStream refused: {message} (error {number})"
        super().__init__(text, hint=_HINTS.get(number, ""))
        self.number = number
        self.status = status


_FULL = "make room on the server's disk, or raise max_file_store in its configuration"
_HINTS = {
    10023: _FULL,
    10047: f"{_FULL}; nats.letter_size and nats.span_size say what is set aside",
    10054: "raise max_msg_size of the stream",
    10059: "`tailrace server up` makes the streams; is nats.prefix the same everywhere?",
}
NO_STREAM = 10059
WRONG_LAST = 10071
IN_FLIGHT = 10164
"""Another write that checks the same subject is under way: ask again."""
DUPLICATE_IN_PROCESS = 10158
"""A message with this id is being stored: ask again."""
RETRYABLE = frozenset({IN_FLIGHT, DUPLICATE_IN_PROCESS, 10008, 10023, 10077})
"""Also: JetStream is not available yet, too few resources at the moment, not stored."""
_PASSING = RETRYABLE | {10002, 10009, 10039, 10047, 10076, 10118}
"""Also: the room of account or server is used up, JetStream is off, its leader is elsewhere."""
_NOT_STORED = 10077
_FINAL_CODES = frozenset({"TR403", "TR404", "TR405", "TR413"})


def is_final(error: TransportError) -> bool:
    """Whether asking again would be answered the same way; False: it may be worth while."""
    if isinstance(error, Refused):
        if error.number == _NOT_STORED:
            return "maximum" in error.message  # a limit of the stream, not trouble of the server
        return error.number not in _PASSING
    return error.code in _FINAL_CODES


class ApiError(msgspec.Struct):
    """The ``error`` of an answer."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct):
    """The answer to a stored message."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: ApiError | None = None


class ApiAnswer(msgspec.Struct):
    """What any answer may hold besides its own fields."""

    error: ApiError | None = None


decode_ack = msgspec.json.Decoder(Ack).decode
decode_answer = msgspec.json.Decoder(ApiAnswer).decode


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A message of a stream. ``time`` is the server's (RFC 3339), ``body`` may be empty."""

    subject: str
    sequence: int
    time: str
    body: bytes
    headers: dict[str, str]

    @property
    def at(self) -> float:
        """The server's time in Unix seconds; 0: it is not told."""
        return instant_of(self.time)

    @property
    def is_marker(self) -> bool:
        """Whether it only says that a message has expired or was deleted."""
        return "Nats-Marker-Reason" in self.headers or "KV-Operation" in self.headers


def instant_of(text: str) -> float:
    """Return a time of the server (RFC 3339) in Unix seconds; 0: it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def raise_for(error: ApiError) -> None:
    """Raise what an error of JetStream means.

    Raises:
        Conflict: a compare-and-set failed.
        Refused: anything else.
    """
    if error.err_code == WRONG_LAST:
        raise Conflict(error.description)
    raise Refused(error.err_code, error.description, status=error.code)


def check_answer(body: bytes) -> dict[str, Any]:
    """Return an answer of the API as a dict.

    Raises:
        Refused, Conflict: it holds an error.
    """
    answer = decode_answer(body)
    if answer.error is not None:
        raise_for(answer.error)
    found: dict[str, Any] = msgspec.json.decode(body)
    return found
