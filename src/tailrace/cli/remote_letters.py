"""Redrives of dead letters of a server, for ``tailrace dlq redrive --server``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
from msgspec.structs import replace

from tailrace.cli.letter_choice import choose
from tailrace.cli.remote import Server, open_client
from tailrace.client.calls import post
from tailrace.client.failures import RemoteLetters
from tailrace.errors import Conflict, NotFound
from tailrace.failures.match import means_letter
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter, RedriveBatch
from tailrace.runtime.redrive.order import check_order, filter_data
from tailrace.runtime.redrive.outcome import RerunOutcome
from tailrace.runtime.redrive.outlook import FlowToday
from tailrace.runtime.redrive.patch import patch_inputs
from tailrace.runtime.redrive.preview import (
    RedrivePlan,
    find_letters,
    judged,
    nothing_matches,
    plan_redrive,
)

if TYPE_CHECKING:
    from tailrace.client import Run
    from tailrace.client.sync import Client

    Watch = Callable[[DeadLetter, RerunOutcome], None]
    _Rerun = Future[tuple[DeadLetter, RerunOutcome | None]]

PARALLEL = 16
"""Letters whose runs go on at once, where nothing else was asked for: workers are many."""
_PATIENCE = 60.0
_FEWEST = 10
"""Finished letters below which the ratio of failures says nothing."""
_FINISHED = "SUCCEEDED"
_FIELDS = (
    *("actor", "reason", "mode", "rate", "canary", "limit"),
    *("stop_ratio", "patch", "policy", "force"),
)
"""Of an order, those that a batch tells."""
_NO_JOB = "its message was no job; it can only be discarded"


class _NamedLetters(RemoteLetters):
    """Letters of a server, also by their ids, which its lists do not filter by."""

    def letters(self, wanted: FailureFilter, *, limit: int = 50) -> list[DeadLetter]:
        """Return letters, newest first; without ``state`` those that are open or parked."""
        if not wanted.ids:
            return super().letters(wanted, limit=limit)
        found = [self.letter(one) for one in wanted.ids]
        return [
            one
            for one in found
            if one.state == (wanted.state or one.state) and means_letter(wanted, one)
        ][:limit]


class _ServerOutlook:
    """What is known of a letter's flow where the code of its tasks is with the workers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._runs: dict[str, Run | None] = {}

    def flow(self, letter: DeadLetter) -> FlowToday:
        """Return the letter's flow: whether there is one, and the nodes of the run that failed."""
        if not letter.run_id or not letter.flow:
            return FlowToday(problem=_NO_JOB)
        run = self._run(letter)
        return FlowToday(code_version=letter.code_version, nodes=tuple(run.tasks if run else ()))

    def finished(self, letter: DeadLetter) -> frozenset[str]:
        """Return the nodes that the run had finished."""
        run = self._run(letter)
        states = run.tasks.items() if run else ()
        return frozenset(name for name, state in states if state == _FINISHED)

    def _run(self, letter: DeadLetter) -> Run | None:
        if letter.run_id not in self._runs:
            try:
                self._runs[letter.run_id] = self._client.get(letter.run_id)
            except NotFound:  # its letter is kept for longer
                self._runs[letter.run_id] = None
        return self._runs[letter.run_id]


def plan_at(
    server: Server,
    subjects: Sequence[str],
    wanted: FailureFilter,
    order: Mapping[str, Any],
    *,
    everything: bool,
) -> RedrivePlan:
    """Return what a redrive of letters of a server would do; nothing is changed by asking.

    Raises:
        NotFound: no letter matches.
        Refusal: neither subject nor filter was given (TR341).
        DefinitionError: the order is not valid.
    """
    _check(order)
    with open_client(server) as client:
        letters: Any = _NamedLetters(client)
        chosen = choose(letters, subjects, wanted, everything=everything)
        names = ("mode", "patch", "policy", "force", "limit")
        given = {name: order[name] for name in names}
        planned = plan_redrive(letters, chosen, _ServerOutlook(client), **given)
    if not planned.items:
        raise nothing_matches()
    return planned


def redrive_at(
    server: Server,
    subjects: Sequence[str],
    wanted: FailureFilter,
    order: Mapping[str, Any],
    *,
    everything: bool,
    watch: Watch | None,
) -> RedriveBatch:
    """Let a server run the work of letters again, and return how it ended.

    Raises:
        NotFound: no letter matches.
        Refusal: neither subject nor filter was given (TR341).
        DefinitionError: the order is not valid.
        KeyboardInterrupt: Ctrl-C; what is queued goes on, which the exception says.
    """
    _check(order)
    with open_client(server, retry_for=_PATIENCE) as client:
        letters: Any = _NamedLetters(client)
        chosen = choose(letters, subjects, wanted, everything=everything)
        found = find_letters(letters, chosen)
        if not found:
            raise nothing_matches()
        fields = {name: order[name] for name in _FIELDS}
        batch = RedriveBatch(
            filter=filter_data(chosen),
            batch_id=order["batch_id"] or f"B-{new_sortable()}",
            created_ns=time.time_ns(),
            **fields,
        )
        return _Shift(client, batch, watch).work(found, order["parallel"] or PARALLEL)


