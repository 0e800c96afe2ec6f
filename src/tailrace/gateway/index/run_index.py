"""The index of a gateway: lists of runs in a file of SQLite, made from the streams."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Container, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from tailrace.errors import StoreError, TailraceError, TransportError
from tailrace.gateway.index.cursor import cursor_of, read_cursor
from tailrace.gateway.index.decisions import DecisionsFollower
from tailrace.gateway.index.desk import Desk
from tailrace.gateway.index.letters import LettersFollower
from tailrace.gateway.index.overlay import Overlay
from tailrace.gateway.index.runs import RunsFollower
from tailrace.gateway.index.spans import SpansFollower
from tailrace.gateway.index.together import until_one_ends
from tailrace.gateway.indexing import IndexPosition, RunFilter, RunPage
from tailrace.gateway.known import KnownRun, assemble
from tailrace.jetstream.answers import Stored
from tailrace.jetstream.follow import StreamReplaced
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.resources import Limits
from tailrace.jetstream.states import JetStreamStates
from tailrace.model.decision import GroupDecision
from tailrace.model.remote import Job
from tailrace.store.remote import ListedRun, ListFilter

_AGAIN = 1.0
"""Seconds after which a fault is tried to be overcome again."""
_TIDY = 30.0
_DAY = 86_400
_MICROS = 1_000_000
_FORGOTTEN = 60 * _MICROS
"""Microseconds that a run has waited, from which on its message is looked for."""
_LOST = 500
_SETTLE = 0.5
"""Seconds for which a list waits for the stream where more has been queued than a page holds."""
_log = logging.getLogger(__name__)


class SqliteRunIndex:
    """Runs of all workers, in lists; those of all gateways are the same.

    The file can be deleted at any time, and is made anew.

    Concurrency: one event loop; the file is read and written in threads of its own.

    Args:
        path: the file, which is the index's own.
        link: the connection.
        names: of streams and subjects.
        limits: for how long streams keep runs and spans.

    Raises:
        StoreError: the file cannot be opened, or is a store of local runs.
    """

    def __init__(self, path: Path, link: Link, names: Names, limits: Limits | None = None) -> None:
        self.path = Path(path)
        self._link = link
        self._names = names
        self._limits = limits or Limits()
        self._states = JetStreamStates(link, names, self._limits)
        self._overlay = Overlay()
        self._desk = Desk(self.path)
        self._runs = RunsFollower(link, names, self._states, self._desk, self._overlay)
        self._letters = LettersFollower(link, names, self._desk)
        self._decisions = DecisionsFollower(link, names, self._desk)
        self._spans = SpansFollower(link, names, self._states.objects, self._desk)
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to follow; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Stop following, and let the file go."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._desk.close()

    async def _serve(self) -> None:
        while True:
            try:
                await self._follow()
            except StreamReplaced as error:
                _log.warning("%s: the index is made anew", error.message)
                await self._wipe()
            except TailraceError as error:
                _log.error("the index does not follow", extra={"error": error.message})
            await asyncio.sleep(_AGAIN)

    async def _follow(self) -> None:
        """Follow all streams until one of them cannot be followed."""
        await until_one_ends((
            self._runs.follow(),
            self._letters.follow(),
            self._letters.sweep(),
            self._spans.follow(),
            self._decisions.follow(),
            self._tidy(),
        ))  # fmt: skip

    async def _wipe(self) -> None:
        try:
            await self._desk.write(self._desk.writer.wipe)
        except StoreError as error:
            _log.error("the index cannot be emptied", extra={"error": error.message})

    async def _tidy(self) -> None:
        """Let go of what the streams have let go of without a word."""
        while True:
            await asyncio.sleep(_TIDY)
            try:
                await self.tidy_once()
            except TransportError:
                continue

    async def tidy_once(self, now: float | None = None) -> int:
        """Let go of runs that have expired, or whose message was taken away; return how many.

        Args:
            now: Unix seconds; None: as the clock says.

        Raises:
            TransportError: NATS does not answer.
        """
        writer = self._desk.writer
        present = int((time.time() if now is None else now) * _MICROS)
        count = 0
        if self._limits.keep_days > 0:
            before = present - int(self._limits.keep_days * _DAY * _MICROS)
            while gone := await self._desk.write(writer.expire, before, now=present):
                count += gone
        lost = await self._lost(await self._desk.write(writer.waiting, present - _FORGOTTEN))
        if lost:
            await self._desk.write(writer.remove, lost)
        await self._desk.write(writer.drop_strangers)
        return count + len(lost)

    async def _lost(self, run_ids: Sequence[str]) -> list[str]:
        """Return those of runs that wait of which no message is left."""
        if not run_ids:
            return []
        found = await self._stored(run_ids[:_LOST], waiting=run_ids[:_LOST])
        return [run_id for run_id in run_ids[:_LOST] if run_id not in found]

    async def _stored(
        self, run_ids: Sequence[str], *, waiting: Container[str]
    ) -> dict[str, list[Stored]]:
        """Return the messages of runs, but for their journals; of those that may wait, the job."""
        found: dict[str, list[Stored]] = {}
        names = self._names
        step = 200  # a request may match 1,024 messages
        for first in range(0, len(run_ids), step):
            subjects = []
            for run_id in run_ids[first : first + step]:
                subjects += [names.state(run_id), names.cancel_flag(run_id)]
                if run_id in waiting:
                    subjects += [names.queued(run_id), names.delayed(run_id)]
            for stored in await self._link.last_of(names.runs, subjects):
                run_id = stored.subject.rpartition(".")[2]
                found.setdefault(run_id, []).append(stored)
        return found

    def accepted(self, job: Job) -> None:
        """Show a run that this gateway has queued, before the stream tells of it."""
        self._overlay.add(job)

    async def runs(self, wanted: RunFilter) -> RunPage:
        """Return a page, what has changed last first.

        Raises:
            QueryError: the cursor is none of ours.
            TransportError: whole states are asked for, and NATS does not answer.
        """
        before = read_cursor(wanted.cursor) if wanted.cursor else None
        filter_ = ListFilter(
            status=wanted.status,
            flow=wanted.flow,
            tag=wanted.tag,
            tenant=wanted.tenant,
            workflow=wanted.sha256,
            updated_after=None
            if wanted.updated_after is None
            else round(wanted.updated_after * _MICROS),
        )
        fresh = [] if before is not None else await self._fresh(wanted)
        found = await self._desk.read(
            self._desk.reader.runs, filter_, before=before, limit=wanted.limit + 1
        )
        known = {run.job.run_id for run in found}
        fresh = [job for job in fresh if job.run_id not in known]
        room = max(wanted.limit - len(fresh), 0)
        page, rest = found[:room], found[room:]
        latest = self._runs.latest / _MICROS  # their own time is not known yet, but is no earlier
        items = [KnownRun(job=job, stored_at=latest) for job in fresh[: wanted.limit]]
        items += [_known(run) for run in page]
        if wanted.whole:
            items = await self._whole(items)
        return RunPage(items, cursor_of(rest[0].sequence + 1) if rest else None)

    async def _fresh(self, wanted: RunFilter) -> list[Job]:
        """Return the runs that were queued here and are not in the file, the newest first."""
        end = time.monotonic() + _SETTLE
        while True:
            jobs = [job for job in self._overlay.newest_first() if _suits(job, wanted)]
            if jobs:
                known = await self._desk.read(self._desk.reader.known, [job.run_id for job in jobs])
                jobs = [job for job in jobs if job.run_id not in known]
            if len(jobs) < wanted.limit or time.monotonic() > end:
                return jobs
            self._runs.wake()
            await asyncio.sleep(0.01)

    async def own(self, run_ids: Collection[str], tenant: str) -> set[str]:
        """Return those of some runs that are a tenant's; one that is not known yet is nobody's."""
        fresh = {job.run_id for job in self._overlay.newest_first() if job.tenant_id == tenant}
        found = await self._desk.read(self._desk.reader.known, run_ids, tenant)
        return found | fresh.intersection(run_ids)

    async def _whole(self, items: Sequence[KnownRun]) -> list[KnownRun]:
        """Return runs with their params, and their states with everything."""
        waiting = {run.job.run_id for run in items if run.state is None}
        found = await self._stored([run.job.run_id for run in items], waiting=waiting)
        whole = [assemble(self._names, found.get(run.job.run_id, [])) or run for run in items]
        return [
            replace(one, stored_at=run.stored_at) for one, run in zip(whole, items, strict=True)
        ]

    async def counts(self, tenant: str | None = None) -> Mapping[tuple[str, str], int]:
        """Return the number of runs by (status, flow)."""
        return await self._desk.read(self._desk.reader.counts, tenant)

    async def updated_since(self, instant: float, tenant: str | None = None) -> Mapping[str, int]:
        """Return the number of runs by status, of those that changed since."""
        at = round(instant * _MICROS) - 1
        return await self._desk.read(self._desk.reader.updated_since, at, tenant)

    async def decide(self, decision: GroupDecision) -> None:
        """Have something decided about a group of failures, for all gateways.

        Raises:
            TransportError: NATS does not answer; it may be decided all the same.
        """
        await self._decisions.decide(decision)

    async def letters_are_here(self) -> None:
        """Wait until the dead letters that are stored now are in the file, for a moment at most."""
        await self._letters.catch_up()

    async def sweep_letters(self) -> int:
        """Let go of dead letters that are no longer in their stream; return how many.

        Raises:
            TransportError: NATS does not answer.
        """
        return await self._letters.sweep_once()

    @property
    def traced(self) -> int:
        """Sequence up to which traces are made: behind lists, and news of runs that go on wait."""
        return self._runs.written

    def position(self) -> IndexPosition:
        """Return how far it is."""
        return IndexPosition(sequence=self._runs.listed, is_complete=self._runs.is_complete)


def _known(run: ListedRun) -> KnownRun:
    return KnownRun(
        job=run.job,
        state=run.state,
        sequence=run.state_sequence,
        cancel=run.cancel,
        stored_at=run.at / _MICROS,
    )


def _suits(job: Job, wanted: RunFilter) -> bool:
    return (
        wanted.status in {"", "PENDING"}
        and wanted.flow in {"", job.flow_name}
        and wanted.tag in {"", job.tag}
        and wanted.tenant in {None, job.tenant_id}
        and wanted.sha256 in {"", job.workflow_yaml_sha256 or ""}
        and (wanted.updated_after is None or job.submitted_at > wanted.updated_after)
    )
