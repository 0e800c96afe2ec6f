"""States and journals of runs, each a message that is written by compare-and-set."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from tailrace.errors import Conflict, TransportError
from tailrace.jetstream.answers import Refused, Stored
from tailrace.jetstream.bounds import MOST_BYTES, fit
from tailrace.jetstream.link import Fence, Link
from tailrace.jetstream.names import Names, is_token
from tailrace.jetstream.objects import REFERENCE, JetStreamObjects
from tailrace.jetstream.resources import Limits
from tailrace.jetstream.waiting import StoredTaker
from tailrace.model.remote import (
    BODY_VERSION,
    CancelRequest,
    RunState,
    decode_cancel,
    decode_state,
    encode,
)
from tailrace.model.states import RunStatus

_DAY = 86_400
_PAGE = 1000
_TOO_MANY = 413
_LONGEST_BATCH = 512 * 1024
"""Bytes of a batch of a journal above which it becomes an object."""
_REMEMBERED = 10_000
_TERMINAL = frozenset(status.value for status in RunStatus if status.is_terminal)

CancelHandler = Callable[[str, CancelRequest], None]
"""Told the id of a run, and who wants it cancelled."""


class JetStreamStates:
    """See ``ports.RunStates``. One event loop uses it.

    A write whose answer was lost can be repeated: when the very same state turns out to be stored
    already, that is the answer.
    """

    def __init__(self, link: Link, names: Names, limits: Limits | None = None) -> None:
        self._link = link
        self._names = names
        seconds = int((limits or Limits()).keep_days * _DAY)
        self._kept = {"Nats-TTL": f"{seconds}s"} if seconds > 0 else {}
        self.objects = JetStreamObjects(link, names, limits)
        self._final: OrderedDict[int, None] = OrderedDict()

    async def read(self, run_id: str) -> tuple[RunState, int] | None:
        """Return a run's state and the sequence it was stored under; None: none is stored.

        Raises:
            TransportError: TR405, a newer Tailrace wrote it, or something else did.
        """
        if not is_token(run_id):
            return None
        stored = await self._link.last(self._names.runs, self._names.state(run_id))
        if stored is None or stored.is_marker:
            return None
        return self._taken(stored)

    async def read_with_wish(
        self, run_id: str
    ) -> tuple[tuple[RunState, int] | None, CancelRequest | None]:
        """Return what ``read`` and ``cancel_request`` do, for one question.

        Raises:
            TransportError: TR405, a newer Tailrace wrote it, or something else did.
        """
        if not is_token(run_id):
            return None, None
        subject, flag = self._names.state(run_id), self._names.cancel_flag(run_id)
        stored = await self._link.last_of(self._names.runs, [subject, flag])
        by_subject = {one.subject: one for one in stored if not one.is_marker}
        state, wish = by_subject.get(subject), by_subject.get(flag)
        return (
            None if state is None else self._taken(state),
            None if wish is None else decode_cancel(wish.body),
        )

    def _taken(self, stored: Stored) -> tuple[RunState, int]:
        state = _read_state(stored)
        if state.status in _TERMINAL:
            self._remember(stored.sequence)
        return state, stored.sequence

    async def write(self, state: RunState, *, expected: int) -> int:
        """Store a state over the one of sequence ``expected``; see ``ports.RunStates``.

        Records of tasks are cut where the state would be larger than 256 KiB.
        """
        if expected in self._final:
            raise Conflict(f"run {state.job.run_id} is over; its state is final")
        subject = self._names.state(state.job.run_id)
        body = fit(state, most=min(MOST_BYTES, self._link.max_payload // 2))
        is_final = state.status in _TERMINAL
        try:
            sequence, _ = await self._link.store(
                subject,
                body,
                fence=Fence(subject, expected),
                headers=self._kept if is_final else None,
                stream=self._names.runs,
            )
        except Conflict:
            stored = await self._link.last(self._names.runs, subject)
            if stored is None or stored.body != body:
                raise
            sequence = stored.sequence
        if is_final:
            self._remember(sequence)
        return sequence

    def write_soon(
        self, state: RunState, *, expected: int, told: Callable[[int | None], None]
    ) -> bool:
        """Begin to store a state; see ``ports.RunStates``."""
        if expected in self._final:
            return False
        is_final = state.status in _TERMINAL
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        if is_final:
            headers |= self._kept
        try:
            body = fit(state)
        except TransportError:  # who writes it the other way is told
            return False
        taker = StoredTaker(told, self._remember if is_final else None)
        return self._link.ask(self._names.state(state.job.run_id), body, taker, headers=headers)

    def _remember(self, sequence: int) -> None:
        self._final[sequence] = None
        if len(self._final) > _REMEMBERED:
            self._final.popitem(last=False)

    async def append(self, run_id: str, number: int, batch: bytes, *, claim: int) -> None:
        """Store a batch of a run's journal; see ``ports.RunStates``.

        A batch that is stored already, because the answer to an earlier try was lost, is stored
        again: the same bytes under the same number.
        """
        headers = dict(self._kept)
        if len(batch) > min(_LONGEST_BATCH, self._link.max_payload // 2):
            headers[REFERENCE] = await self.objects.put(batch)
            batch = b""
        fence = Fence(self._names.state(run_id), claim)
        await self._link.store(
            self._names.batch(run_id, number),
            batch,
            fence=fence,
            headers=headers,
            stream=self._names.runs,
        )

    async def journal(self, run_id: str) -> list[tuple[int, bytes]]:
        """Return the stored batches of a run in order, with their numbers."""
        if not is_token(run_id):
            return []
        try:
            found = await self._link.last_of(self._names.runs, [self._names.batches(run_id)])
        except Refused as error:
            if error.status != _TOO_MANY:
                raise
            found = await self._long_journal(run_id)
        batches = {
            int(stored.subject.rpartition(".")[2]): await self.objects.body_of(stored)
            for stored in found
            if not stored.is_marker
        }
        return sorted(batches.items())

    async def _long_journal(self, run_id: str) -> list[Stored]:
        """Return more batches than can be asked for at once, by their numbers."""
        found: list[Stored] = []
        first = 1
        while True:
            numbers = range(first, first + _PAGE)
            subjects = [self._names.batch(run_id, number) for number in numbers]
            page = await self._link.last_of(self._names.runs, subjects)
            found += page
            if not page:
                return found
            first += _PAGE

    async def request_cancel(self, run_id: str, request: CancelRequest) -> CancelRequest:
        """Keep the wish to cancel a run, and call its worker; the first wish of several stays."""
        subject = self._names.cancel_flag(run_id)
        body = encode(request)
        try:
            await self._link.store(
                subject, body, fence=Fence(subject, 0), headers={"Nats-TTL": f"{_DAY}s"}
            )
        except Conflict:
            kept = await self.cancel_request(run_id)
            if kept is not None:
                request, body = kept, encode(kept)
        await self._link.send(self._names.cancel(run_id), body)
        return request

    async def cancel_request(self, run_id: str) -> CancelRequest | None:
        """Return the wish to cancel a run; None: nobody has uttered it."""
        if not is_token(run_id):
            return None
        stored = await self._link.last(self._names.runs, self._names.cancel_flag(run_id))
        return None if stored is None or stored.is_marker else decode_cancel(stored.body)

    async def on_cancel(self, handler: CancelHandler) -> None:
        """Have somebody told at once of every wish to cancel a run, until the link closes.

        A wish that is uttered while the connection is lost is not told of: look at
        ``cancel_request`` when a run is claimed, and when the connection is back.
        """

        def hear(message: Msg) -> None:
            run_id = message.subject.rpartition(".")[2]
            try:
                request = decode_cancel(message.data)
            except msgspec.DecodeError:
                return
            handler(run_id, request)

        await self._link.receive(self._names.cancel("*"), hear)


def _read_state(stored: Stored) -> RunState:
    try:
        state = decode_state(stored.body)
    except msgspec.DecodeError as error:
        raise TransportError(
            f"{stored.subject} holds no state of a run: {error}", code="TR405"
        ) from error
    if state.v > BODY_VERSION:
        raise TransportError(
            f"{stored.subject} has version {state.v}, this Tailrace knows {BODY_VERSION}",
            code="TR405",
            hint="upgrade tailrace here",
        )
    return state
