"""Carrying out a batch: letters are claimed one by one, so a kill leaves at most those in hand."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from tailrace.errors import NotFound, TailraceError
from tailrace.model import Policy
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, Redrive, RedriveBatch
from tailrace.policy import PolicyValidator
from tailrace.ports import DeadLetters, RedriveLog
from tailrace.runtime.redrive.hands import Hands
from tailrace.runtime.redrive.order import filter_of
from tailrace.runtime.redrive.outcome import Rerun, RerunOutcome
from tailrace.runtime.redrive.pace import Pace
from tailrace.runtime.redrive.preview import find_letters
from tailrace.runtime.redrive.progress import (
    BatchState,
    Step,
    Tally,
    ended_letters,
    next_step,
    tally_of,
)
from tailrace.runtime.redrive.stop import StopWatch

_LOOK = 0.1
"""Most seconds between looks at whether somebody paused the batch."""
_SHARE = 0.05
"""Most of the time that may go into such looks, where they come more often."""
_NEWEST = 50
_ANY = 1_000_000


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch works with."""

    letters: DeadLetters
    log: RedriveLog
    run: Rerun
    refusal: Callable[[DeadLetter], str]
    """Why a letter is left alone; empty when it may be run."""
    watch: Callable[[DeadLetter, RerunOutcome], None] | None = None
    """Told of each letter that ended, in the thread that carries the batch out."""
    on_stop: Callable[[], None] | None = None
    """Called in the signal handler of the first Ctrl-C; what is in hand then ends."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now_ns: Callable[[], int] = time.time_ns


def redrive(batch: RedriveBatch, desk: Desk, *, parallel: int = 1) -> RedriveBatch:
    """Carry a batch out, or go on with it, and return it as it stands then.

    Letters that ended in this batch are not taken again, those whose process died are. ``counts``
    are exact; ``refused``, the letters left alone this time, is added to them.

    Raises:
        KeyboardInterrupt: Ctrl-C; letters in hand have ended and the batch is paused, which the
            exception says.
        StoreError: the store cannot be used; the batch can go on later.
    """
    batch = msgspec.structs.replace(batch, state=BatchState.RUNNING.value)
    desk.log.put_batch(batch)
    with StopWatch(desk.on_stop) as stop, Hands(parallel) as hands:
        shift = _Shift(batch, desk, stop, hands)
        try:
            state = shift.work()
        except KeyboardInterrupt as interrupt:
            put_state(desk.log, batch, BatchState.PAUSED)
            raise _paused(batch) from interrupt
    put_state(desk.log, batch, state)
    if stop.received and state is BatchState.PAUSED:
        raise _paused(batch)
    ended = find_batch(desk.log, batch.batch_id)
    return msgspec.structs.replace(ended, counts=ended.counts | {"refused": shift.refused})


def _paused(batch: RedriveBatch) -> KeyboardInterrupt:
    command = f"tailrace failures batches resume {batch.batch_id}"
    return KeyboardInterrupt(f"redrive batch {batch.batch_id} is paused; go on with: {command}")


def free_lost(letters: DeadLetters) -> None:
    """Have letters that dead processes held be open again, as every claim does; claim none."""
    nothing = Redrive(dl_id="", generation=0, batch_id="", actor="")
    letters.claim(FailureFilter(), nothing, limit=0)


def put_state(log: RedriveLog, batch: RedriveBatch, state: BatchState) -> None:
    """Write a batch's new state, unless it has it already."""
    present = find_batch(log, batch.batch_id)
    if present.state != state:
        log.put_batch(msgspec.structs.replace(batch, state=state.value))


def find_batch(log: RedriveLog, batch_id: str) -> RedriveBatch:
    """Return a batch with its exact counts.

    Raises:
        NotFound: there is no such batch; the newest ones are named.
    """
    newest: list[RedriveBatch] = []
    for limit in (_NEWEST, _ANY):
        newest = log.batches(limit=limit)
        for batch in newest:
            if batch.batch_id == batch_id:
                return batch
        if len(newest) < limit:
            break
    known = ", ".join(batch.batch_id for batch in newest[:5]) or "none"
    raise NotFound(f"no redrive batch {batch_id!r} in this store (newest: {known})")


