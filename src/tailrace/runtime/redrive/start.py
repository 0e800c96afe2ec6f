"""Redrives of one store: starting, pausing and going on with batches, and what one would do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import msgspec

from tailrace.errors import NotFound, RunError
from tailrace.events.redrive import redrive_event_letter
from tailrace.model import Policy
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter, Redrive, RedriveBatch
from tailrace.ports import DeadLetters, RedriveLog
from tailrace.runtime.events import get_resilient_stream
from tailrace.runtime.redrive.batch import Desk, find_batch, free_lost, redrive
from tailrace.runtime.redrive.lock import held_by_this_process
from tailrace.runtime.redrive.order import Order, check_order, filter_data, without_end
from tailrace.runtime.redrive.outcome import RedriveMode, RerunOutcome
from tailrace.runtime.redrive.outlook import StoredOutlook
from tailrace.runtime.redrive.preview import (
    RedrivePlan,
    find_letters,
    judged,
    nothing_matches,
    plan_redrive,
)
from tailrace.runtime.redrive.progress import BatchState
from tailrace.settings import load_settings

Watch = Callable[[DeadLetter, RerunOutcome], None]


class _Room(msgspec.Struct, frozen=True):
    """One store, opened for redrives."""

    db: Path
    letters: DeadLetters
    log: RedriveLog
    outlook: StoredOutlook

    def refusal(self, batch: RedriveBatch, letter: DeadLetter) -> str:
        """Return why a letter is left alone; empty when it may be run."""
        return judged(letter, self.outlook, mode=batch.mode, force=batch.force)


@contextmanager
def _open(db: Path) -> Iterator[_Room]:
    from tailrace.store import SqliteDeadLetters, SqliteRedriveLog, SqliteTraceReader  # noqa: PLC0415 - opened where it is used

    with (
        closing(SqliteTraceReader(db)) as reader,
        closing(SqliteDeadLetters(db)) as letters,
        closing(SqliteRedriveLog(db)) as log,
    ):
        yield _Room(db, letters, log, StoredOutlook(reader, load_settings().failures))


def plan(
    db: Path,
    *,
    wanted: FailureFilter,
    mode: str = RedriveMode.RESUME.value,
    patch: Any = None,
    policy: Any = None,
    force: bool = False,
    limit: int = 0,
) -> RedrivePlan:
    """Return what a redrive of these letters would do; nothing is changed.

    Raises:
        DefinitionError: mode, patch, policy or limit is not valid (TR345, TR346, TR170).
        NotFound: an id names no letter.
    """
    check_order({"mode": mode, "patch": patch, "policy": policy, "limit": limit})
    with _open(db) as room:
        return plan_redrive(
            room.letters,
            wanted,
            room.outlook,
            mode=mode,
            patch=patch,
            policy=policy,
            force=force,
            limit=limit,
        )


def start_batch(
    db: Path,
    *,
    wanted: FailureFilter,
    actor: str,
    parallel: int = 1,
    source: str = "api",
    watch: Watch | None = None,
    on_stop: Callable[[], None] | None = None,
    **order: Unpack[Order],
) -> RedriveBatch:
    """Redrive the letters that match now, and return the batch as it ended.

    A batch of that ``batch_id`` that has not ended goes on instead.

    Args:
        db: the database.
        wanted: which letters; those that give up later are not taken.
        actor: who asks for it.
        parallel: letters redriven at once, each in a thread of its own.
        source: where the runs come from, as in ``RunOptions``.
        watch: told of each letter that ended.
        on_stop: called in the signal handler of the first Ctrl-C, after which what is in hand is
            ended and the batch is paused.
        order: fields of ``RedriveBatch``.

    Raises:
        DefinitionError: the order is not valid (TR345, TR346, TR170).
        NotFound: an id names no letter, or no letter matches (TR349).
        RunError: none of the letters may be redriven as ordered (TR348); or the batch of that name
            has ended, is another one, or is carried out by another process (TR347).
        KeyboardInterrupt: Ctrl-C; the batch is paused.
    """
    check_order({**order, "parallel": parallel})
    with _open(db) as room:
        batch = _batch(room, wanted, actor, order)
        return _carry_out(room, batch, parallel, source, watch=watch, on_stop=on_stop)


def continue_batch(
    db: Path,
    batch_id: str,
    *,
    actor: str = "",
    parallel: int = 1,
    source: str = "api",
    watch: Watch | None = None,
    on_stop: Callable[[], None] | None = None,
) -> RedriveBatch:
    """Go on with a batch that was paused or whose process died, and return it as it ended.

    Raises:
        NotFound: there is no such batch.
        RunError: it has ended, or another process carries it out (TR347).
        KeyboardInterrupt: Ctrl-C; the batch is paused again.
    """
    check_order({"parallel": parallel})
    with _open(db) as room:
        batch = _unended(find_batch(room.log, batch_id))
        batch = msgspec.structs.replace(batch, actor=actor or batch.actor)
        return _carry_out(room, batch, parallel, source, watch=watch, on_stop=on_stop)


def pause_batch(db: Path, batch_id: str, actor: str) -> RedriveBatch:
    """Have a batch take no further letter; what it has in hand ends. Return the batch.

    Raises:
        NotFound: there is no such batch.
        RunError: it has ended already (TR347).
    """
    with _open(db) as room:
        batch = _unended(find_batch(room.log, batch_id))
        if batch.state != BatchState.PAUSED:
            state = BatchState.PAUSED.value
            room.log.put_batch(msgspec.structs.replace(batch, state=state, actor=actor))
        return find_batch(room.log, batch_id)


def _carry_out(
    room: _Room,
    batch: RedriveBatch,
    parallel: int,
    source: str,
    *,
    watch: Watch | None,
    on_stop: Callable[[], None] | None,
) -> RedriveBatch:
    desk = Desk(
        letters=room.letters,
        log=room.log,
        run=_LetterRun(room.db, source, force=batch.force),
        refusal=partial(room.refusal, batch),
        watch=watch,
        on_stop=on_stop,
    )
    with held_by_this_process(room.db, batch.batch_id):
        return redrive(batch, desk, parallel=parallel)


def _batch(room: _Room, wanted: FailureFilter, actor: str, order: Order) -> RedriveBatch:
    """Return the batch to carry out: a new one, or the unended one of that name."""
    free_lost(room.letters)
    letters = find_letters(room.letters, wanted)
    if wanted.ids:
        ids = tuple(letter.dl_id for letter in letters)
        wanted = msgspec.structs.replace(wanted, ids=ids)
    fields: Order = {**order, "batch_id": order.get("batch_id") or f"B-{new_sortable()}"}
    now = time.time_ns()
    new = RedriveBatch(filter=filter_data(wanted), actor=actor, created_ns=now, **fields)
    try:
        present = find_batch(room.log, new.batch_id)
    except NotFound:
        if not letters:
            raise nothing_matches() from None
        _demand_one_ready(room, new, letters)
        until = min(wanted.until_ns or now, now)
        return msgspec.structs.replace(new, filter={**new.filter, "until_ns": until})
    _demand_same(_unended(present), new)
    return msgspec.structs.replace(present, actor=actor)


def _unended(batch: RedriveBatch) -> RedriveBatch:
    if batch.state in {BatchState.DONE, BatchState.STOPPED}:
        raise RunError(
            f"redrive batch {batch.batch_id!r} has ended: it is {batch.state}",
            code="TR347",
            hint="start a new batch, under another name, for letters that are still open",
        )
    return batch


def _demand_same(present: RedriveBatch, new: RedriveBatch) -> None:
    """Refuse to go on with a batch under an order that differs from its own."""
    for name in ("filter", "mode", "patch", "policy", "force"):
        there, wanted = getattr(present, name), getattr(new, name)
        if name == "filter":
            there, wanted = without_end(there), without_end(wanted)
        if there != wanted:
            raise RunError(
                f"there is a batch {present.batch_id!r} already, and its {name} is {there!r}",
                code="TR347",
                hint="take another name, or continue that batch as it is",
            )


def _demand_one_ready(room: _Room, batch: RedriveBatch, letters: list[DeadLetter]) -> None:
    """Refuse a batch that would leave every letter alone."""
    refusals = {letter.dl_id: room.refusal(batch, letter) for letter in letters}
    if all(refusals.values()):
        first = next(iter(refusals))
        others = f", and {len(refusals) - 1} more" if len(refusals) > 1 else ""
        raise RunError(
            f"nothing was run: {first}: {refusals[first]}{others}",
            code="TR348",
            hint="a dry run shows why each letter is left alone",
            details={"refused": refusals},
        )


class _LetterRun:
    """Redrives letters of runs and of events (``Rerun``)."""

    def __init__(self, db: Path, source: str, *, force: bool) -> None:
        from tailrace.runtime.rerun import RunAgain  # noqa: PLC0415 - it imports this package

        self._db = db
        self._run_again = RunAgain(db=db, source=source, force=force)

    def __call__(
        self, letter: DeadLetter, redrive: Redrive, *, policy: Policy | None
    ) -> RerunOutcome:
        """Return how it ended."""
        if letter.kind == "run":
            return self._run_again(letter, redrive, policy=policy)
        stream = get_resilient_stream(self._db, recover=False)
        ok = redrive_event_letter(letter, stream, patch=redrive.patch)
        return RerunOutcome(ok=ok, settled=True)
