"""A run as far as a gateway knows it: what waits, what its worker wrote, who wants it cancelled."""

from __future__ import annotations

import asyncio
import re
from functools import partial

from msgspec import Struct

from tailrace.jetstream.answers import Stored
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.model.remote import (
    CancelRequest,
    Job,
    RunState,
    decode_cancel,
    decode_job,
    decode_state,
)
from tailrace.model.states import RunStatus

TERMINAL = frozenset(status.value for status in RunStatus if status.is_terminal)
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class KnownRun(Struct, frozen=True, kw_only=True):
    """A run. ``state`` is None while it waits for its first worker."""

    job: Job
    state: RunState | None = None
    sequence: int = 0
    """Under which the state is stored; 0: there is none."""
    cancel: CancelRequest | None = None
    is_queued: bool = True
    """Whether its message is still there: without one no worker will ever end it."""
    stored_at: float = 0.0
    """The server's time of its last change, Unix seconds; 0: nobody has asked the server.

    Lists are in its order: clocks of workers may be wrong.
    """

    @property
    def status(self) -> str:
        """A value of ``RunStatus``; one that is to be cancelled is CANCELLING until it ends."""
        status = "PENDING" if self.state is None else self.state.status
        if self.cancel is not None and status not in TERMINAL:
            return "CANCELLING"
        return status

    @property
    def is_terminal(self) -> bool:
        """Whether it will not change any more."""
        return self.state is not None and self.state.status in TERMINAL

    @property
    def updated_at(self) -> float:
        """Unix seconds of the last change."""
        if self.stored_at:
            return self.stored_at
        found = self.job.submitted_at if self.state is None else self.state.updated_at
        if self.cancel is not None and not self.is_terminal:
            return max(found, self.cancel.at)
        return found


class RunLookup:
    """Finds a run in the stream itself, with one request."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names
        self._asking: dict[str, asyncio.Task[KnownRun | None]] = {}
        self._next: dict[str, asyncio.Task[KnownRun | None]] = {}

    async def find(self, run_id: str) -> KnownRun | None:
        """Return a run; None: no run has that id, or it has expired.

        Who asks for the same run meanwhile shares a request, which is sent after they have asked.

        Raises:
            TransportError: NATS does not answer.
        """
        if not _RUN_ID.fullmatch(run_id):
            return None
        asking = self._asking.get(run_id)
        if asking is None:
            shared = self._asking[run_id] = asyncio.create_task(self._find(run_id))
            shared.add_done_callback(partial(self._over, self._asking, run_id))
        else:
            shared = self._next.get(run_id) or asyncio.create_task(self._after(asking, run_id))
            self._next[run_id] = shared
        return await asyncio.shield(shared)

    def _over(
        self,
        tasks: dict[str, asyncio.Task[KnownRun | None]],
        run_id: str,
        task: asyncio.Task[KnownRun | None],
    ) -> None:
        if tasks.get(run_id) is task:
            del tasks[run_id]
        if not task.cancelled():
            task.exception()  # whoever asked is told; nobody may have waited to the end

    async def _after(self, asking: asyncio.Task[KnownRun | None], run_id: str) -> KnownRun | None:
        await asyncio.wait({asking})
        task = self._next.pop(run_id)
        self._asking[run_id] = task
        task.add_done_callback(partial(self._over, self._asking, run_id))
        return await self._find(run_id)

    async def _find(self, run_id: str) -> KnownRun | None:
        names = self._names
        subjects = [names.state(run_id), names.cancel_flag(run_id), names.delayed(run_id)]
        stored = await self._link.last_of(names.runs, [*subjects, names.queued(run_id)])
        return assemble(names, stored)


def kind_of(names: Names, subject: str) -> str:
    """Return what a subject of the stream of runs is for: ``q``, ``s``, ``j``, ``d`` or ``x``."""
    return subject[len(names.prefix) + 1 :].partition(".")[0]


def assemble(names: Names, stored: list[Stored]) -> KnownRun | None:
    """Return the run that messages of one run tell of; None: they tell of none."""
    by_kind = {kind_of(names, one.subject): one for one in stored if not one.is_marker}
    queued = by_kind.get("q") or by_kind.get("d")
    state = decode_state(by_kind["s"].body) if "s" in by_kind else None
    if state is None and queued is None:
        return None
    kinds = set(by_kind) if state is None else {"s", "x"} & set(by_kind)
    if state is not None and state.status in TERMINAL:
        kinds = {"s"}
    newest = max((by_kind[kind] for kind in kinds), key=_sequence)
    return KnownRun(
        job=decode_job(queued.body) if state is None and queued else state.job,  # type: ignore[union-attr]
        state=state,
        sequence=by_kind["s"].sequence if "s" in by_kind else 0,
        stored_at=newest.at,
        cancel=decode_cancel(by_kind["x"].body) if "x" in by_kind else None,
        is_queued=queued is not None,
    )


def _sequence(stored: Stored) -> int:
    return stored.sequence