class _Shift:
    """One process's work on a batch."""

    def __init__(self, batch: RedriveBatch, desk: Desk, stop: StopWatch, hands: Hands) -> None:
        self.refused = 0
        self._batch = batch
        self._desk = desk
        self._stop = stop
        self._hands = hands
        self._pace = Pace(batch.rate)
        policy = batch.policy
        self._policy: Policy | None = None if policy is None else PolicyValidator.from_dict(policy)
        self._tally = Tally()
        self._look_at = -math.inf
        self._paused = False

    def work(self) -> BatchState:
        """Take letters until none is left, or enough is enough; return the state to leave."""
        queue = self._letters_left()
        while not self._is_called_off():
            step = next_step(self._batch, self._tally, is_left=bool(queue))
            if step is Step.CLAIM and not self._hands.are_full:
                self._take(queue.popleft())
            elif step is Step.STOP:
                return BatchState.STOPPED
            elif step is Step.END:
                return BatchState.DONE
            else:
                self._count_ended()
        while self._hands:
            self._count_ended()
        return BatchState.PAUSED

    def _letters_left(self) -> deque[DeadLetter]:
        """Return what this batch has not ended yet, oldest first, and count what it has."""
        desk, batch = self._desk, self._batch
        ended = ended_letters(desk.log.redrives(batch_id=batch.batch_id))
        self._tally = tally_of(ended)
        free_lost(desk.letters)
        found = find_letters(desk.letters, filter_of(batch.filter))
        return deque(letter for letter in found if letter.dl_id not in ended)

    def _is_called_off(self) -> bool:
        """Return whether the batch was paused, by a signal or by somebody else."""
        began = self._desk.clock()
        if began >= self._look_at:
            state = find_batch(self._desk.log, self._batch.batch_id).state
            self._paused = self._paused or state == BatchState.PAUSED
            ended = self._desk.clock()
            self._look_at = ended + min(_LOOK, (ended - began) / _SHARE)
        return self._paused or self._stop.received

    def _take(self, letter: DeadLetter) -> None:
        if self._desk.refusal(letter):
            self.refused += 1
            return
        if not self._wait_for_turn():
            return
        self._pace.started(self._desk.clock())
        redrive = self._redrive_of(letter)
        only = FailureFilter(ids=(letter.dl_id,))
        for claimed in self._desk.letters.claim(only, redrive, limit=1):
            self._tally = self._tally.take()
            redrive = msgspec.structs.replace(
                redrive, dl_id=claimed.dl_id, generation=claimed.generation
            )
            self._hands.take(claimed, partial(self._do, claimed, redrive))

    def _wait_for_turn(self) -> bool:
        """Sleep until the rate allows the next start; False when called off meanwhile."""
        while pause := self._pace.wait(self._desk.clock()):
            self._desk.sleep(min(pause, _LOOK))
            if self._is_called_off():
                return False
        return True

    def _redrive_of(self, letter: DeadLetter) -> Redrive:
        batch = self._batch
        return Redrive(
            dl_id=letter.dl_id,
            generation=letter.generation + 1,
            batch_id=batch.batch_id,
            actor=batch.actor,
            reason=batch.reason,
            mode=batch.mode,
            patch=batch.patch,
            at_ns=self._desk.now_ns(),
        )

    def _do(self, letter: DeadLetter, redrive: Redrive) -> RerunOutcome:
        try:
            outcome = self._desk.run(letter, redrive, policy=self._policy)
        except TailraceError as error:
            outcome = RerunOutcome(ok=False, message=error.message)
        if not outcome.run_id and not outcome.settled and self._is_held(letter):
            ending = "resolved" if outcome.ok else "failed"
            self._desk.letters.settle(letter, ending, failure=outcome.failure)
        return outcome

    def _is_held(self, letter: DeadLetter) -> bool:
        """Return whether the redrive is unsettled: a run that broke off has settled it already."""
        now = self._desk.letters.letter(letter.dl_id)
        return (now.state, now.generation) == (letter.state, letter.generation)

    def _count_ended(self) -> None:
        for letter, outcome in self._hands.ended():
            self._tally = self._tally.end(ok=outcome.ok)
            if self._desk.watch is not None:
                self._desk.watch(letter, outcome)
