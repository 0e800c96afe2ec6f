"""``POST /runs`` read off the connection: no task, no message of ASGI, one write for its answer.

Only plain requests go this way, and only as long as all is well: whatever is unusual about one,
or goes wrong, it is handed to the server as it came, whose routes say what is so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from tailrace.errors import TailraceError, TransportError
from tailrace.gateway.caller import ANYBODY, Caller
from tailrace.gateway.gate import demand_own
from tailrace.gateway.problems import Problem, answer_to, encode_json
from tailrace.gateway.routes.submit import accepted, counting, is_json
from tailrace.gateway.service import Gateway
from tailrace.gateway.submission import job_of, read_submission
from tailrace.model.remote import Job

START = b"POST /runs HTTP/1.1\r\n"
_END = b"\r\n\r\n"
_LONGEST_HEAD = 8 * 1024
_LONGEST_BODY = 64 * 1024
_HEADER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e]*(?:[ \t]+[\x21-\x7e]+)*)[ \t]*"
)
_LENGTH = re.compile(rb"[0-9]{1,7}")
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer"})
_ONCE = frozenset({b"content-length", b"content-type", b"host"})
_REMEMBERED = 512
_UNAVAILABLE = 503
Headers = list[tuple[bytes, bytes]]
Answer = Callable[[bytes | None], None]
"""Told the bytes of the answer; None: the server is to answer."""


class Head(NamedTuple):
    """What stands before the body of a request that may go this way."""

    size: int
    """Bytes before the body."""
    length: int
    """Bytes of the body."""
    caller: Caller
    counting: dict[str, str]
    """Headers that count for the run."""


class Express:
    """Takes submissions of all connections of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        settings = gateway.settings
        self._is_off = settings.access_log
        self._key = settings.api_key_header.lower().encode() if settings.auth == "api_key" else b""
        self._is_guarded = not self._key and not gateway.insecure
        self._most = min(_LONGEST_BODY, settings.max_body)
        self._heads: dict[bytes, Head] = {}
        self._given: Headers = []
        self._before = b""
        counters = gateway.counters
        self._requests = counters.requests.labels("POST", "/runs", "200")
        self._refused = counters.requests.labels("POST", "/runs", str(_UNAVAILABLE))
        self._submitted = counters.submitted.labels("flow")

    def head(self, data: bytes) -> Head | None:
        """Return the head of a request that begins with ``START``; None: the server takes it."""
        end = data.find(_END, 0, _LONGEST_HEAD)
        if end < 0 or self._is_off:
            return None
        raw = data[:end]
        known = self._heads.get(raw)
        if known is None:
            known = self._read(raw)
            if known is not None and not self._key:
                if len(self._heads) >= _REMEMBERED:
                    self._heads.clear()
                self._heads[raw] = known
        return known

    def _read(self, raw: bytes) -> Head | None:
        headers: Headers = []
        seen: set[bytes] = set()
        for line in raw[len(START) :].split(b"\r\n"):
            found = _HEADER.fullmatch(line)
            if found is None:
                return None
            name, value = found[1].lower(), found[2]
            if name in _UNUSUAL or (name in _ONCE and name in seen):
                return None
            if name == b"connection" and value.lower() != b"keep-alive":
                return None
            seen.add(name)
            headers.append((name, value))
        fields = dict(headers)
        length = fields.get(b"content-length", b"")
        if not _LENGTH.fullmatch(length) or not 0 < int(length) <= self._most:
            return None
        if not is_json(fields.get(b"content-type", b"").decode()):
            return None
        caller = self._caller(headers)
        if caller is None:
            return None
        return Head(len(raw) + len(_END), int(length), caller, counting(headers))

    def _caller(self, headers: Headers) -> Caller | None:
        """Return who asks, where that is known and nothing is to be said against it."""
        if self._key:
            key = next((value.decode() for name, value in headers if name == self._key), "")
            caller = self._gateway.keys.known(key)
            return caller if caller is not None and caller.may("submit") else None
        if self._is_guarded:
            try:
                demand_own(headers, "POST")
            except Problem:
                return None
        return ANYBODY

    def submit(self, head: Head, body: bytes, given: Headers, answer: Answer) -> bool:
        """Queue the run that a body asks for; False: the server takes the request.

        Args:
            head: of the request.
            body: all of it.
            given: headers of every answer.
            answer: told how it ends, later.
        """
        started = time.perf_counter()
        try:
            job = job_of(read_submission(body), head.caller, head.counting)

            def told(outcome: bool | TransportError) -> None:  # noqa: FBT001 - as Told has it
                if outcome is True:
                    answer(self._accepted(job, given, started))
                else:
                    answer(None if outcome is False else self._failed(job, given, outcome))

            return self._gateway.submitter.submit(job, told)
        except (Problem, TailraceError, ValueError, TypeError, OverflowError, RecursionError):
            return False  # the routes say what is wrong with it

    def _accepted(self, job: Job, given: Headers, started: float) -> bytes:
        gateway = self._gateway
        gateway.counters.submit_seconds.observe(time.perf_counter() - started)
        gateway.index.accepted(job)
        self._submitted.inc()
        self._requests.inc()
        body = encode_json(accepted(gateway, job))
        if given is not self._given:  # the server makes the list anew each second
            self._before = b"HTTP/1.1 200 OK\r\n" + _lines(given)
            self._given = given
        return b"%bcontent-length: %d\r\ncontent-type: application/json\r\n\r\n%b" % (
            self._before, len(body), body,
        )  # fmt: skip

    def _failed(self, job: Job, given: Headers, error: TransportError) -> bytes:
        error.details["run_id"] = job.run_id
        found = answer_to(error)
        if found.status_code == _UNAVAILABLE:
            self._refused.inc()
            self._gateway.counters.unavailable.inc()
        else:
            labels = ("POST", "/runs", str(found.status_code))
            self._gateway.counters.requests.labels(*labels).inc()
        lines = _lines([*given, *found.raw_headers])
        status = HTTPStatus(found.status_code)
        first = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        return b"%b%b\r\n%b" % (first, lines, bytes(found.body))


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % one for one in headers])
