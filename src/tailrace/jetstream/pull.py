"""Requests for messages of one consumer, and what has been heard of them."""

from __future__ import annotations

import time

import msgspec

from tailrace.jetstream.link import Link

_SECOND = 1_000_000_000
_BEAT = 1.0
"""Seconds between the signs of life that a waiting request asks for."""
_SILENCE = 2.5
"""Seconds without one after which a request is taken for lost."""
_ANSWER = 1.0
"""Seconds within which a request that does not wait must be answered."""
_encode = msgspec.json.Encoder().encode


class Pull:
    """At most one request at a time for messages of a consumer.

    A request ends with its last message, with a status of the server (nothing there, out of
    time, no leader …), or by silence: servers that go away say nothing.
    """

    __slots__ = ("_deadline", "_request", "_subject", "consumer", "open", "token")

    def __init__(self, stream: str, consumer: str, token: str) -> None:
        self.consumer = consumer
        self.token = token
        self.open = 0
        """Messages that may still come without being asked for again."""
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._request = 0
        self._deadline = 0.0

    def is_open(self) -> bool:
        """Whether an answer is still to be expected."""
        if self.open and time.monotonic() > self._deadline:
            self.open = 0
        return self.open > 0

    async def ask(self, link: Link, inbox: str, count: int, *, wait: float) -> None:
        """Ask for up to ``count`` messages; ``wait`` 0: for those that are there."""
        body: dict[str, int | bool] = {"batch": count}
        patience = _ANSWER
        if wait > 0:
            body["expires"] = int(wait * _SECOND)
            patience += wait
            if wait > 2 * _BEAT:
                body["idle_heartbeat"] = int(_BEAT * _SECOND)
                patience = _SILENCE
        else:
            body["no_wait"] = True
        self.open = count
        self._deadline = time.monotonic() + patience
        self._request += 1
        reply = f"{inbox}.{self.token}-{self._request}"
        await link.send(self._subject, _encode(body), reply=reply)

    def hear(self) -> None:
        """Note that a message has come."""
        self._deadline = max(self._deadline, time.monotonic() + _ANSWER)
        self.open = max(0, self.open - 1)

    def hear_status(self, request: str, status: str) -> bool:
        """Note a status; return whether the request that is under way has ended by it."""
        if request != str(self._request):
            return False
        if status == "100":
            self._deadline = time.monotonic() + _SILENCE
            return False
        self.open = 0
        return True

    def forget(self) -> None:
        """Expect nothing any more."""
        self.open = 0