def _check(order: Mapping[str, Any]) -> None:
    check_order({**order, "parallel": order["parallel"] or 1})
    if order["patch"] is not None and "payload" in order["patch"]:
        raise click.UsageError("--patch: runs of a server have params, and no payload")


class _Shift:
    """Carries a batch out, letter after letter."""

    def __init__(self, client: Client, batch: RedriveBatch, watch: Watch | None) -> None:
        self._client = client
        self._batch = batch
        self._watch = watch
        self._counts = {"claimed": 0, "resolved": 0, "failed": 0, "refused": 0}

    def work(self, letters: Sequence[DeadLetter], parallel: int) -> RedriveBatch:
        """Redrive the letters, oldest first, and return the batch as it ended."""
        ready = iter(self._ready(letters))
        pool = ThreadPoolExecutor(parallel)
        state = "done"
        try:
            if self._batch.canary:
                canaries = [one for _, one in zip(range(self._batch.canary), ready, strict=False)]
                self._all(pool, iter(canaries), parallel)
                if self._counts["failed"]:
                    state = "stopped"
            if state == "done" and not self._all(pool, ready, parallel):
                state = "stopped"
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            self._client.close()  # whoever still watches a run stops with that
            raise KeyboardInterrupt(
                "runs that are queued go on; they are listed by: tailrace runs list"
            ) from None
        pool.shutdown()
        return replace(self._batch, state=state, counts=self._counts)

    def _ready(self, letters: Sequence[DeadLetter]) -> Iterator[DeadLetter]:
        """Yield the letters that may be redriven, as many as are wanted."""
        outlook = _ServerOutlook(self._client)
        taken = 0
        for letter in letters:
            if self._batch.limit and taken >= self._batch.limit:
                return
            why = judged(letter, outlook, mode=self._batch.mode, force=self._batch.force)
            if why:
                self._counts["refused"] += 1
                continue
            taken += 1
            yield letter

    def _all(self, pool: ThreadPoolExecutor, ready: Iterator[DeadLetter], parallel: int) -> bool:
        """Redrive letters, so many at once; return whether too many failed for it to go on."""
        under_way: set[_Rerun] = set()
        pause = 1 / self._batch.rate if self._batch.rate else 0.0
        due = time.monotonic()
        for letter in ready:
            if not self._goes_on():
                break
            if pause:
                time.sleep(max(0.0, due - time.monotonic()))
                due = max(due, time.monotonic()) + pause
            under_way.add(pool.submit(self._redrive, letter))
            if len(under_way) >= parallel:
                under_way = self._settled(under_way)
        while under_way:
            under_way = self._settled(under_way)
        return self._goes_on()

    def _settled(self, under_way: set[_Rerun]) -> set[_Rerun]:
        """Wait until one of them is over, count and tell it, and return the rest.

        Raises:
            TransportError: the server does not answer any more.
        """
        done, rest = wait(under_way, return_when=FIRST_COMPLETED)
        for one in done:
            letter, outcome = one.result()
            if outcome is None:
                self._counts["refused"] += 1
                outcome = RerunOutcome(ok=False, message="it is in hand, or ended in this batch")
            else:
                self._counts["claimed"] += 1
                self._counts["resolved" if outcome.ok else "failed"] += 1
            self._tell(letter, outcome)
        return rest

    def _goes_on(self) -> bool:
        failed = self._counts["failed"]
        over = failed + self._counts["resolved"]
        return over < _FEWEST or failed <= self._batch.stop_ratio * over

    def _redrive(self, letter: DeadLetter) -> tuple[DeadLetter, RerunOutcome | None]:
        """Return how the run ended that a letter became; None: the letter was not open any more."""
        batch = self._batch
        body: dict[str, Any] = {"mode": batch.mode, "reason": batch.reason}
        body |= {"batch_id": batch.batch_id, "policy": batch.policy, "actor": batch.actor}
        try:
            if batch.patch is not None:
                params = self._client.get(letter.run_id, records=True).params
                body["params"] = patch_inputs(params, None, batch.patch)[0]
            path = f"/api/dead-letters/{quote(letter.dl_id, safe='')}/redrive"
            given = {name: value for name, value in body.items() if value not in ("", None)}
            run_id = str(self._client.send(post(path, given))["run_id"])
        except Conflict:
            return letter, None
        run = self._client.wait(run_id)
        why = "" if run.ok else run.error or run.status.lower()
        cancelled = run.status == "CANCELLED"
        return letter, RerunOutcome(ok=run.ok, run_id=run_id, message=why, cancelled=cancelled)

    def _tell(self, letter: DeadLetter, outcome: RerunOutcome) -> None:
        if self._watch is not None:
            self._watch(letter, outcome)
