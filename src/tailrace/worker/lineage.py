"""Journals of runs read as a store's read side is, for a run that goes on with an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tailrace.errors import NotFound
from tailrace.model import Checkpoint, RunId, Trace
from tailrace.model.journal import AnyRecord, RunStarted
from tailrace.model.remote import RunState
from tailrace.ports import RunStates
from tailrace.tracing.spans import Spans, fold
from tailrace.tracing.wire import decode

_DEPTH = 50
"""Runs of a lineage that are looked at."""
_decode_names = msgspec.json.Decoder(dict[str, str]).decode


class JournalReader:
    """See ``runtime.resume.LineageReader``."""

    def __init__(self, journals: Mapping[str, Sequence[AnyRecord]]) -> None:
        self._journals = journals
        self._folded: dict[str, Spans] = {}

    def _fold(self, run_id: str) -> Spans:
        if run_id not in self._journals:
            raise NotFound(f"run {run_id} is not there (any more)")
        known = self._folded.get(run_id)
        if known is None:
            known = self._folded[run_id] = fold(self._journals[run_id])
        return known

    def turning_points(self, run_id: RunId) -> Trace:
        """Return a run with its spans."""
        return self._fold(run_id).trace()

    def inputs(self, run_id: RunId) -> Checkpoint | None:
        """Return what a run was started with; None: it was not kept."""
        kept = (one for one in self._fold(run_id).checkpoints() if not one.path)
        return next(kept, None)

    def fingerprints(self, run_id: RunId) -> dict[str, str]:
        """Return what each node of the run's flow did, by static path."""
        for record in self._journals.get(run_id, ()):
            if isinstance(record, RunStarted) and record.fingerprints:
                return _decode_names(record.fingerprints)
        return {}

    def lost_outputs(self, run_id: RunId) -> list[str]:
        """Return the paths of nodes whose output is there no more: journals keep theirs inside."""
        del run_id
        return []

    def checkpoints(self, run_id: RunId) -> Iterator[Checkpoint]:
        """Return the checkpoints of a run."""
        yield from self._fold(run_id).checkpoints()


async def read_journal(states: RunStates, run_id: str) -> list[AnyRecord]:
    """Return all records of a run; empty: nothing is stored of it.

    Raises:
        TransportError: NATS does not answer.
    """
    found = await states.read(run_id)
    if found is None:
        return []
    batches = await states.journal(run_id)
    return records_of({**dict(batches), **dict(inline_of(found[0]))})


def inline_of(state: RunState) -> list[tuple[int, bytes]]:
    """Return the batches inside a state, with their numbers."""
    return list(enumerate(state.journal, state.batches - len(state.journal) + 1))


def records_of(batches: Mapping[int, bytes]) -> list[AnyRecord]:
    """Return the records of batches in the order of their numbers."""
    return [record for _, batch in sorted(batches.items()) for record in decode(batch)]


async def read_lineage(states: RunStates, run_id: str) -> dict[str, list[AnyRecord]]:
    """Return the journals of a run and of those it went on with; lost ones are left out."""
    found: dict[str, list[AnyRecord]] = {}
    while run_id and run_id not in found and len(found) < _DEPTH:
        records = await read_journal(states, run_id)
        if not records:
            break
        found[run_id] = records
        started = next((one for one in records if isinstance(one, RunStarted)), None)
        run_id = "" if started is None else started.resumed_from
    return found
