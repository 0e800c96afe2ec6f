"""What direct gets of JetStream answer."""

from __future__ import annotations

from dataclasses import dataclass

from nats.aio.msg import Msg

from tailrace.jetstream.answers import NotReady, Refused, Stored

NO_RESPONDERS = "503"
_NO_MESSAGE = 404
_END_OF_BATCH = 204


@dataclass(frozen=True, slots=True)
class EndOfBatch:
    """How a batch of messages ended."""

    left: int
    """Messages that match and did not fit."""
    last: int
    """Sequence of the last one that did."""
    upto: int
    """Sequence up to which the last messages of subjects were looked for."""


def end_of(message: Msg) -> EndOfBatch | None:
    """Return what the end of a batch says; None: nothing was found at all."""
    headers = message.headers or {}
    if headers.get("Status") == str(_NO_MESSAGE):
        return None
    names = ("Nats-Num-Pending", "Nats-Last-Sequence", "Nats-UpTo-Sequence")
    return EndOfBatch(*(int(headers.get(name, "0")) for name in names))


def stored_of(message: Msg) -> Stored | None:
    """Return a message of a direct get; None: there is none, or the batch is over."""
    headers = message.headers or {}
    if "Nats-Sequence" not in headers:
        status = headers.get("Status", "0")
        if int(status) in {_NO_MESSAGE, _END_OF_BATCH}:
            return None
        text = headers.get("Description", "")
        if status == NO_RESPONDERS:
            raise NotReady("JetStream does not answer yet: no server is its leader")
        raise Refused(int(status), text or "direct get refused", status=int(status))
    return Stored(
        subject=headers["Nats-Subject"],
        sequence=int(headers["Nats-Sequence"]),
        time=headers["Nats-Time-Stamp"],
        body=message.data,
        headers=headers,
    )
